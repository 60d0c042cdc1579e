"""Labels: runs that differ in more than the seed never share a cell of a table or a line of a figure."""

import itertools
import json

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small import SMALL

from dimat.experiment.cells import SETTING, labelled, without
from dimat.experiment.collect import row_of
from dimat.experiment.reading import parse_study

CELL = [*SETTING, "rival"]
TUNING = {"factors": [0.1, 1.0]}
FOLDER = {"name": "folder", "path": "one/images.zip"}

VARIANTS = {
    "method": [
        {"name": "dpsgd", "learning_rate": 0.2},
        {"name": "dpsgd", "learning_rate": 0.001},
        {"name": "dpsgd", "learning_rate": 0.2, "momentum": 0.9},
        {"name": "dpsgd", "decay": 0.9},
        {"name": "dpsgd", "normalization": "frozen"},
        {"name": "dpsgd", "momentum": 0.9, "nesterov": True},
        {"name": "dpsgd", "weight_decay": 0.001},
        {"name": "dpsgd", "warmup": 1},
        {"name": "dpsgd", "warmup": 1, "milestones": [2, 3]},
        "gradient_tracking",
        {"name": "gradient_tracking", "form": "diging"},
        {"name": "gradient_tracking", "form": "dsgt"},
        "cga",
        {"name": "cga", "margin": 0.5},
        {"name": "cga", "compressed": True},
        {"name": "cga", "compressed": True, "scales": "layer", "own_compressed": True},
        "dimat",
        {"name": "dimat", "shrink": 0.5},
        {"name": "dimat", "coefficients": "entropy"},
        {"name": "dimat", "coefficients": {"name": "entropy", "images": "test"}},
        {"name": "dimat", "coefficients": "task_arithmetic"},
        {"name": "dimat", "coefficients": {"name": "task_arithmetic", "ties": 0.2}},
        {"name": "dimat", "coefficients": {"name": "adamerging", "steps": 100}},
        {"name": "dimat", "coefficients": {"name": "adamerging", "clamped": False}},
        {"name": "dimat", "optimizer": "sgd"},
        {"name": "dimat", "optimizer": {"name": "momentum", "momentum": 0.5}},
        {"name": "dimat", "optimizer": {"name": "momentum", "momentum": 0.9}},
        {"name": "dimat", "optimizer": {"name": "momentum", "nesterov": True}},
        {"name": "dimat", "optimizer": {"name": "adam", "weight_decay": 0.1}},
        {"name": "dimat", "optimizer": {"name": "adam", "milestones": [2]}},
        "wa",
        "local",
        "pooled",
        {"name": "pooled", "optimizer": "sgd"},
    ],
    "data": [
        SMALL["data"],
        {"name": "digits", "test_limit": 30},
        {"name": "digits", "train_limit": 150, "test_limit": 30},
        {"name": "digits", "train_limit": 150, "test_limit": 60, "flip": True},
        {"name": "digits", "train_limit": 150, "test_limit": 60, "crop": 2},
        FOLDER,
        FOLDER | {"path": "other/images.zip"},
        FOLDER | {"flip": False},
        FOLDER | {"size": 16},
        FOLDER | {"size": 32},
    ],
    "model": ["plain", {"name": "plain", "widths": [3, 4]}, "resnet20", {"name": "resnet20", "width": 2}],
    "partition": [
        "iid",
        "classes",
        {"name": "dirichlet", "alpha": 0.1},
        {"name": "dirichlet", "alpha": 1.0},
        {"name": "dirichlet", "alpha": 1.0, "rule": "hsu"},
        {"name": "dirichlet", "alpha": 1.0, "balanced": True},
        "two_phase",
    ],
    "graph": [
        "ring",
        "complete",
        {"name": "ring", "weights": "uniform"},
        {"name": "ring", "link_failures": 0.1},
        {"name": "ring", "agent_failures": 0.1},
        {"name": "ring", "churn": {"name": "markov", "sleep": 0.1, "wake": 0.5}},
        {"name": "ring", "churn": {"name": "markov", "sleep": 0.2, "wake": 0.5}},
        {"name": "ring", "churn": "cyclic"},
        {"name": "ring", "bursts": {"share": 0.1, "length": 3}},
        {"name": "erdos_renyi", "probability": 0.9},
    ],
    "agents": [3, 4],
    "matching": [
        {},
        {"matcher": "weight"},
        {"alignment": "consistent"},
        {"rematch": "sticky"},
        {"rematch": {"name": "sticky", "bonus": 0.5}},
        {"rematch": "first_meeting"},
        {"rematch": "margin"},
        {"rematch": "lowers_disagreement", "alignment": "consistent"},
        {"passes": 2},
    ],
    "calibration": [
        {},
        {"limit": 40},
        {"limit": 50},
        {"augmented": True},
        {"images": "own"},
        {"repair": "none"},
    ],
    "training": [
        SMALL["training"],
        SMALL["training"] | {"epochs": 8},
        SMALL["training"] | {"rounds": 5},
        SMALL["training"] | {"steps": "equal"},
        SMALL["training"] | {"optimizer": "sgd"},
        SMALL["training"] | {"optimizer": {"name": "adam", "learning_rate": 0.01}},
        SMALL["training"] | {"optimizer": {"name": "adam", "weight_decay": 0.1}},
        SMALL["training"] | {"optimizer_state": "kept"},
        SMALL["training"] | {"start": "same"},
        SMALL["training"] | {"start": "pretrained"},
        SMALL["training"] | {"pretrain_schedule": "cosine"},
    ],
    "protocol": ["", "compute-matched"],
    "tuning": [None, TUNING, TUNING | {"validation": 0.1}, TUNING | {"seed": 7}, {"factors": [1.0]}],
}
"""Values of every axis of the grid and of every other part of an experiment."""


