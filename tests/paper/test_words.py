"""A study's own words, in figures, tables, the paper and the report: as they are, or refused at once."""

import io
import xml.etree.ElementTree

import docutils.core
import pandas
import pytest
from matplotlib import pyplot
from support.made_up import BASE, write_finished

from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.io.files import write_checked
from paper.commands import write_table
from paper.drawn import in_report, plain
from paper.figures import figures_of
from paper.pdf import typeset
from paper.style import as_file
from paper.tables import tables_of

TITLES = [
    "costs $5 or $6",
    "$x_1$",
    r"\alpha \$ 5",
    "<b>&amp;</b>",
    "#set page(width: 1cm)",
    "*a* _b_ `c` |d| e_",
    '"quoted", with comma',
    "Größe, Äpfel ± 1",
    "=1+1",
    "50 % {}",
    "{{ 1 }}",
    "猫 🐱",
    "1.0",
]

PLAIN = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def folder(title, path="images"):
    return {"name": "folder", "path": path, "title": title}


@pytest.mark.parametrize("titles", [TITLES[:5], TITLES[5:9], TITLES[9:]], ids=["marks", "signs", "numbers"])
def test_titles_are_shown_as_they_are(tmp_path, titles):
    data = [folder(title) for title in titles]
    study, layout = write_finished(
        tmp_path, data=data, method=["dimat", "wa"], seeds=[0], training={"rounds": 2}
    )
    for name, table in tables_of(study).items():
        rows = table.rows(layout)
        write_table(layout, name, table)
        if "data" in rows:
            read = pandas.read_csv(io.BytesIO(layout.table(name, "csv").read_bytes()), dtype=str)
            assert {f"{title}, made up" for title in titles} <= set(read["data"])
    for name, figure in figures_of(study).items():
        if name == "audit-gain":
            drawn = figure.draw(layout)
            labels = [text for legend in drawn.legends for text in legend.get_texts()]
            for title in titles:
                assert any(plain(title).split()[0] in text.get_text() for text in labels)
            shown = [text._preprocess_math(text.get_text()) for text in labels]
            assert not any(is_math for _, is_math in shown)
            xml.etree.ElementTree.fromstring(as_file(drawn, "svg"))
        told = figure.told(layout)
        assert docutils.core.publish_doctree(in_report(told)).astext() == told
    pyplot.close("all")


@pytest.mark.parametrize("text", ["$a$ and $b$", r"\$", r"\\$x$", "$", "$$", r"$\frac{$"])
def test_figures_show_no_formula_of_others(text):
    figure, panel = pyplot.subplots()
    title = panel.set_title(plain(text))
    assert title._preprocess_math(title.get_text()) == (text, False)
    as_file(figure, "svg")


def test_what_the_font_lacks_is_named():
    assert plain("猫 é 🧠\u2028\a") == "U+732B é U+1F9E0U+2028U+0007"


@pytest.mark.parametrize(
    "title", ["", "a\nb", "a\u2028b", "a\x00", "\x1b[31m", "a\u202eb", "x" * 81, "\ud800"]
)
@pytest.mark.parametrize("key", ["title", "path"])
def test_words_that_nobody_can_see_are_refused_in_one_line(title, key):
    if (key, len(title)) == ("path", 81):
        return
    with pytest.raises(InputError, match=rf"study: data\.0\.folder\.{key}: ") as refused:
        parse_study(BASE | {"data": folder("a") | {key: title}}, "study")
    assert len(str(refused.value).splitlines()) == 1


def test_titles_that_look_alike_are_told_apart(tmp_path):
    data = [folder("a b", "a"), folder("a b", "b"), folder("1.0", "1.0"), folder("1.0", "1")]
    study, layout = write_finished(tmp_path, data=data, method="dimat", seeds=[0], training={"rounds": 1})
    assert tables_of(study)["progress"].rows(layout)["data"].nunique() == 4


def test_the_paper_takes_any_words(tmp_path):
    data = [folder(title) for title in TITLES]
    study, layout = write_finished(
        tmp_path, data=data, method=["wa", "local"], seeds=[0], training={"rounds": 1}
    )
    for name, table in tables_of(study).items():
        write_table(layout, name, table)
    for name, figure in figures_of(study).items():
        drawn = name.startswith("progress-folder-plain-2-1")
        content = as_file(figure.draw(layout), "svg") if drawn else PLAIN
        write_checked(layout.figure(name), content)
        write_checked(layout.figure(name, "txt"), figure.told(layout).encode())
    assert typeset(study, layout).startswith(b"%PDF")
