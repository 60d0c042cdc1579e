"""Text that users chose, such as names of classes, as figures and reports can show it."""

import re
from collections.abc import Iterable
from functools import cache

LONGEST = 24
"""Characters of a label in a figure; there is no room for more."""


def drawn(names: Iterable[str]) -> list[str]:
    """Labels for matplotlib, as distinct as the names: short, no mathematics, of glyphs that it has."""
    found: dict[str, str] = {}
    for name in names:
        label = shortened("".join(_glyph(character) for character in name))
        number = 2
        while label in found and found[label] != name:
            label = f"{shortened(label, LONGEST - 4)} {number}"
            number += 1
        found[label] = name
    return [text.replace("$", r"\$") for text in found]


def plain(text: str) -> str:
    """Text for matplotlib at its whole length, without mathematics, and of glyphs that it has."""
    return "".join(map(_glyph, text)).replace("$", r"\$")


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, with its middle left out if it is long."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - longest // 3 - 1]}…{text[len(text) - longest // 3 :]}"


def in_report(text: str) -> str:
    """Text for reStructuredText, of which no character means anything else."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def _glyph(character: str) -> str:
    """The character, or its number in Unicode where the font of figures lacks it or nobody can see it."""
    return character if ord(character) in _glyphs() and character.isprintable() else f"U+{ord(character):04X}"


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib import font_manager, ft2font

    return frozenset(ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
