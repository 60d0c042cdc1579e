"""Whatever the configuration accepts gives its figures, tables and paper: studies drawn at random."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some
from matplotlib import pyplot
from support.families import EVERY_FAMILY
from support.labels import overlapping
from support.made_up import write_finished

from dimat.errors import InputError
from dimat.io.files import write_checked
from dimat.methods import known_methods
from paper.commands import write_table
from paper.figures import figures_of
from paper.pdf import typeset
from paper.style import as_file
from paper.tables import tables_of

LABELS_APART = ("progress", "training-loss", "mean-model", "parts", "communication")
"""Kinds of figures in which no label may cover another."""
OF_THE_AUDIT = ("audit-bounds", "audit-tightness", "audit-readings")
"""Figures that are the same in every study: drawn in the example by hand."""
MEASURES = ("training_loss", "parts", "mean_model")
RATES = (0.1, 0.01, 0.003)


def many(values, most=3):
    return some.lists(values, min_size=1, max_size=most, unique_by=repr)


def with_options(name):
    """A method by its name, or with one of its options."""
    fields = known_methods[name].model_fields
    options = [name]
    if "optimizer" in fields:
        options += [{"name": name, "optimizer": {"name": "sgd", "learning_rate": rate}} for rate in RATES]
    if "learning_rate" in fields:
        options += [{"name": name, "learning_rate": rate} for rate in RATES]
    return options


SEVERAL = {"matcha", "teleportation"}
"""Methods that have no use for one agent alone."""
METHODS = [method for name in known_methods for method in with_options(name)]
GRAPHS = [
    *EVERY_FAMILY,
    {"name": "ring", "link_failures": 0.2},
    {"name": "complete", "weights": "uniform"},
    {"name": "edges", "edge_list": [[0, 1], [1, 2], [2, 3], [0, 3]]},
]
MATCHINGS = [
    {"matcher": matcher, "alignment": alignment, "rematch": rematch}
    for matcher in ("activation", "weight", "activation-weight")
    for alignment in ("per_edge", "consistent")
    for rematch in ("every_round", "first_meeting", "sticky", "margin", "lowers_disagreement")
    if alignment == "consistent" or rematch != "lowers_disagreement"
] + [{"matcher": "weight", "alignment": "universe"}]
MIXED = {"matcher": {"name": "weight", "temperature": 0.1}}
AXES = {
    "data": some.sampled_from(["digits", "cifar10", {"name": "digits", "size": 16, "train_limit": 90}]),
    "model": some.sampled_from(["plain", "resnet20", {"name": "plain", "widths": [3, 4]}, "vgg16", "vit"]),
    "partition": some.sampled_from(
        ["iid", "classes", "two_phase", *({"name": "dirichlet", "alpha": alpha} for alpha in (0.1, 0.5, 2.5))]
    ),
    "graph": some.sampled_from(GRAPHS),
    "agents": some.sampled_from([1, 2, 3, 4, 5, 8, 21]),
    "method": some.sampled_from(METHODS),
    "matching": some.sampled_from([*MATCHINGS, MIXED]),
    "calibration": some.sampled_from(
        [
            {"images": images, "repair": repair}
            for images in ("own", "neighbours", "pooled")
            for repair in ("none", "recalibrate", "repair", "rescale", "least_squares")
        ]
    ),
    "seeds": some.integers(0, 5),
}
TRAINING = some.fixed_dictionaries(
    {"rounds": some.integers(1, 12), "epochs": some.integers(1, 2)},
    optional={"batch_size": some.sampled_from([10, 20]), "start": some.just("same")},
)
WHOLE = {
    "training": TRAINING,
    "protocol": some.sampled_from(["", "fair", "as-published", "as published"]),
    "tuning": some.sampled_from([None, {"factors": [1, 3]}, {"factors": [0.5, 1], "seed": 7}]),
}
VARIANT = some.fixed_dictionaries({}, optional={name: many(axis, 2) for name, axis in AXES.items()} | WHOLE)
SHARED_LINKS = [
    {"spread": 0.2, "controller": ["adpg", {"name": "adpg", "flows": [2]}, "aimd", "proportional"]},
    {"controller": {"name": "fixed", "rate": 0.1}},
]
STUDY = some.fixed_dictionaries(
    {"method": many(AXES["method"], 8), "training": TRAINING, "seeds": many(AXES["seeds"])},
    optional={
        **{name: many(axis, 2) for name, axis in AXES.items() if name not in ("method", "seeds")},
        "protocol": WHOLE["protocol"],
        "tuning": WHOLE["tuning"],
        "matching": many(AXES["matching"], 14),
        "links": some.just({"bandwidth": 1.0}),
        "bottleneck": some.sampled_from([{}, *SHARED_LINKS]),
        "measures": some.lists(some.sampled_from(MEASURES), max_size=3),
        "variants": some.lists(VARIANT, max_size=2),
    },
)
MOST_RUNS = 120
"""Of a drawn study: one of more takes long, and has nothing new."""


def draw_all(study, layout, left_out=()):
    """Every figure, table and the paper, with no warning; what they say is looked at on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, figure in figures_of(study).items():
            told = figure.told(layout)
            assert told.startswith(figure.caption()) and told.isprintable() and "nan" not in told.split()
            write_checked(layout.figure(name, "txt"), told.encode())
            if name in left_out:
                write_checked(layout.figure(name), b'<svg xmlns="http://www.w3.org/2000/svg"/>')
                continue
            drawn = figure.draw(layout)
            write_checked(layout.figure(name), as_file(drawn, "svg"))
            assert_told_apart(name, drawn)
            assert_legends_fit(name, drawn)
            if figure.kind in LABELS_APART:
                assert not overlapping(drawn), name
            pyplot.close(drawn)
        for name, table in tables_of(study).items():
            write_table(layout, name, table)
        assert typeset(study, layout).startswith(b"%PDF")


