"""The figure of `dimat merge --barrier`: the line between networks, before and after matching."""

import importlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from dimat.errors import InputError
from dimat.io.files import write
from dimat.merging.barrier import Barrier

Lines = Mapping[tuple[int, int], Barrier]
FORMATS = (".svg", ".pdf", ".png")
NAMED = 8
"""So many lines have their pair in the legend; of more, it has the kinds alone."""


def check_figure(path: Path) -> None:
    """`InputError` for a file of another kind, `ModuleNotFoundError` where nothing can draw it."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--barrier: {path}; expected a file that ends in {', '.join(FORMATS)}")
    importlib.import_module("matplotlib")  # which not everyone who merges has


def draw_barriers(path: Path, kinds: Mapping[str, Lines], title: str) -> None:
    """Write loss and accuracy against the position on the line, of each pair and kind of lines."""
    check_figure(path)
    matplotlib = importlib.import_module("matplotlib")
    settings = {"svg.hashsalt": "dimat", "svg.fonttype": "path", "font.size": 9}
    with matplotlib.rc_context(settings):
        figure = importlib.import_module("matplotlib.figure").Figure((7.2, 3.2), layout="constrained")
        losses, accuracies = figure.subplots(1, 2)
        for kind, style in zip(kinds, ("--", "-"), strict=True):
            for place, ((i, j), line) in enumerate(kinds[kind].items()):
                named = f"{kind}, {i} and {j}" if len(kinds[kind]) > 1 else kind
                look: dict[str, Any] = {
                    "linestyle": style,
                    "color": f"C{place % 10}",
                    "marker": "o",
                    "markersize": 3,
                    "label": named if place < NAMED else None,
                }
                losses.plot(line.positions, line.losses, **look)
                accuracies.plot(line.positions, [100 * share for share in line.accuracies], **look)
        losses.set_ylabel("test loss")
        accuracies.set_ylabel("test accuracy / %")
        for axes in (losses, accuracies):
            axes.set_xlabel("position on the line between two networks")
            axes.grid(alpha=0.3)
        accuracies.legend(frameon=False, fontsize=8)
        figure.suptitle(title, fontsize=9)
        content, ending = BytesIO(), path.suffix.lower().removeprefix(".")
        dates: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(content, format=ending, metadata=dates.get(ending), dpi=200)
    write(path, content.getvalue())
