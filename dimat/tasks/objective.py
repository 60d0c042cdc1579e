"""What networks on labelled images are asked for: a loss to train by, and scores to be judged by."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from dimat.spec import Spec
from dimat.tasks.task import Metric

if TYPE_CHECKING:
    from dimat.tasks.images import ImageTask


class Objective(Spec):
    """A loss on the outputs of networks, and what is recorded of them on the test set."""

    metric: ClassVar[Metric]
    """The primary one of the scores."""
    learns_from: ClassVar[str] = "images"
    """What examples of a data set must be."""
    fewest: ClassVar[int] = 2
    """Examples of the smallest batch."""
    unmeasured: ClassVar[frozenset[str]] = frozenset({"adaptation"})
    """Measures that a study cannot ask for."""

    @property
    def views(self) -> int:
        """How often the test set shows each of the test images."""
        return 1

    def task(self, *of_agents: Any, **options: Any) -> "ImageTask":
        """What agents learn who share this objective; arguments are those of `ImageTask` after the first."""
        from dimat.tasks.images import ImageTask  # here, as it is one of objectives

        return ImageTask(self, *of_agents, **options)

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of ``outputs`` (batch, classes) for ``labels`` (batch,); a scalar."""

    @abstractmethod
    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Scores by name, summed over the images of a batch: they are divided by the number of all.

        Each is a tensor of one number on the device of ``outputs``, which is read when all batches are done.
        """
