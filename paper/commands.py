"""Commands that turn records into figures, tables and the paper."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Config, Configs, Only, Results, open_study, whole
from dimat.errors import InputError
from dimat.experiment.catalogue import read_studies, study_files
from dimat.experiment.layout import Layout
from dimat.experiment.provenance import made_by
from dimat.io import files

if TYPE_CHECKING:
    from paper.shown import PaperFigure, PaperTable

commands = typer.Typer()
PACKAGES = ("dimat", "theory", "paper")
"""Whose code makes what these commands write."""
MADE = (".svg", ".pdf", ".png", ".txt", ".csv", ".tex")
"""Endings of files of figures and tables."""
Pages = Annotated[
    list[Path], typer.Argument(help="Configuration files of the studies, in order.", show_default=False)
]
DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device", help="A name in the table of throughputs, or cpu or cuda. Default: this machine's."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        help="A zip or, without that ending, a folder; neither may be there yet.", show_default=False
    ),
]
Folders = Annotated[
    list[Path],
    typer.Argument(help="Folders of configurations, such as config/paper-small.", show_default=False),
]
Systems = Annotated[Path, typer.Argument(help="The folder of their configurations.")]
ReportFile = Annotated[Path | None, typer.Option("--output", "-o", help="The PDF.", show_default=False)]
AgentName = Annotated[str | None, typer.Option("--agent", help="Who carried the study out: a person's name.")]
Orcid = Annotated[str | None, typer.Option(help="The person's ORCID iD, such as 0000-0002-1825-0097.")]
Shown = TypeVar("Shown")


def chosen(named: Mapping[str, Shown], only: str | None) -> Mapping[str, Shown]:
    """The one named by ``only``, or all."""
    if only is not None and only not in named:
        raise InputError(f"--only: {only!r} is not in this study; expected one of {', '.join(named)}")
    return named if only is None else {only: named[only]}


@commands.command()
def plan(paths: Configs, results: Results = DEFAULT_RESULTS, device: DeviceName = None) -> None:
    """Print what a study will take: runs, starts, hours by method and by figure, memory and disk.

    Of several, or of a folder of them, a line for each, and for all: what they share is counted once. Nothing
    is started. Hours are those of one job after the other.
    """
    from paper.plan import planned, planned_together

    studies = read_studies(paths)
    if len(studies) > 1 or paths[0].is_dir():
        typer.echo(planned_together(studies, results, device))
    else:
        typer.echo(planned(studies[0], Layout(results / studies[0].name), device))


@commands.command()
def figure(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Draw figures from records, partitions, graphs and the audit."""
    from paper.figures import figures_of

    study, layout = open_study(config, results)
    for name, each in chosen(figures_of(study), only).items():
        write_figure(layout, name, each)
        logging.info("%s written", layout.figure(name))


def write_figure(layout: Layout, name: str, each: "PaperFigure") -> None:
    """Write the figure ``name``, as SVG, PDF and PNG, and its caption."""
    from paper.style import FORMATS, as_file, pyplot

    drawn = each.draw(layout)
    contents = {ending: as_file(drawn, ending) for ending in FORMATS}
    pyplot.close(drawn)
    contents["txt"] = f"{each.told(layout)}\n".encode()
    for ending, content in contents.items():
        path = layout.figure(name, ending)
        files.write_checked(path, content, each.reads(layout), made_by(*PACKAGES))


