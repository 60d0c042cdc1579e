"""Who carried a study out, as the command line names them."""

import re
from typing import NamedTuple

from dimat.errors import InputError


class Agent(NamedTuple):
    """Who carried the study out."""

    name: str
    orcid: str | None = None
    """The whole address, https://orcid.org/..."""


def named_agent(name: str | None, orcid: str | None) -> Agent | None:
    """Who is named on the command line, if anybody."""
    if name is None and orcid is not None:
        raise InputError(f"--orcid: {orcid!r} without --agent; expected a name, too")
    if name is None:
        return None
    if not name.strip() or not name.isprintable():
        raise InputError(f"--agent: expected a name, got {name!r}")
    if orcid is None:
        return Agent(name)
    digits = orcid.removeprefix("https://orcid.org/").replace("-", "")
    if (
        not re.fullmatch(r"(https://orcid\.org/)?([0-9]{4}-){3}[0-9]{3}[0-9X]", orcid)
        or _check_digit(digits[:-1]) != digits[-1]
    ):
        raise InputError(f"--orcid: expected an ORCID iD such as 0000-0002-1825-0097, got {orcid!r}")
    return Agent(name, f"https://orcid.org/{orcid.removeprefix('https://orcid.org/')}")


def _check_digit(digits: str) -> str:
    """The last digit of an ORCID iD, by ISO 7064 (mod 11-2), from those before it."""
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return "0123456789X"[(12 - total % 11) % 11]
