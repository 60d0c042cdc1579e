"""Arguments that commands share, wherever they are defined."""

from pathlib import Path
from typing import Annotated

import typer

from dimat.experiment.config import Study, read_study
from dimat.experiment.layout import Layout

Config = Annotated[Path, typer.Argument(help="Configuration file (YAML or JSON).", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder for results; nothing is written outside it.")]
Only = Annotated[str | None, typer.Option(help="The one to carry out; all of them by default.")]
DEFAULT_RESULTS = Path("results")


def open_study(config: Path, results: Path) -> tuple[Study, Layout]:
    """The study of a configuration and its folder below ``results``."""
    study = read_study(config)
    return study, Layout(results / study.name)
