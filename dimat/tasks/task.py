"""What a task is, whatever is learnt: samples of N losses, and how well an agent does."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple


class Metric(NamedTuple):
    """How well agents do. A recorded value times ``scale`` is in the ``unit``."""

    name: str
    """As it is recorded."""
    title: str
    """As people read it."""
    unit: str = ""
    scale: float = 1.0
    better: Literal["higher", "lower"] = "higher"
    share: bool = False
    """Whether it is a share of the test examples, such as that of right answers."""

    def gain(self, value: float) -> float:
        """``value`` with the sign that makes more of it better."""
        return value if self.better == "higher" else -value


class Task(ABC):
    """What N agents learn: each has variables of its own, in named blocks, and draws samples of its own loss.

    Blocks descend along the gradient of the loss, but for the ``ascending`` ones: a task with such blocks is
    a min-max problem, min over all others of max over them.
    """

    metric: Metric
    agents: int
    ascending: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def samples(self, agent: int, round: int) -> Iterator[Any]:
        """Endless samples of one agent's loss; a round always draws the same ones."""

    def episodes(self, sample: Any) -> Sequence[tuple[Any, Any]]:
        """What there is to adapt to in a ``sample``, and what is to be learnt then: pairs of further samples.

        One pair, of the sample with itself, where a task knows of no other.
        """
        return [(sample, sample)]
