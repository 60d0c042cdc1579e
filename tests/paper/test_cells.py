"""No cell and no line holds runs that differ in more than the seed, whatever a study varies."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from matplotlib import pyplot
from support.made_up import write_study

from dimat.errors import InputError
from dimat.experiment.cells import SETTING, labelled
from paper.comparisons import comparisons, ways_of_matching, with_unmatched
from paper.figures import figures_of
from paper.measured import placed, read_shown
from paper.panels import START
from paper.tables import tables_of

METHODS = [
    *("dimat", "wa", "wm", "local", "pooled", "dpsgd", "cdsgd", "quasi_global", "sgp"),
    *({"name": "dpsgd", "learning_rate": rate} for rate in (0.2, 0.001)),
    {"name": "dpsgd", "momentum": 0.9},
    *({"name": name, "shrink": 0.5} for name in ("dimat", "wa")),
    *({"name": "dimat", "optimizer": {"name": "sgd", "learning_rate": rate}} for rate in (0.1, 0.01)),
]
CHANGES = {
    "matching": [{}, {"rematch": "first_meeting"}, {"alignment": "consistent"}, {"matcher": "weight"}],
    "calibration": [{}, {"images": "own"}, {"repair": "none"}, {"limit": 100}, {"augmented": True}],
    "training": [{"rounds": 1, "epochs": 2}, {"rounds": 1, "batch_size": 7}, {"rounds": 2}],
    "tuning": [{"factors": [1, 3]}, {"factors": [1, 10]}, {"factors": [1, 3], "seed": 1}],
    "data": [{"name": "digits", "flip": True}, {"name": "digits", "test_limit": 50}],
    "model": [{"name": "plain", "widths": [3, 4]}],
    "graph": ["ring", "complete", {"name": "ring", "link_failures": 0.1}],
    "partition": ["iid", "classes", {"name": "dirichlet", "alpha": 0.1}],
    "agents": [3],
    "protocol": ["fair"],
    "seeds": [[0], [1, 2]],
}
methods = some.lists(some.sampled_from(METHODS), min_size=1, max_size=3, unique_by=str)
changes = {key: some.sampled_from(values) for key, values in CHANGES.items()}
variants = some.lists(some.fixed_dictionaries({}, optional={"method": methods} | changes), max_size=3)


def random_study(folder, **keys):
    """A study of one round with two seeds; another example if a graph does not suit a method."""
    try:
        return write_study(
            Path(folder), lambda run, round, agent: 0.5, seeds=[0, 1], training={"rounds": 1}, **keys
        )
    except InputError:
        assume(False)


def differing(study, ids):
    """The parameters in which some runs differ, but for the seed."""
    found = [study.runs[id].parameters() | {"seed": ""} for id in ids]
    return {name for each in found for name in each if any(each[name] != run.get(name) for run in found)}


@settings(max_examples=10)
@given(methods, variants)
def test_runs_of_a_row_or_line_differ_in_the_seed_alone(methods, variants):
    with TemporaryDirectory() as folder:
        study, layout = random_study(folder, method=methods, variants=variants)
        labels = labelled(read_shown(layout, study.runs)[0])
        for comparison in comparisons(study):
            rows = placed(labels.loc[list(comparison.runs)], comparison.agents)
            for _, cell in rows.groupby([*SETTING, "rival"]):
                assert not differing(study, cell.run)
                assert cell.seed.is_unique
        if (tables := tables_of(study)) and "progress" in tables:
            assert not tables["progress"].rows(layout).duplicated([*SETTING, "method"]).any()
        for figure in figures_of(study).values():
            if figure.kind == "progress":
                drawn = figure.draw(layout)
                for panel in drawn.axes:
                    lines = [line for line in panel.lines if line.get_label() != START["label"]]
                    assert len({line.get_label() for line in lines}) == len(lines)
                pyplot.close(drawn)


@settings(max_examples=25)
@given(methods, variants)
def test_pairs_differ_in_matching_alone(methods, variants):
    with TemporaryDirectory() as folder:
        chosen = [*methods, *(name for name in ("dimat", "wa") if name not in methods)]
        study, _ = random_study(folder, method=chosen, variants=variants)
    pairs = with_unmatched(study)
    assert pairs
    for own, other in pairs:
        assert study.runs[own].seed == study.runs[other].seed
        names = {name for name in differing(study, [own, other]) if not name.startswith("matching.")}
        if study.runs[own].calibration.repair == "none":  # then averaging looks at no image
            names -= {"calibration.images", "calibration.limit", "calibration.augmented"}
        assert names == {"method.name"}
    for group in ways_of_matching(study):
        matched = [id for id in group if study.runs[id].matching]
        assert all(name.startswith("matching.") for name in differing(study, matched))


def test_two_rates_are_two_rows(tmp_path):
    rates = {0.2: 0.5, 0.001: 0.25}
    methods = [{"name": "dpsgd", "learning_rate": rate} for rate in rates]
    study, layout = write_study(
        tmp_path, lambda run, round, agent: rates[run.method.learning_rate], method=methods, seeds=[0, 1]
    )
    table = tables_of(study)["progress"].rows(layout)
    assert dict(zip(table["method"], table["merge 1"], strict=True)) == {
        "D-PSGD, rate 0.2": "50.0 ± 0.0",
        "D-PSGD, rate 0.001": "25.0 ± 0.0",
    }


def test_labels_that_cannot_tell_runs_apart_are_one_error(tmp_path):
    study, layout = write_study(tmp_path, lambda run, round, agent: 0.5, method="dpsgd", seeds=[0])
    runs, _ = read_shown(layout, study.runs)
    twice = runs.loc[[*runs.index, *runs.index]].set_axis(["one", "two"], axis=0)
    with pytest.raises(InputError, match="differ in nothing"):
        labelled(twice)
    with pytest.raises(InputError, match=r"one and two differ in unknown\.parameter"):
        labelled(twice.assign(**{"unknown.parameter": ["1", "2"]}))
