"""Where the packages of commands that stand above the library are: `theory`, `paper`, `benchmarks`."""

import sys
from pathlib import Path

import dimat

FOLDER = Path(dimat.__file__).parents[1] / "dimat_extras"
"""In a wheel they lie in this folder, as setup.py says; a checkout has none."""


def find_extras() -> None:
    """Have them imported from a wheel by the names that they have in a checkout.

    Only the commands of dimat see them. Processes that a command starts inherit its path.
    """
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
