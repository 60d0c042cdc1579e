"""Configurations: what is accepted, what is refused and how, and which runs a grid expands into."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from dimat.errors import InputError
from dimat.experiment.reading import parse_study, read_study
from dimat.experiment.schema import json_schema, reference

ROOT = Path(__file__).parents[2]
QUICK = ROOT / "config" / "quick.yaml"


def study_of(content):
    return parse_study(content, "study.yaml")


def runs_of(content):
    return list(study_of(content).runs.values())


# What is accepted.


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_that_comes_along_is_valid(path):
    study = read_study(path)
    assert study.name == path.stem
    assert study.runs


COMPARISON = {
    "partition": ["iid", {"name": "dirichlet", "alpha": 0.1}, "classes"],
    "method": ["dimat", "wa", "local", "pooled"],
    "calibration": [{"images": "pooled"}, {"images": "own"}, {"repair": "none"}],
    "seeds": [0, 1, 2],
}


def test_a_comparison_of_everything(small):
    study = study_of(small | COMPARISON)
    # three partitions and seeds; DIMAT: 3 calibrations, WA: 3, local: 1; and pooled once for each seed
    assert len(study.runs) == 3 * 3 * (3 + 3 + 1) + 3
    assert len(study.pretrained) == 3 * 3 + 3
    assert len(study.partitioned) == 3 * 3 + 3
    assert len(study.prepared) == 1


def test_ids_are_unique_and_readable():
    study = read_study(QUICK)
    for items in (study.runs, study.pretrained, study.partitioned, study.prepared):
        assert len({item.model_dump_json() for item in items.values()}) == len(items)
        for id, item in items.items():
            assert id == item.id
            assert re.fullmatch(r"[a-z0-9_]+(-[a-z0-9_]+)*-[0-9a-f]{10}", id)


@given(st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_keys(generator):
    def shuffled(value):
        if isinstance(value, dict):
            keys = list(value)
            generator.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    content = yaml.safe_load(QUICK.read_text()) | {"seeds": [0]}
    assert list(study_of(shuffled(content)).runs) == list(study_of(content).runs)


def test_a_default_written_out_is_the_same_experiment(small):
    written = small | {
        "graph": {"name": "ring", "weights": "metropolis"},
        "calibration": {"repair": "recalibrate"},
        "matching": {"alignment": "per_edge"},
        "partition": [{"name": "iid"}],
    }
    assert set(study_of(written).runs) == set(study_of(small).runs)


@pytest.mark.parametrize(
    "change",
    [
        {"agents": 4},
        {"seeds": 1},
        {"graph": "complete"},
        {"partition": "classes"},
        {"method": "wa"},
        {"calibration": {"images": "own"}},
        {"matching": {"matcher": "weight"}},
        {"model": {"name": "plain", "widths": [3, 5]}},
        {"data": {"name": "digits", "train_limit": 149}},
        {"training": {"rounds": 5}},
    ],
    ids=str,
)
def test_another_experiment_has_another_id(small, change):
    assert not set(study_of(small | change).runs) & set(study_of(small).runs)


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 2},
        {"device": "auto"},
        {"deterministic": False},
        {"checkpoint_seconds": 9},
        {"keep_checkpoints": True},
        {"name": "x"},
    ],
)
def test_how_a_study_is_executed_is_no_part_of_the_experiment(small, change):
    assert set(study_of(small | change).runs) == set(study_of(small).runs)


# Which runs there are.


GRID = {
    "graph": ["ring", "complete"],
    "matching": [{"matcher": "weight"}, {"matcher": "activation"}],
    "calibration": [{"images": "own"}, {"images": "pooled"}],
    "seeds": [0, 1],
}


def test_no_communication_ignores_graph_matching_and_calibration(small):
    runs = runs_of(small | GRID | {"method": "local"})
    assert [run.seed for run in runs] == [0, 1]
    assert all(run.graph is None and run.matching is None and run.calibration is None for run in runs)


def test_pooled_training_is_one_run_for_each_data_model_and_seed(small):
    grid = GRID | {"partition": ["iid", "classes"], "agents": [2, 5], "model": ["plain", "resnet20"]}
    runs = runs_of(small | grid | {"method": "pooled"})
    assert sorted((run.model.name, run.seed) for run in runs) == [
        (model, seed) for model in ("plain", "resnet20") for seed in (0, 1)
    ]
    assert all(run.agents == 1 and run.partition is None for run in runs)


def test_averaging_without_repair_uses_no_images(small):
    calibrations = [
        {"images": "own", "repair": "none"},
        {"images": "pooled", "repair": "none", "limit": 5},
        {"images": "own"},
        {"images": "pooled"},
    ]
    assert len(runs_of(small | {"method": "wa", "calibration": calibrations})) == 3
    assert len(runs_of(small | {"method": "dimat", "calibration": calibrations})) == 4


def test_methods_of_a_comparison_share_a_start(small):
    methods = ["dimat", "wa", "local"]
    runs = runs_of(small | GRID | {"method": methods, "seeds": 0})
    assert {run.method.name for run in runs} == set(methods)
    assert len({run.pretrained.id for run in runs}) == 1


def test_rounds_do_not_matter_to_a_start_but_pretraining_does(small):
    def start(**training):
        (run,) = runs_of(small | {"training": training})
        return run.pretrained.id

    assert start(rounds=3) == start(rounds=4) == start(epochs=7) == start(optimizer_state="kept")
    assert len({start(), start(pretrain_epochs=1), start(batch_size=7), start(start="same")}) == 4


def test_variants_replace_keys(small):
    variants = [{"graph": "complete"}, {"agents": [4, 5], "partition": "classes"}]
    found = {
        (run.graph.name, run.agents, run.partition.name) for run in runs_of(small | {"variants": variants})
    }
    assert found == {
        ("ring", 3, "iid"),
        ("complete", 3, "iid"),
        ("ring", 4, "classes"),
        ("ring", 5, "classes"),
    }


def test_a_variant_that_varies_nothing_adds_nothing(small):
    assert set(study_of(small | {"variants": [{"agents": 3}]}).runs) == set(study_of(small).runs)


SECTIONS = [
    # the study's own, what a variant changes, and what both together are
    (
        "training",
        {"rounds": 4, "batch_size": 25},
        {"epochs": 5},
        {"rounds": 4, "batch_size": 25, "epochs": 5},
    ),
    (
        "training",
        {"optimizer": {"name": "sgd", "learning_rate": 0.5, "weight_decay": 0.1}},
        {"optimizer": {"learning_rate": 0.2}},
        {"optimizer": {"name": "sgd", "learning_rate": 0.2, "weight_decay": 0.1}},
    ),
    (
        "training",
        {"optimizer": {"name": "sgd", "weight_decay": 0.1}, "rounds": 2},
        {"optimizer": {"name": "adam"}},
        {"optimizer": "adam", "rounds": 2},
    ),
    (
        "training",
        {"rounds": 2},
        {"optimizer": {"weight_decay": 0.1}},
        {"rounds": 2, "optimizer": {"name": "adam", "weight_decay": 0.1}},
    ),
    ("tuning", {"factors": [1.0, 2.0], "seed": 7}, {"factors": [3.0]}, {"factors": [3.0], "seed": 7}),
    ("tuning", None, {"seed": 7}, {"seed": 7}),
    ("tuning", {"seed": 7}, None, None),
    (
        "data",
        {"name": "digits", "train_limit": 150, "crop": 1},
        {"crop": 2},
        {"name": "digits", "train_limit": 150, "crop": 2},
    ),
    (
        "data",
        {"name": "digits", "crop": 1},
        {"name": "digits", "train_limit": 90},
        {"name": "digits", "crop": 1, "train_limit": 90},
    ),
    ("data", {"name": "digits", "crop": 1}, {"name": "cifar10"}, "cifar10"),
    ("data", {"name": "digits", "crop": 1}, "digits", "digits"),
    ("model", "plain", {"widths": [7]}, {"name": "plain", "widths": [7]}),
    ("model", {"name": "plain", "widths": [3, 4]}, {"widths": [7]}, {"name": "plain", "widths": [7]}),
    (
        "partition",
        {"name": "dirichlet", "alpha": 9.0, "fewest": 2},
        {"alpha": 8.0},
        {"name": "dirichlet", "alpha": 8.0, "fewest": 2},
    ),
    (
        "graph",
        {"name": "ring", "weights": "uniform"},
        {"link_failures": 0.1},
        {"name": "ring", "weights": "uniform", "link_failures": 0.1},
    ),
    (
        "method",
        {"name": "dimat", "shrink": 0.5},
        {"coefficients": "entropy"},
        {"name": "dimat", "shrink": 0.5, "coefficients": "entropy"},
    ),
    (
        "method",
        {"name": "dimat", "coefficients": {"name": "entropy", "steps": 3}},
        {"coefficients": {"limit": 9}},
        {"name": "dimat", "coefficients": {"name": "entropy", "steps": 3, "limit": 9}},
    ),
    (
        "task",
        {"name": "rotated", "angles": [0, 10, 20]},
        {"angles": [30, 40, 50]},
        {"name": "rotated", "angles": [30, 40, 50]},
    ),
    (
        "matching",
        {"matcher": "weight", "passes": 2},
        {"alignment": "consistent"},
        {"matcher": "weight", "passes": 2, "alignment": "consistent"},
    ),
    (
        "matching",
        {"matcher": {"name": "activation-weight", "weights": 0.2}, "passes": 2},
        {"matcher": {"weights": 0.3}},
        {"matcher": {"name": "activation-weight", "weights": 0.3}, "passes": 2},
    ),
    ("matching", {"passes": 2}, [{"alignment": "consistent"}], {"alignment": "consistent"}),
    ("calibration", {"images": "own", "limit": 9}, {"limit": 8}, {"images": "own", "limit": 8}),
    ("calibration", [{"images": "own"}], {"limit": 8}, {"limit": 8}),
    (
        "attack",
        {"name": "noise", "scale": 0.2},
        {"agent": 1},
        {"name": "noise", "scale": 0.2, "agent": 1},
    ),
    (
        "graph",
        {"name": "ring", "bursts": {"share": 0.5, "length": 4}},
        {"bursts": {"length": 5}},
        {"name": "ring", "bursts": {"share": 0.5, "length": 5}},
    ),
]


@pytest.mark.parametrize(("key", "own", "changed", "both"), SECTIONS, ids=str)
def test_mappings_of_a_variant_keep_the_keys_that_it_does_not_name(small, key, own, changed, both):
    base = small if own is None and key != "tuning" else small | {key: own}
    varied = study_of(base | {"variants": [{"seeds": [9], key: changed}]})
    written = study_of(base | {"seeds": [9], key: both})
    assert set(varied.runs) == set(study_of(base).runs) | set(written.runs)
    assert not set(study_of(base).runs) & set(written.runs)


def test_every_section_that_can_be_nested_is_among_those_of_the_test():
    fields = json.loads(json_schema())["$defs"]["Variant"]["properties"]
    nested = {key for key, field in fields.items() if "$ref" in json.dumps(field)}
    assert nested == {key for key, *_ in SECTIONS}


def test_a_mistake_in_a_variant_is_named_where_it_stands(small, write_config):
    path = write_config(small | {"variants": [{"agents": 4}, {"training": {"epochs": 0}}]})
    assert_refused(path, "variants.1.training.epochs: 0")
    assert_refused(write_config(small | {"variants": [{"graph": None}]}), "variants.0.graph")
    assert_refused(write_config(small | {"variants": [{"training": {"epoch": 1}}]}), "variants.0.training")


# What is refused.


MISTAKES = {
    "unknown key": ({"agentz": 3}, "agentz"),
    "unknown key of the data": ({"data": {"name": "digits", "colour": 1}}, "colour"),
    "unknown key of the training": ({"training": {"round": 1}}, "round"),
    "unknown key of an optimizer": (
        {"training": {"optimizer": {"name": "sgd", "momentum": 0.9}}},
        "momentum",
    ),
    "unknown key of a variant": ({"variants": [{"graphs": "ring"}]}, "graphs"),
    "key of another place in a variant": ({"variants": [{"device": "cpu"}]}, "device"),
    "text for a number": ({"agents": "five"}, "agents"),
    "number for a text": ({"name": 3}, "name"),
    "truth for a number": ({"agents": True}, "agents"),
    "fraction for a count": ({"training": {"rounds": 1.5}}, "training.rounds"),
    "no agents": ({"agents": 0}, "agents"),
    "negative agents": ({"agents": [2, -3]}, "agents"),
    "alpha 0": ({"partition": {"name": "dirichlet", "alpha": 0.0}}, "alpha"),
    "negative alpha": ({"partition": {"name": "dirichlet", "alpha": -0.1}}, "alpha"),
    "alpha that is no number": ({"partition": {"name": "dirichlet", "alpha": float("nan")}}, "alpha"),
    "alpha infinite": ({"partition": {"name": "dirichlet", "alpha": float("inf")}}, "alpha"),
    "alpha missing": ({"partition": "dirichlet"}, "alpha"),
    "unknown rule": ({"partition": {"name": "dirichlet", "alpha": 1.0, "rule": "lin"}}, "rule"),
    "balanced by hsu": (
        {"partition": {"name": "dirichlet", "alpha": 1.0, "rule": "hsu", "balanced": True}},
        "leave out 'balanced'",
    ),
    "unknown form": ({"method": {"name": "gradient_tracking", "form": "extra"}}, "form"),
    "Nesterov without momentum": (
        {"method": {"name": "dpsgd", "nesterov": True}},
        "expected momentum above 0",
    ),
    "Nesterov without momentum, locally": (
        {"method": {"name": "wa", "optimizer": {"name": "momentum", "momentum": 0.0, "nesterov": True}}},
        "expected momentum above 0",
    ),
    "milestones that go back": ({"method": {"name": "sgp", "milestones": [4, 2]}}, "ascending order"),
    "milestones of one number": ({"method": {"name": "sgp", "milestones": 4}}, "milestones"),
    "warm-up of half an epoch": ({"method": {"name": "sgp", "warmup": 0.5}}, "warmup"),
    "start of no warm-up": ({"method": {"name": "sgp", "warmup_start": 0.5}}, "expected warmup beside it"),
    "factor of no milestones": (
        {"training": {"optimizer": {"name": "sgd", "milestone_factor": 0.5}}},
        "expected milestones beside it",
    ),
    "negative weight decay": ({"method": {"name": "cga", "weight_decay": -0.1}}, "weight_decay"),
    "negative margin": ({"method": {"name": "cga", "margin": -0.5}}, "margin"),
    "scales of what is not compressed": (
        {"method": {"name": "cga", "scales": "layer"}},
        "expected compressed: true",
    ),
    "coefficient above 1": (
        {"method": {"name": "wa", "coefficients": {"name": "task_arithmetic", "factor": 1.5}}},
        "factor",
    ),
    "negative coefficient": (
        {"method": {"name": "wa", "coefficients": {"name": "adamerging", "factor": -0.1}}},
        "factor",
    ),
    "share of no entries": (
        {"method": {"name": "wa", "coefficients": {"name": "adamerging", "ties": 0.0}}},
        "ties",
    ),
    "a start that is changed": (
        {"method": {"name": "wa", "shrink": 0.5, "coefficients": "task_arithmetic"}},
        "shrink: 0.5 changes the start from which task_arithmetic counts",
    ),
    "no angle for an agent": (
        {"task": {"name": "rotated", "angles": [0, 90]}},
        "task.angles: 2 for 3 agents; expected one angle for each",
    ),
    "a whole turn": ({"task": {"name": "rotated", "angles": [0, 90, 360]}}, "angles"),
    "unknown graph": ({"graph": "circle"}, "graph"),
    "unknown data set": ({"data": "mnist"}, "data"),
    "unknown model": ({"model": {"name": "vgg"}}, "model"),
    "unknown partition": ({"partition": ["iid", "random"]}, "partition"),
    "unknown method": ({"method": "sgd"}, "method"),
    "unknown optimizer": ({"training": {"optimizer": "lion"}}, "training.optimizer"),
    "name missing": ({"graph": {"weights": "uniform"}}, "graph"),
    "name no text": ({"graph": {"name": 3}}, "graph"),
    "name nothing": ({"graph": None}, "graph"),
    "name a list": ({"graph": [["ring"]]}, "graph"),
    "no graph": ({"graph": []}, "graph"),
    "no seeds": ({"seeds": []}, "seeds"),
    "repeated seeds": ({"seeds": [0, 1, 0]}, "seeds"),
    "repeated graph": ({"graph": ["ring", {"name": "ring"}]}, "graph"),
    "negative seed": ({"seeds": [-1]}, "seeds"),
    "1e-3 as text": (
        {"training": {"optimizer": {"name": "adam", "learning_rate": "1e-3"}}},
        "learning_rate",
    ),
    "learning rate 0": ({"training": {"optimizer": {"name": "adam", "learning_rate": 0.0}}}, "learning_rate"),
    "learning rate no number": (
        {"training": {"optimizer": {"name": "adam", "learning_rate": float("nan")}}},
        "learning_rate",
    ),
    "momentum 1": ({"training": {"optimizer": {"name": "momentum", "momentum": 1.0}}}, "momentum"),
    "batches of one image": ({"training": {"batch_size": 1}}, "batch_size"),
    "no rounds": ({"training": {"rounds": 0}}, "rounds"),
    "widths empty": ({"model": {"name": "plain", "widths": []}}, "widths"),
    "width 0": ({"model": {"name": "resnet20", "width": 0}}, "width"),
    "name with parts of a path": ({"name": "../elsewhere"}, "name"),
    "name with a line break": ({"name": "two\nlines"}, "name"),
    "name that ends a line": ({"name": "small\n"}, "name"),
    "name empty": ({"name": ""}, "name"),
    "negative crop": ({"data": {"name": "folder", "path": "x", "crop": -1}}, "crop"),
    "negative crop of CIFAR": ({"data": {"name": "cifar10", "crop": -1}}, "crop"),
    "disconnected graph": ({"graph": {"name": "edges", "edge_list": [[0, 1]]}, "agents": 3}, "graph"),
    "edge to nobody": ({"graph": {"name": "edges", "edge_list": [[0, 3]]}, "agents": 3}, "edge_list"),
    "edge to itself": ({"graph": {"name": "edges", "edge_list": [[1, 1]]}, "agents": 3}, "edge_list"),
    "edge of three": ({"graph": {"name": "edges", "edge_list": [[0, 1, 2]]}, "agents": 3}, "edge_list"),
    "two hubs without leaves": ({"graph": "two_hub", "agents": 2}, "agents"),
    "disconnected graph of a variant": (
        {"variants": [{"graph": {"name": "edges", "edge_list": [[0, 1]]}}]},
        "graph",
    ),
    "no threads": ({"threads": 0}, "threads"),
    "unknown device": ({"device": "tpu"}, "device"),
    "key of a number beyond all": ({"training": {"batch_size": 10**400}}, "training.batch_size"),
    "seed beyond all": ({"seeds": [0, 10**30]}, "seeds"),
    "width beyond all": ({"model": {"name": "resnet20", "width": 10**6}}, "width"),
    "bandwidth infinite": ({"links": {"bandwidth": float("inf")}}, "bandwidth"),
    "factor twice": ({"tuning": {"factors": [1.0, 1.0]}}, "factors"),
    "edge twice": ({"graph": {"name": "edges", "edge_list": [[0, 1], [1, 2], [0, 1]]}}, "edge_list"),
    "images too small": ({"model": "vgg16"}, "model: vgg16 takes images of 32x32 pixels or more, got 8x8"),
    "images that are no whole patches": (
        {"model": {"name": "vit", "patch": 3}},
        "model: vit patch 3 takes images of whole patches of 3x3 pixels, got 8x8",
    ),
    "a width that heads do not divide": ({"model": {"name": "vit", "width": 30}}, "width: 30"),
    "images too few": ({"agents": 80}, "agents: 80 are too many for 150 training images"),
    "images too few for whole classes": (
        {"agents": 74, "partition": "classes"},
        "partition: an agent holds 1",
    ),
    "fewer images than classes": ({"data": {"name": "digits", "train_limit": 9}}, "data.train_limit: 9"),
    "more images than there are": (
        {"data": {"name": "digits", "train_limit": 2000}},
        "data.train_limit: 2000",
    ),
    "more test images than there are": (
        {"data": {"name": "digits", "test_limit": 361}},
        "data.test_limit: 361",
    ),
    "no images left beside validation": (
        {"data": {"name": "digits", "train_limit": 10}, "tuning": {}},
        "data.validation: 0.2 of the 10 training images leaves none of class 0",
    ),
    "too skewed": ({"partition": {"name": "dirichlet", "alpha": 0.001}, "agents": 15}, "partition.alpha"),
    "time that is no number": ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds"),
}


def assert_refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_study(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message.removeprefix(str(path))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_and_key(small, write_config, mistake):
    change, key = MISTAKES[mistake]
    assert_refused(write_config(small | change), key)


@pytest.mark.parametrize("key", ["name", "data", "model", "partition", "graph", "method"])
def test_a_missing_key_is_named(small, write_config, key):
    del small[key]
    assert_refused(write_config(small), key)


@pytest.mark.parametrize(
    "text",
    ["- a\n- list\n", "only text", "", "3", "a: [1", "a: b: c", "\t- x", "name: 2020-13-45", "&a [*a]"],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    assert_refused(path)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("missing.yaml", ".", "binary.yaml"):
        assert_refused(tmp_path / name)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from(
        ["name", "data", "model", "graph", "agents", "matching", "training", "seeds", "variants"]
    ),
)
def test_whatever_is_written_is_accepted_or_refused_in_one_line(value, key):
    content = yaml.safe_load(QUICK.read_text()) | {"seeds": [0], key: value}
    try:
        study_of(content)
    except InputError as error:
        assert str(error).startswith("study.yaml: ")
        assert len(str(error).splitlines()) == 1


# Files that must agree with the code.


def test_the_published_schema_is_that_of_the_code():
    assert (ROOT / "config" / "schema.json").read_text() == json_schema()


def test_the_published_documentation_is_that_of_the_code():
    assert (ROOT / "config" / "README.md").read_text() == reference()


def test_every_key_is_documented():
    schema = json.loads(json_schema())
    places = {"file": schema, **schema["$defs"]}
    keys = {f"{place}.{key}": about for place in places for key, about in places[place]["properties"].items()}
    assert len(keys) > 150
    undocumented = [key for key, about in keys.items() if not about.get("description")]
    assert [key for key in undocumented if not key.endswith(".name")] == []


def test_the_schema_knows_every_key():
    schema = json.loads(json_schema())
    definitions = schema["$defs"]
    assert set(yaml.safe_load(QUICK.read_text())) <= set(schema["properties"])
    assert {"Ring", "Dirichlet", "Dimat", "ResNet20", "Matching", "Calibration", "Training"} <= set(
        definitions
    )
    for definition in (schema, *definitions.values()):
        assert definition["additionalProperties"] is False
        for key, field in definition["properties"].items():
            described = "description" in field or "const" in field or "$ref" in field
            assert described, f"{definition.get('title')}.{key} has no description"


def project_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    found = {requirement.name: requirement.specifier for requirement in map(Requirement, listed)}
    assert str(found.pop("dimat")) == ""  # `dev` has all other extras
    return found


def lower_bound(specifier):
    (bound,) = (part.version for part in specifier if part.operator == ">=")
    return Version(bound)


def test_every_requirement_has_a_lower_bound():
    for specifier in project_requirements().values():
        assert lower_bound(specifier) > Version("0")


def test_the_environment_of_conda_is_that_of_the_project():
    made = subprocess.run(
        [sys.executable, ROOT / ".ci" / "environment.py"], capture_output=True, text=True, check=True
    )
    assert (ROOT / "environment.yml").read_text() == made.stdout
    listed = yaml.safe_load(made.stdout)["dependencies"]
    assert len(listed) - 3 + len(listed[-1]["pip"]) == len(
        project_requirements()
    )  # python, pip, and its list


def test_constraints_pin_every_requirement():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        text = line.split("#")[0].strip()
        if text and not text.startswith("-"):
            requirement = Requirement(text)
            (part,) = requirement.specifier
            assert part.operator == "==", text
            pins[requirement.name.lower().replace("_", "-")] = part.version
    for name, specifier in project_requirements().items():
        assert specifier.contains(pins[name.lower().replace("_", "-")]), name


def test_there_is_no_matcher_that_matches_nothing(small):
    with pytest.raises(InputError, match=r"matching.*'identity' is no known name"):
        parse_study(small | {"matching": {"matcher": "identity"}}, "study")
    (run,) = parse_study(small | {"method": "wa"}, "study").runs.values()
    assert run.matching is None
