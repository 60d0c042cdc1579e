"""Commands that turn records into figures, tables and the paper."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from dimat import files
from dimat.config import Study, read_study
from dimat.errors import InputError
from dimat.layout import Layout

commands = typer.Typer()

Config = Annotated[Path, typer.Argument(help="Configuration file (YAML or JSON).", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder of results; nothing is written outside it.")]
Only = Annotated[str | None, typer.Option(help="Name of the one to make; all of them by default.")]
DEFAULT_RESULTS = Path("results")


def _chosen(names: Iterable[str], only: str | None) -> list[str]:
    names = list(names)
    if only is not None and only not in names:
        raise InputError(f"--only: {only!r} is not in this study; valid: {', '.join(names)}")
    return names if only is None else [only]


def _open(config: Path, results: Path) -> tuple[Study, Layout]:
    study = read_study(config)
    return study, Layout(results / study.name)


@commands.command()
def figure(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Draw figures from records, partitions and graphs."""
    from paper.contents import figures_of
    from paper.figures import draw

    study, layout = _open(config, results)
    for name in _chosen(figures_of(study), only):
        files.write(layout.figure(name), draw(study, layout, name))
        logging.info("%s written", layout.figure(name))


@commands.command()
def table(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Write tables from records, as CSV and LaTeX."""
    from paper.contents import tables_of
    from paper.tables import as_csv, as_latex, tabulate

    study, layout = _open(config, results)
    for name in _chosen(tables_of(study), only):
        made = tabulate(study, layout, name)
        files.write(layout.table(name, "csv"), as_csv(made))
        files.write(layout.table(name, "tex"), as_latex(made))
        logging.info("%s written", layout.table(name, "csv"))


@commands.command()
def pdf(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Typeset the paper: figures, tables, audit and provenance in one PDF."""
    from paper.pdf import typeset

    study, layout = _open(config, results)
    files.write(layout.pdf, typeset(study, layout))
    logging.info("%s written", layout.pdf)
