"""The systems beside DIMAT as a page of Markdown: what each is, what it claims, and what came out here."""

from collections.abc import Mapping

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_json
from paper.page import without_tags
from paper.report.entries import System, systems

INTRODUCTION = """\
# Systems beside DIMAT

This page is made by `dimat systems`: what came out is computed from the records that
`snakemake --cores all systems` makes.
"""


def systems_page(studies: Mapping[str, tuple[Study, Layout]]) -> str:
    """The whole page, a section for each system that is among ``studies``, by the names of their files."""
    sections = [_section(system, *studies[id]) for id, system in systems().items() if id in studies]
    return "\n".join([INTRODUCTION, *sections])


def _section(system: System, study: Study, layout: Layout) -> str:
    """What a system is, and the findings of its figures, which lie beside the page."""
    made = read_json(layout.provenance)
    parts = [
        f"## {system.title}",
        f"{system.what.strip()} *What it claims.* {system.claims.strip()}",
        f"*What differs here.* {system.departures.strip()}" if system.departures else "",
        f"`snakemake --cores all --configfile config/systems/{study.name.removeprefix('systems-')}.yaml`: "
        f"{made['runs']} runs, {made['seconds'] / 60:.0f} minutes of all jobs together.",
    ]
    for id, figure in system.figures_in(study).items():
        said = without_tags(figure.finding(layout))
        parts.append(f"![{system.title}: {id}](systems/{id}.svg)\n\n{said}")
    return "\n\n".join(filter(None, parts)) + "\n"
