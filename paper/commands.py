"""Commands that turn records into figures, tables and the paper."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from dimat.config import Study, read_study
from dimat.errors import InputError
from dimat.layout import Layout

commands = typer.Typer()

Config = Annotated[Path, typer.Argument(help="Configuration file (YAML or JSON).", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder of results; nothing is written outside it.")]
Only = Annotated[str | None, typer.Option(help="Name of the one to make; all of them by default.")]
DEFAULT_RESULTS = Path("results")


def _each(
    config: Path,
    results: Path,
    only: str | None,
    names_of: Callable[[Study], Iterable[str]],
    make: Callable[[Study, Layout, str], None],
) -> None:
    study = read_study(config)
    layout = Layout(results / study.name)
    names = list(names_of(study))
    if only is not None and only not in names:
        raise InputError(f"--only: {only!r} is not in this study; valid: {', '.join(names)}")
    for name in [only] if only is not None else names:
        make(study, layout, name)
        logging.info("%s done", name)


@commands.command()
def figure(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Draw figures from records, partitions and graphs."""
    from paper.contents import figures_of
    from paper.figures import draw

    _each(config, results, only, figures_of, draw)


@commands.command()
def table(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Write tables from records, as CSV and LaTeX."""
    from paper.contents import tables_of
    from paper.tables import tabulate

    _each(config, results, only, tables_of, tabulate)


@commands.command()
def pdf(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Typeset the paper from figures, tables and the audit."""
    from paper.pdf import typeset

    study = read_study(config)
    layout = Layout(results / study.name)
    typeset(study, layout)
    logging.info("%s written", layout.pdf)
