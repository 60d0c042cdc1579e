"""Text that users chose is shown as it is: in figures, in reports, in the paper, and on a page."""

import warnings

import docutils.core
import numpy
import pandas
import pytest
import typst
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.text import Text
from support.made_up import write_study

from dimat.data.partitions import Iid
from dimat.io.files import write_json
from paper.drawn import LONGEST, drawn, in_report, plain
from paper.figures import figures_of
from paper.page import markdown
from paper.style import as_file

UNUSUAL = [
    *(
        "a$b",
        "$x^2$",
        "$$",
        r"\alpha$",
        r"a\$b",
        "<b>&amp;</b>",
        "#let x = 1",
        "*a* _b_ `c` |d|",
        "-->",
        "%s {x}",
    ),
    *("\u732b", "\U0001f408", "\u0645\u0631\u062d\u0628\u0627", "e\u0301", "\u00e9", "\ufffe", "\ue000"),
]


@pytest.mark.filterwarnings("error")
def test_classes_of_unusual_names_are_drawn(tmp_path):
    names = (*UNUSUAL, "x" * 255)
    study, layout = write_study(tmp_path, lambda *_: 0.5, method="dimat")
    (figure,) = (each for each in figures_of(study).values() if each.kind == "holdings")
    labels = numpy.arange(10 * len(names)) % len(names)
    shares = Iid().shares(labels, 2, numpy.random.default_rng(0))
    path = figure.reads(layout)[0]
    write_json(path, shares.content(path.stem, "", labels, names))
    picture = figure.draw(layout)
    found = [label.get_text() for label in picture.axes[0].get_xticklabels()]
    assert found[UNUSUAL.index("\u732b")] == "U+732B"
    assert found[UNUSUAL.index("\u00e9")] == "\u00e9"
    svg = as_file(picture, "svg")
    typst.compile({"main.typ": b'#image("it.svg")', "it.svg": svg})


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])), unique=True, max_size=8))
def test_labels_are_distinct_short_and_no_mathematics(names):
    labels = drawn(names)
    assert len(set(labels)) == len(names)
    figure = pyplot.figure()
    for name, label in zip(names, labels, strict=True):
        assert len(label.replace(r"\$", "$")) <= LONGEST + 1
        text, mathematics = Text(0, 0, label, figure=figure)._preprocess_math(label)
        assert not mathematics
        if len(name) <= LONGEST and name.isascii():
            assert text == name
    pyplot.close(figure)


def test_long_names_with_one_beginning_and_end_stay_distinct():
    names = [f"{'x' * 100}{number}{'y' * 100}" for number in range(12)]
    assert len(set(drawn(names))) == 12


def test_plain_text_is_drawn_without_warnings():
    figure, panel = pyplot.subplots()
    panel.set_title(plain("a$b$ \u732b\n/c"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_file(figure, "svg")
    pyplot.close(figure)


@given(st.lists(st.sampled_from([*UNUSUAL[:-2], "`a`_", "a_", "::", "1.", "- ", "http://x.y/_"]), min_size=1))
def test_captions_of_reports_keep_every_character(words):
    text = " ".join(" ".join(words).split())
    (paragraph,) = docutils.core.publish_doctree(
        in_report(text), settings_overrides={"report_level": 1}
    ).children
    assert paragraph.astext() == text


def test_cells_of_a_page_start_no_html():
    rows = pandas.DataFrame({"data": ["<b>x</b>|", "a < b <= c"]})
    assert "| &lt;b>x&lt;/b>&#124; |\n| a < b <= c |" in markdown(rows)
