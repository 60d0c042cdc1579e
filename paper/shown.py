"""What a figure or a table of the paper is. One file and one line in its folder make another."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_checked

if TYPE_CHECKING:  # pipelines plan by figures and tables, and draw none: they load no heavy library
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class Shown(ABC):
    """One figure or table of a study: what it is called, what it reads, and its caption."""

    kind: ClassVar[str]
    """Its place in the paper, and the first part of its id."""
    study: Study
    name: str = ""
    """The rest of its id; empty if a study has one of its kind at most."""

    @classmethod
    def of(cls, study: Study) -> Iterator[Self]:
        """Those that a study has, found without results."""
        shown = cls(study)
        if shown.applies():
            yield shown

    def applies(self) -> bool:
        """Whether its study has it; found without results."""
        return True

    @abstractmethod
    def caption(self) -> str:
        """Plain text on one line, for the paper and for reports."""

    def reads(self, layout: Layout) -> list[Path]:
        """The files that it is made from."""
        return [layout.runs, layout.records]


class PaperFigure(Shown):
    """A figure."""

    def finding(self, layout: Layout) -> str:
        """What came out, computed from records, in one or two sentences; empty where nothing is said."""
        return ""

    def told(self, layout: Layout) -> str:
        """The whole caption: what is shown, and what came out."""
        return " ".join(filter(None, [self.caption(), self.finding(layout)]))

    def told_in_short(self, layout: Layout) -> str:
        """The first sentence on what is shown, and what came out."""
        first = self.caption().partition(". ")[0].rstrip(".")
        return " ".join(filter(None, [f"{first}.", self.finding(layout)]))

    @abstractmethod
    def draw(self, layout: Layout) -> "Figure":
        """The drawing."""


class PaperTable(Shown):
    """A table."""

    @abstractmethod
    def rows(self, layout: Layout) -> "DataFrame":
        """The table as it is shown."""


Each = TypeVar("Each", bound=Shown)


def by_id(kinds: Iterable[type[Each]], study: Study) -> dict[str, Each]:
    """All of some ``kinds`` that a study has."""
    return {"-".join(filter(None, [each.kind, each.name])): each for kind in kinds for each in kind.of(study)}


def made(path: Path, command: str) -> bytes:
    """The content of a file that another ``command`` of dimat makes."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; dimat {command} makes it")
    return read_checked(path)
