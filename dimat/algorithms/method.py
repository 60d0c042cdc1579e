"""What every decentralized method is: a generator over rounds."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from dimat.merging.diagnostics import Diagnostic
from dimat.merging.options import Merge
from dimat.network.in_process import InProcess
from dimat.spec import Spec
from dimat.training.fleet import Fleet


class Stage(NamedTuple):
    """What has just happened in which round, and what there is to say about it layer by layer."""

    round: int
    name: Literal["merged", "trained"]
    diagnostics: Sequence[Diagnostic] = ()


class Method(Spec):
    """A decentralized learning method.

    ``title`` is its name in figures. ``ignores`` are the axes of the grid that do not matter to it;
    runs that differ only there are one run.
    """

    title: ClassVar[str]
    ignores: ClassVar[frozenset[str]] = frozenset()

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """The grid point with what the method ignores set to `None`."""
        return {axis: None if axis in self.ignores else value for axis, value in point.items()}

    @abstractmethod
    def rounds(
        self, fleet: Fleet, network: InProcess, merge: Merge | None, first: int, last: int
    ) -> Iterator[Stage]:
        """Carry out rounds ``first`` to ``last``: each merges, yields, trains and yields again.

        The last round ends after its merge. All state lies in ``fleet``: a generator started at round k
        with the fleet of an interrupted run continues that run.
        """
