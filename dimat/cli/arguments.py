"""Arguments that commands share, wherever they are defined."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.logs import Kind
from dimat.experiment.reading import read_study
from dimat.io.written import shortened
from dimat.spec import LARGEST

Config = Annotated[Path, typer.Argument(help="Configuration file (YAML or JSON).", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder for results; nothing is written outside it.")]
Only = Annotated[str | None, typer.Option(help="The one to carry out; all of them by default.")]
Configs = Annotated[
    list[Path], typer.Argument(help="Configuration files, or folders that hold some.", show_default=False)
]
Log = Annotated[
    Kind | None,
    typer.Option(
        help="Log runs round by round for a dashboard, too, below results/shared/logged; nothing is sent.",
        show_default=False,
    ),
]
DEFAULT_RESULTS = Path("results")


def open_study(config: Path, results: Path) -> tuple[Study, Layout]:
    """The study of a configuration and its folder below ``results``."""
    study = read_study(config)
    return study, Layout(results / study.name)


def whole(help: str, least: int, most: int = LARGEST, **more: Any) -> Any:
    """An option that takes a whole number from ``least`` to ``most``."""

    def parse(value: object) -> int:
        if not re.fullmatch(r"[-+]?[0-9]{1,20}", str(value)) or not least <= int(str(value)) <= most:
            raise typer.BadParameter(
                f"expected a whole number from {least} to {most}, got {shortened(str(value))}"
            )
        return int(str(value))

    return _option(parse, help, "INTEGER", more)


def real(help: str, least: float = -math.inf, **more: Any) -> Any:
    """An option that takes a finite number from ``least`` on."""
    limits = "" if math.isinf(least) else f" from {least:g}"

    def parse(value: object) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < least:
            raise typer.BadParameter(f"expected a finite number{limits}, got {shortened(str(value))}")
        return number

    return _option(parse, help, "NUMBER", more)


def _option(parse: Callable[[object], float], help: str, metavar: str, more: dict[str, Any]) -> Any:
    """Typer's own checks do not say which value was found, and differ from version to version."""
    return typer.Option(help=help, metavar=metavar, parser=parse, **more)
