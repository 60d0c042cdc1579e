"""Few-shot classification of turned images: a task is an angle."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from dimat.data.rotation import turned
from dimat.tasks.few_shot import Episodes, FewShot, FewShotTask
from dimat.tasks.network_task import Phase
from dimat.tasks.task import Metric


class Rotations(FewShot):
    """Name the class of images that are all turned by one angle, after a gradient step on some of them.

    Every batch is turned by an angle of its own, from the agent's range: agents divide all angles into equal
    ranges. The first half is to adapt to, the second to be judged by.
    """

    name: Literal["rotations"] = "rotations"
    metric: ClassVar[Metric] = Metric("adapted_accuracy", "test accuracy after adaptation", "%", 100.0)
    rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Step size of adaptation where networks are judged. The method has its own, by which it learns."""
    degrees: Annotated[float, Field(gt=0, le=360)] = 360.0
    """Images are turned counter-clockwise by 0 to so many degrees."""
    test_angles: Annotated[int, Field(ge=1, le=1000)] = 12
    """Angles to be tested on, equally spaced over all agents' ranges. Half a batch of test images are to
    adapt to, all others to be judged by."""

    @property
    @override
    def views(self) -> int:
        return 2 * self.test_angles  # before adaptation, and after it

    @override
    def task(self, *of_agents: Any, **options: Any) -> "RotationTask":
        return RotationTask(self, *of_agents, **options)

    @override
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, labels)

    @override
    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs.argmax(1) == labels).double().mean()


class RotationTask(FewShotTask[Rotations]):
    """Agents who see their images turned by angles of their own ranges."""

    @override
    def epoch(self, agent: int, phase: Phase, round: int, epoch: int) -> Iterator[Episodes]:
        """An agent's images in random order, in batches, augmented, each turned by an angle of its own."""
        order, draws = self._drawn(agent, phase, round, epoch)
        generator = self.randomness.torch(f"{phase}, angles of epoch {epoch}", agent=agent, round=round)
        for part, drawn in zip(self._split(order), self._split(draws), strict=True):
            share = (agent + torch.rand((), generator=generator).item()) / self.agents
            images = self.augmentation.apply(self.data.train_images[part], drawn)
            half = math.ceil(len(part) / 2)
            yield self._episode(images, self.data.train_labels[part], share * self.objective.degrees, half)

    @override
    def test_episodes(self) -> Iterator[Episodes]:
        images, angles = self.data.test_images, self.objective.test_angles
        generator = self.randomness.torch("images to be tested on")
        order = self._sent(torch.randperm(len(images), generator=generator))
        support = min(math.ceil(self.batch_size / 2), len(images) // 2)
        for angle in range(angles):
            degrees = self.objective.degrees * (angle + 0.5) / angles
            yield self._episode(images[order], self.data.test_labels[order], degrees, support, fresh=True)

    def _episode(
        self, images: Tensor, labels: Tensor, degrees: float, support: int, *, fresh: bool = False
    ) -> Episodes:
        """One task: the first ``support`` images are to adapt to, the others to be judged by."""
        images = self.data.normalized(turned(images, degrees))
        query = slice(support, None) if fresh or self.objective.queries == "fresh" else slice(support)
        return Episodes(
            images[None, :support], labels[None, :support], images[None, query], labels[None, query]
        )