@commands.command()
def table(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Write tables from records and the audit, as CSV and LaTeX."""
    from paper.tables import tables_of

    study, layout = open_study(config, results)
    for name, each in chosen(tables_of(study), only).items():
        write_table(layout, name, each)
        logging.info("%s written", layout.table(name, "csv"))


def write_table(layout: Layout, name: str, each: "PaperTable") -> None:
    """Write the table ``name``, as CSV and LaTeX."""
    rows = each.rows(layout)
    latex = rows.to_latex(index=False, escape=True).replace("±", r"$\pm$")
    text = rows.to_csv(index=False, lineterminator="\n")
    for ending, content in (("csv", text), ("tex", latex)):
        path = layout.table(name, ending)
        files.write_checked(path, content.encode(), each.reads(layout), made_by(*PACKAGES))


def remove_stale(example: Path, shown: Mapping[str, object]) -> None:
    """Remove what was made beside ``example`` for an earlier configuration, and is not ``shown`` now.

    Only files as this project wrote them: their checksum lies beside them. Others are their owner's.
    """
    for path in sorted(example.parent.glob("*.*")):
        if path.suffix in MADE and path.stem not in shown and files.is_checked(path):
            for each in (path, files.checksum_path(path)):
                files.remove(each)
            logging.info("%s: removed; it is of an earlier configuration of this study", path)


@commands.command()
def page(
    configs: Pages,
    results: Results = DEFAULT_RESULTS,
    only: Annotated[
        list[str] | None, typer.Option(help="A table to print; may be given again. Default: all.")
    ] = None,
) -> None:
    """Print the tables of finished studies as a page of Markdown: docs/results.md."""
    from paper.page import page

    typer.echo(page((open_study(config, results) for config in configs), only or ()), nl=False)


@commands.command()
def systems(
    folder: Systems = Path("config/systems"),
    results: Results = DEFAULT_RESULTS,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("docs/systems.md"),
) -> None:
    """Write what the systems beside DIMAT are, and what came out, as Markdown, with pictures beside it.

    Records may come from an archive (dimat unpack).
    """
    from paper.systems_page import PICTURES, systems_page, systems_pictures

    opened = zip(study_files(folder), read_studies([folder]), strict=True)
    found = {file.stem: (study, Layout(results / study.name)) for file, study in opened}
    for name, content in systems_pictures(found):
        files.write(output.parent / PICTURES / name, content)
    files.write(output, systems_page(found).encode())
    logging.info("%s written", output)


@commands.command()
def gallery(
    results: Results = DEFAULT_RESULTS,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the page.")] = Path("docs"),
) -> None:
    """Write docs/gallery.md, figures of different kinds with the commands that draw them, and its pictures.

    Records come from archives (dimat unpack); what to show is in paper/report/gallery.yaml.
    """
    from paper.gallery import gallery as found

    for name, content in found(results):
        files.write(output / name, content)
        logging.info("%s written", output / name)


@commands.command()
def pdf(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Typeset the paper from figures and tables that are there, with provenance, in one PDF."""
    from paper.figures import figures_of
    from paper.pdf import typeset
    from paper.tables import tables_of

    study, layout = open_study(config, results)
    remove_stale(layout.figure(""), figures_of(study))
    remove_stale(layout.table("", "csv"), tables_of(study))
    parts = [layout.figure(name, ending) for name in figures_of(study) for ending in ("svg", "txt")]
    parts += [layout.table(name, "csv") for name in tables_of(study)]
    made_from = [*parts, layout.provenance]
    files.write_checked(layout.pdf, typeset(study, layout), made_from, made_by(*PACKAGES))
    logging.info("%s written", layout.pdf)


@commands.command()
def report(
    folders: Folders,
    results: Results = DEFAULT_RESULTS,
    output: ReportFile = None,
    processes: Annotated[int, whole("Processes that share the studies.", 1, 256)] = 1,
) -> None:
    """Typeset one paper over all studies of folders: results/FOLDER.pdf of the first, or --output.

    Studies whose runs are all there are joined, judged and drawn from their records; of the others it is said
    what they would take. Nothing is trained. Records may come from an archive (dimat unpack).
    """
    from paper.report.gathering import Gathered
    from paper.report.typesetting import typeset

    gathered = Gathered(folders, results, processes)
    if output is None:
        output = Layout(results / gathered.name).report(gathered.name)
        files.write_checked(output, typeset(gathered), gathered.reads(), made_by(*PACKAGES))
    else:
        files.write(output, typeset(gathered))
    logging.info("%s written", output)


@commands.command()
def crate(
    config: Config,
    output: Output = None,
    agent: AgentName = None,
    orcid: Orcid = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Pack a finished study as a Workflow Run RO-Crate: results/NAME.crate.zip, or --output.

    In it are the workflow, the configuration, everything made but images and networks, and what made what, in
    ro-crate-metadata.json for machines.
    """
    from paper.crate import crate, named_agent, workflow_folder, write_crate

    workflow_folder()  # a mistake comes before the work
    study, layout = open_study(config, results)
    output = output or layout.root.with_name(f"{study.name}.crate.zip")
    write_crate(output, lambda: crate(study, layout, config, named_agent(agent, orcid)))
    logging.info("%s written", output)
