"""What networks on labelled images are asked for: a loss to train by, and scores to be judged by."""

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from dimat.errors import InputError
from dimat.spec import Spec
from dimat.tasks.task import Metric

if TYPE_CHECKING:
    from dimat.tasks.images import ImageTask


class Objective(Spec):
    """A loss on the outputs of networks, and what is recorded of them on the test set."""

    metric: ClassVar[Metric]
    """The primary one of the scores."""
    classes: ClassVar[int | None] = None
    """How many classes there must be; `None`: any number."""
    lacks: ClassVar[Mapping[str, str]] = MappingProxyType({"adaptation": "as it is no few-shot task"})
    """Measures that a study may ask for and that it has not, and why."""
    learns_from: ClassVar[str] = "images"
    """What examples of a data set must be."""
    fewest: ClassVar[int] = 2
    """Examples of the smallest batch."""

    def without(self, measure: str) -> InputError:
        """The error for one of the measures that it `lacks`."""
        why = self.lacks[measure]
        return InputError(
            f"measures: task {self.label()} has no {measure}, {why}; expected measures without {measure}"
        )

    def outputs(self, classes: int) -> int:
        """How many outputs networks have: one for each of the ``classes``."""
        return classes

    def task(self, *of_agents: Any, **options: Any) -> "ImageTask":
        """What agents learn who share this objective; arguments are those of `ImageTask` after the first."""
        from dimat.tasks.images import ImageTask  # here, as it is one of objectives

        return ImageTask(self, *of_agents, **options)

    def shared(self) -> "Objective":
        """What one network learns for all agents before they part: the same, unless agents differ in it."""
        return self

    @property
    def views(self) -> int:
        """How often the test set shows each of the test images."""
        return 1

    def check(self, agents: int) -> None:
        """`InputError` if it is not one of so many agents."""

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of ``outputs`` (batch, outputs) for ``labels`` (batch,); a scalar."""

    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Scores by name, summed over the images of a batch: they are divided by the number of all.

        Each is a tensor of one number on the device of ``outputs``, which is read when all batches are done.
        Where scores are no such sums, the task evaluates by itself.
        """
        raise NotImplementedError
