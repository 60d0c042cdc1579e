"""The systems beside DIMAT as a page of Markdown: what each is, what it claims, and what came out here."""

from collections.abc import Iterator, Mapping

from dimat.experiment.archive import finished
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_json
from paper.page import without_tags
from paper.report.entries import System, systems
from paper.report.studies import joined

INTRODUCTION = """\
# Systems beside DIMAT

This page is made by `dimat systems`: what came out is computed from the records that
`snakemake --cores all systems` makes, or from [archived ones](../paper/archive/README.md).
"""
PICTURES = "systems"
"""The folder beside the page in which its pictures are."""

Studies = Mapping[str, tuple[Study, Layout]]
"""Studies and where they lie, by the names of their files."""


def systems_page(studies: Studies) -> str:
    """The whole page, a section for each system that is among ``studies``."""
    sections = [_section(system, id, *studies[id]) for id, system in systems().items() if id in studies]
    return "\n".join([INTRODUCTION, *sections])


def systems_pictures(studies: Studies) -> Iterator[tuple[str, bytes]]:
    """The pictures of the page: the name of the file of each, and its SVG."""
    from paper.style import as_file, pyplot

    for id, system in systems().items():
        if id in studies and finished(*studies[id]):
            study, layout = studies[id]
            joined(study, layout)
            for name, figure in system.figures_in(study).items():
                drawn = figure.draw(layout)
                yield f"{id}-{name}.svg", as_file(drawn, "svg")
                pyplot.close(drawn)


def _section(system: System, id: str, study: Study, layout: Layout) -> str:
    """What a system is, and the findings of its figures, which lie beside the page."""
    command = f"`snakemake --cores all --configfile config/systems/{id}.yaml`"
    parts = [
        f"## {system.title}",
        f"{system.what.strip()} *What it claims.* {system.claims.strip()}",
        f"*What differs here.* {system.departures.strip()}" if system.departures else "",
    ]
    if not finished(study, layout):
        return "\n\n".join(filter(None, [*parts, f"Not measured yet: {command}."])) + "\n"
    joined(study, layout)
    made = read_json(layout.provenance)
    parts.append(
        f"{command}: {made['runs']} runs, {made['seconds'] / 60:.0f} minutes of all of them together."
    )
    for name, figure in system.figures_in(study).items():
        said = without_tags(figure.finding(layout))
        parts.append(f"![{system.title}: {name}]({PICTURES}/{id}-{name}.svg)\n\n{said}")
    return "\n\n".join(filter(None, parts)) + "\n"