def row(run):
    """A run's row as it is collected; data of one file name say the same of themselves."""
    about = run.data.path.split("/")[-1] if run.data.name == "folder" else run.data.name
    made = {
        "run": run.id,
        "experiment": run.model_dump(mode="json"),
        "data": {"description": f"{about}, 8x8, {run.data.train_limit or 1437} training images"},
        "learning_rate": run.method.rate(run.training),
        "metric": run.task.metric._asdict(),
    }
    return row_of(made)


def rows_of(*changes):
    """The runs of the small study with each of the ``changes``, as `read_runs` gives them."""
    runs = {}
    for change in changes:
        runs |= parse_study(SMALL | change, "study").runs
    return pandas.DataFrame([row(run) for run in runs.values()]).fillna("").astype(str).set_index("run")


def check(runs):
    """Each cell has runs that differ in the seed alone, and runs that differ in it alone share one."""
    labels = labelled(runs)
    cells = pandas.Series(list(labels[CELL].itertuples(index=False, name=None)), index=runs.index)
    assert (cells.groupby(without(runs)).nunique() == 1).all()
    keys = without(runs)
    for cell in set(cells):
        assert keys[cells == cell].nunique() == 1, cell
    return labels


@settings(max_examples=60)
@given(st.lists(st.fixed_dictionaries({}, optional={
    name: st.sampled_from(values) for name, values in VARIANTS.items()
}), min_size=1, max_size=5))  # fmt: skip
def test_runs_that_differ_in_more_than_the_seed_never_share_a_cell(changes):
    check(rows_of(*({**change, "seeds": [0, 1]} for change in changes)))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("method", ["dimat", "dpsgd"])
def test_values_of_one_parameter_are_told_apart(name, method):
    check(rows_of(*({"method": method, name: value} for value in VARIANTS[name])))


@settings(max_examples=8)
@given(st.data())
def test_a_whole_grid_is_told_apart(data):
    axes = data.draw(st.permutations(["data", "model", "partition", "graph", "matching", "calibration"]))
    grid = {
        name: data.draw(st.lists(st.sampled_from(VARIANTS[name]), min_size=2, max_size=2, unique_by=str))
        for name in ("method", *axes[:3])
    }
    check(rows_of(grid))


