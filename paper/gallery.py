"""Figures of archived studies as a page of Markdown, each with the command that draws it."""

from collections.abc import Iterator
from importlib.resources import files as package_files
from pathlib import Path

import yaml

from dimat.errors import InputError
from dimat.experiment.layout import Layout
from dimat.experiment.reading import read_study
from dimat.spec import Spec
from paper.figures import figures_of
from paper.page import without_tags
from paper.report.studies import joined
from paper.shown import PaperFigure

INTRODUCTION = """\
# Gallery

Figures of different kinds. `dimat gallery` (`make docs`) makes this page from
[archived records](../paper/archive/README.md): nothing is trained, and what is said below a picture is
computed, too. The command below a picture draws it, after

```sh
{unpack}
```
"""
PICTURES = "gallery"
"""The folder beside the page in which its pictures are."""


class Exhibit(Spec):
    """A picture of the page: a figure of a study, a file of that name in the folder of an archive."""

    title: str
    archive: str
    study: str
    figure: str

    @property
    def config(self) -> Path:
        """The configuration of its study, in a checkout."""
        return Path("config", self.archive, f"{self.study}.yaml")

    @property
    def picture(self) -> str:
        """Where it is, beside the page."""
        return f"{PICTURES}/{self.archive}-{self.study}-{self.figure}.svg"

    def shown(self, results: Path) -> tuple[PaperFigure, Layout]:
        """The figure, and where its records are; `InputError` if its study has no such figure."""
        study = read_study(self.config)
        figures, layout = figures_of(study), Layout(results / study.name)
        if self.figure not in figures:
            raise InputError(
                f"gallery.yaml: {self.config} has no figure {self.figure}; expected one of its own"
            )
        joined(study, layout)
        return figures[self.figure], layout

    def text(self, figure: PaperFigure, layout: Layout) -> str:
        """Its section of the page."""
        told = without_tags(figure.told(layout))
        command = f"dimat figure {self.config} --only {self.figure}"
        return f"## {self.title}\n\n![{self.title}]({self.picture})\n\n{told}\n\n```sh\n{command}\n```\n"


def exhibits() -> list[Exhibit]:
    """Those of gallery.yaml, in its order."""
    written = yaml.safe_load((package_files("paper.report") / "gallery.yaml").read_text("utf-8"))
    return [Exhibit.model_validate(each) for each in written]


def gallery(results: Path) -> Iterator[tuple[str, bytes]]:
    """Pictures, and last the page itself as `gallery.md`: the name of each file and its content.

    `InputError` if records are missing.
    """
    from paper.style import as_file, pyplot

    listed = exhibits()
    archives = dict.fromkeys(each.archive for each in listed)
    unpack = "\n".join(f"dimat unpack paper/archive/{name}.tar.xz" for name in archives)
    sections = [INTRODUCTION.format(unpack=unpack)]
    for each in listed:
        figure, layout = each.shown(results)
        drawn = figure.draw(layout)
        yield each.picture, as_file(drawn, "svg")
        pyplot.close(drawn)
        sections.append(each.text(figure, layout))
    yield "gallery.md", "\n".join(sections).encode()
