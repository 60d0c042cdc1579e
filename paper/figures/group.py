"""What figures of some runs have in common that are no comparison of methods in one setting."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.runs import Run
from paper.comparisons import numbered
from paper.shown import PaperFigure


@dataclass(frozen=True)
class GroupFigure(PaperFigure):
    """A figure of some runs of a study."""

    runs: dict[str, Run] = field(kw_only=True)
    """By id."""

    @classmethod
    @abstractmethod
    def groups(cls, study: Study) -> Iterator[tuple[str, dict[str, Run]]]:
        """The runs of each figure that a study may have, with what it is called."""

    @classmethod
    @override
    def of(cls, study: Study) -> Iterator[Self]:
        for name, runs in numbered(cls.groups(study)).items():
            if (shown := cls(study, name, runs=runs)).applies():
                yield shown

    @property
    def first(self) -> Run:
        """The first run."""
        return next(iter(self.runs.values()))


def named(*words: str) -> str:
    """The name of a figure, of words that may be empty or several."""
    return "-".join(filter(None, (word.replace(" ", "-") for word in words)))


def sends_between_merges(run: Run) -> bool:
    """Whether agents send anything between the first merge and the last."""
    return bool(
        run.method.communicates != "never" and run.graph and run.agents > 1 and run.training.rounds > 1
    )