def assert_told_apart(name, figure):
    """What has another label looks different, in the whole figure."""
    seen = {}
    for panel in figure.axes:
        for line in panel.lines:
            if (label := line.get_label()).startswith("_"):
                continue
            look = (line.get_color(), line.get_marker(), line.get_linestyle(), line.get_fillstyle())
            assert seen.setdefault(look, label) == label, (name, look)


def assert_legends_fit(name, figure):
    for legend in figure.legends:
        box, page = legend.get_window_extent(), figure.bbox
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, f"{name}: a legend wider than its figure"
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, f"{name}: a legend higher than its figure"
        for panel in figure.axes:
            assert panel.bbox.y0 >= box.y1 - 1 and panel.bbox.height > 30, f"{name}: no room beside a legend"


def drawn_or_refused(content, left_out=OF_THE_AUDIT):
    """Whether a study was drawn; one that is refused is refused in one line, before anything is made."""
    with TemporaryDirectory() as folder:
        try:
            study, layout = write_finished(Path(folder), **content)
        except InputError as error:
            assert str(error).startswith("study: ") and len(str(error).splitlines()) == 1
            return False
        if len(study.runs) > MOST_RUNS:
            return False
        draw_all(study, layout, left_out)
        return True


def test_any_study_is_drawn_or_refused(long):
    @settings(
        max_examples=400 if long else 8,
        derandomize=not long,
        phases=list(Phase) if long else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(STUDY)
    def check(content):
        drawn_or_refused(content)

    check()


FEWER = {"rounds": 1}
BY_HAND = {
    "all measures": {
        "method": ["dimat", "wa", "local", "pooled", "dpsgd"],
        "partition": ["iid", "classes"],
        "measures": MEASURES,
    },
    "measures of some": {
        "method": "wa",
        "agents": 9,
        "variants": [{"method": "dimat", "measures": MEASURES, "training": FEWER, "seeds": 0}],
    },
    "measures of one agent": {"agents": 1, "method": ["dimat", "wa", "pooled"], "measures": MEASURES},
    "fewer rounds in a variant": {
        "method": ["dimat", "wa", "dpsgd"],
        "matching": [{}, {"rematch": "first_meeting"}],
        "training": {"rounds": 3},
        "variants": [{"training": FEWER}],
    },
    "a shared link": {
        "method": ["dimat", "wa", "dpsgd", "local"],
        "partition": ["iid", "classes"],
        "bottleneck": SHARED_LINKS[0],
    },
    "a shared link of one agent": {"agents": 1, "method": ["wa", "pooled"], "bottleneck": {}},
    "no communication": {"method": ["local", "pooled"], "partition": ["iid", "classes"]},
    "pooled training alone": {"method": "pooled"},
    "local training where nobody else is": {
        "method": "dimat",
        "variants": [{"method": "local", "agents": 3}],
    },
    "no DIMAT": {"method": ["wa", "dpsgd", "local"]},
    "one agent": {"agents": 1, "method": [name for name in known_methods if name not in SEVERAL]},
    "one agent and one seed": {"agents": 1, "method": ["dimat", "wa"], "seeds": 0},
    "one round": {"method": ["dimat", "wa", "dpsgd"], "training": FEWER, "seeds": 0},
    "every matching": {"method": ["dimat", "wa"], "matching": MATCHINGS, "training": {"rounds": 2}},
    "many graphs": {"method": ["dimat", "wa"], "graph": GRAPHS[:7], "agents": 16, "seeds": 0},
}


@pytest.mark.parametrize("content", BY_HAND.values(), ids=BY_HAND)
def test_unusual_studies_are_drawn(content):
    assert drawn_or_refused({"seeds": [0, 1], "training": {"rounds": 2}} | content)
