"""Commands of the audit."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from dimat import files
from dimat.config import read_study
from dimat.layout import Layout

commands = typer.Typer()


@commands.command()
def audit(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML or JSON).", show_default=False)],
    results: Annotated[Path, typer.Option(help="Folder of results; nothing is written outside it.")] = Path(
        "results"
    ),
) -> None:
    """Compare measured numbers with derived bounds; corrupted controls must be rejected."""
    from theory.audit import audit as run_audit
    from theory.report import as_csv, summary

    layout = Layout(results / read_study(config).name)
    rows = run_audit()
    files.write(layout.audit, as_csv(rows).encode())
    for line in summary(rows):
        logging.info(line)


@commands.command()
def derive() -> None:
    """Print the derivation of the bound, step by step, each checked by machine."""
    from theory.report import derivation_text

    typer.echo(derivation_text())