def test_labels_say_what_differs_among_runs_of_one_data_set():
    """Batches are of other sizes for other images: no label need say so, as no row has both."""
    longer = SMALL["training"] | {"batch_size": 7}
    own, other = {"method": ["dimat", "wa"]}, {"method": "wa", "data": FOLDER, "training": longer}
    assert set(check(rows_of(own, other)).rival) == {"DIMAT", "WA"}
    more = other | {"training": longer | {"epochs": 2}}
    assert set(check(rows_of(own, other, more)).rival) == {"DIMAT", "WA", "WA, epochs 1", "WA, epochs 2"}


PAIRS = {
    "rates": [{"method": {"name": "dpsgd", "learning_rate": rate}} for rate in (0.2, 0.001)],
    "epochs": [{"training": SMALL["training"] | {"epochs": epochs}} for epochs in (1, 8)],
    "limit": [{"calibration": {"limit": 40}}, {}],
    "augmented": [{"calibration": {"augmented": True}}, {}],
    "weight decay": [
        {"training": SMALL["training"] | {"optimizer": {"name": "adam", "weight_decay": decay}}}
        for decay in (0.0, 0.1)
    ],
    "weight decay of the method": [
        {"method": {"name": "dimat", "optimizer": {"name": "adam", "weight_decay": decay}}}
        for decay in (0.0, 0.1)
    ],
    "tuned": [{"tuning": TUNING}, {}],
    "flip": [{"data": FOLDER | {"flip": flip}} for flip in (True, False)],
    "test limit": [{"data": {"name": "digits", "test_limit": limit}} for limit in (30, 60)],
    "one with a test limit": [{"data": {"name": "digits", "test_limit": 30}}, {"data": "digits"}],
    "folders": [{"data": FOLDER}, {"data": FOLDER | {"path": "other/images.zip"}}],
    "a rate tuned and the same given": [
        {"method": {"name": "dpsgd", "learning_rate": 0.1}, "tuning": {"factors": [1.0]}},
        {"method": {"name": "dpsgd", "learning_rate": 0.1}},
    ],
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("beside", [(), ("local",), ("local", "pooled", "wa")], ids=str)
def test_two_experiments_are_two_rows(pair, beside):
    pair = PAIRS[pair]
    rivals = ({**pair[0], "method": method} for method in beside)
    runs = rows_of(*pair, *rivals)
    labels = check(runs)
    own = labels.loc[rows_of(*pair).index]
    assert len(own) == 2
    assert len(own[CELL].drop_duplicates()) == 2


def test_seeds_share_a_row():
    labels = check(rows_of({"seeds": [0, 1, 2]}))
    assert len(labels[CELL].drop_duplicates()) == 1
    assert sorted(labels["seed"]) == [0, 1, 2]


def test_seeds_share_a_row_whatever_is_recorded_of_them():
    runs = rows_of({"seeds": [0, 1]}, {"seeds": [2], "measures": ["parts"]})
    assert sorted(runs["measures"]) == ["", "", '["parts"]']
    assert len(check(runs)[CELL].drop_duplicates()) == 1


def test_labels_show_only_what_differs():
    (alone,) = check(rows_of({})).to_dict("records")
    assert alone["rival"] == alone["method"] == "DIMAT"
    assert alone["data"] == "digits, 8x8, 150 training images"
    assert (alone["model"], alone["partition"], alone["graph"]) == ("plain", "IID", "ring")
    (tuned,) = check(rows_of({"tuning": TUNING})).to_dict("records")
    assert tuned["rival"] == "DIMAT"
    rates = check(rows_of(*PAIRS["rates"], {"method": "local"}))
    words = {label.removeprefix("D-PSGD").strip(", ") for label in rates["rival"] if "D-PSGD" in label}
    assert words == {"rate 0.2", "rate 0.001"}
    others = rates["rival"][rates["method"] != "D-PSGD"]
    assert list(others) == ["no communication"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decay": 0.9}, ["decay 1", "decay 0.9"]),
        ({"warmup": 2}, ["no warm-up", "warm-up 2 epochs"]),
        ({"milestones": [2, 3]}, ["no milestones", "milestones 2 3"]),
    ],
)
def test_schedules_are_said_alike_of_all_local_training_and_of_a_method(changes, words):
    for optimizer in ({"name": "momentum"}, {"name": "adam"}):
        both = [optimizer, optimizer | changes]
        shared = rows_of(*({"training": SMALL["training"] | {"optimizer": each}} for each in both))
        own = rows_of(*({"method": {"name": "dimat", "optimizer": each}} for each in both))
        for runs in (shared, own):
            assert list(check(runs)["rival"]) == [f"DIMAT, {word}" for word in words]


