"""Commands that turn records into figures, tables and the paper."""

import logging
from collections.abc import Iterable

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Config, Only, Results, open_study
from dimat.errors import InputError
from dimat.io import files

commands = typer.Typer()


def _chosen(names: Iterable[str], only: str | None) -> list[str]:
    names = list(names)
    if only is not None and only not in names:
        raise InputError(f"--only: {only!r} is not in this study; valid: {', '.join(names)}")
    return names if only is None else [only]


@commands.command()
def figure(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Draw figures from records, partitions and graphs."""
    from paper.contents import figures_of
    from paper.figures import draw

    study, layout = open_study(config, results)
    for name in _chosen(figures_of(study), only):
        files.write(layout.figure(name), draw(study, layout, name))
        logging.info("%s written", layout.figure(name))


@commands.command()
def table(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Write tables from records, as CSV and LaTeX."""
    from paper.contents import tables_of
    from paper.tables import as_csv, as_latex, tabulate

    study, layout = open_study(config, results)
    for name in _chosen(tables_of(study), only):
        made = tabulate(study, layout, name)
        files.write(layout.table(name, "csv"), as_csv(made))
        files.write(layout.table(name, "tex"), as_latex(made))
        logging.info("%s written", layout.table(name, "csv"))


@commands.command()
def pdf(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Typeset the paper: figures, tables, audit and provenance in one PDF."""
    from paper.pdf import typeset

    study, layout = open_study(config, results)
    files.write(layout.pdf, typeset(study, layout))
    logging.info("%s written", layout.pdf)
