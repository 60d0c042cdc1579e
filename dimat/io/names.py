"""Names that reach figures, tables and the paper: of classes, and of data sets."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

LONGEST_TITLE = 80
"""Characters; a table has no room for more."""
BIDIRECTIONAL = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
"""Classes of invisible characters that re-order the text after them."""


def printable(name: str) -> str:
    """A name on one line: what cannot be seen, or is not UTF-8, is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in name
    )


def fault_of(name: str) -> str | None:
    """Why a name cannot be shown; `None` for a good one."""
    for character in name:
        category = unicodedata.category(character)
        if category == "Cs":
            return "is not UTF-8"
        if category in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(character) in BIDIRECTIONAL:
            return f"holds the control character U+{ord(character):04X}"
    return None if name.strip() else "is empty"


def _showable(name: str) -> str:
    if fault := fault_of(name):
        raise ValueError(f"expected a name without control characters, got {name!a}, which {fault}")
    return name


def _title(name: str) -> str:
    if len(name) > LONGEST_TITLE:
        raise ValueError(f"expected up to {LONGEST_TITLE} characters, got {len(name)}")
    return _showable(name)


Showable = Annotated[str, AfterValidator(_showable)]
"""Text that can be shown on one line."""
Title = Annotated[str, AfterValidator(_title)]
"""The same, short enough for a table."""