def test_of_a_choice_only_the_kind_is_said_and_what_differs_among_those_of_one_kind():
    ways = ["mixing", "entropy", "task_arithmetic", {"name": "adamerging", "steps": 9}]
    runs = rows_of(*({"method": {"name": "wa", "coefficients": way}} for way in ways))
    assert list(check(runs)["rival"]) == [
        "WA, mixing weights", "WA, entropy-tuned", "WA, task arithmetic", "WA, AdaMerging"
    ]  # fmt: skip
    both = rows_of(*({"method": {"name": "wa", "coefficients": way}} for way in (*ways, "adamerging")))
    assert list(check(both)["rival"])[-2:] == [
        "WA, AdaMerging, coefficients steps 9",
        "WA, AdaMerging, coefficients steps 500",
    ]


def test_of_failures_and_sleep_is_said_what_there_is_with_its_options_in_brackets():
    graphs = [
        {},
        {"agent_failures": 0.3},
        {"link_failures": 0.5},
        {"link_failures": 0.5, "one_way": True},
        {"churn": {"name": "markov", "sleep": 0.12, "wake": 0.28}},
        {"churn": {"name": "cyclic", "groups": 3, "awake": 2}},
        {"bursts": {"share": 0.5, "length": 5}},
        {"bursts": {"share": 0.5, "length": 5}, "link_failures": 0.1},
    ]
    runs = rows_of(*({"method": "sgp", "graph": {"name": "ring"} | each} for each in graphs))
    assert list(check(runs)["graph"]) == [
        "ring",
        "ring, agent failures 0.3",
        "ring, link failures 0.5",
        "ring, link failures 0.5, one way",
        "ring, churn markov (sleep 0.12, wake 0.28)",
        "ring, churn cyclic (groups 3, awake 2, turn 1)",
        "ring, bursts (share 0.5, length 5)",
        "ring, link failures 0.1, bursts (share 0.5, length 5)",
    ]


def test_where_short_words_cannot_tell_runs_apart_all_is_said():
    graphs = ({"name": "ring", "link_failures": share} for share in (0, 0.5))
    runs = rows_of(*({"method": "sgp", "graph": graph} for graph in graphs))
    older = runs.iloc[:1].assign(**{"graph.link_failures": ""})  # as if that had been no parameter yet
    labels = labelled(pandas.concat([runs, older.set_axis(["older"])]))
    assert list(labels["graph"]) == ["ring, link failures 0", "ring, link failures 0.5", "ring"]


def test_a_key_without_a_part_pairs_what_differs_there():
    runs = rows_of({"matching": {"matcher": "weight"}}, {}, {"calibration": {"limit": 40}})
    keys = without(runs, "matching")
    assert [len(keys[keys == key]) for key in keys] == [2, 2, 1]
    assert without(runs, "matching", "calibration").nunique() == 1
    for one, other in itertools.combinations(without(runs), 2):
        assert one != other
    assert all(json.loads(agents) == 3 for agents in runs["agents"])


def test_how_agents_look_at_images_is_said_only_of_those_who_do():
    looks = {"calibration": {"images": "pooled", "limit": 50, "precision": "bfloat16"}}
    without_images = {"calibration": {"repair": "none"}}
    labels = check(rows_of(looks, *({"method": name} | without_images for name in ("wa", "wm"))))
    assert list(labels.rival) == [
        "DIMAT, activations matched, recalibrated", "WA, no repair", "WM, weights matched, no repair"
    ]  # fmt: skip
