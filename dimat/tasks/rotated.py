"""Image classification where every agent sees images turned by an angle of its own: a task for each."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.arithmetic import arithmetic
from dimat.data.image_set import ImageSet
from dimat.data.partitions import Shares
from dimat.data.rotation import turned
from dimat.errors import InputError
from dimat.models import Model
from dimat.spec import Many
from dimat.tasks.classification import Classification
from dimat.tasks.images import ImageTask, outputs_of

Angle = Annotated[float, Field(gt=-360, lt=360)]


class Rotated(Classification):
    """Name the class of an image that is turned, for every agent by another angle.

    The test set has every test image under the angle of each agent; the part of an agent is that under its
    own. A start that all share is trained on images as they are.
    """

    name: Literal["rotated"] = "rotated"  # pyright: ignore[reportIncompatibleVariableOverride]  # as for all specs
    angles: Many[Angle] = Field(min_length=1, max_length=1000)
    """Degrees, counter-clockwise, by which each agent sees its images turned."""

    @override
    def label(self) -> str:
        return f"images turned by {', '.join(f'{angle:g}' for angle in self.angles)} degrees"

    @override
    def task(self, model: Model, data: ImageSet, shares: Shares, *rest: Any, **options: Any) -> ImageTask:
        seen = as_seen(data, shares, self.angles)
        return RotatedImages(self, model, seen, shares, *rest, **options)

    @override
    def shared(self) -> Classification:
        return Classification()

    @property
    @override
    def views(self) -> int:
        return len(self.angles)

    @override
    def check(self, agents: int) -> None:
        if len(self.angles) != agents:
            raise InputError(
                f"task.angles: {len(self.angles)} for {agents} agents; expected one angle for each"
            )


class RotatedImages(ImageTask):
    """An `ImageTask` whose test set is that of every agent, one after the other."""

    @override
    def part_scores(self, network: nn.Module) -> list[float]:
        with arithmetic(self.device, self.precision):
            outputs = torch.cat(list(outputs_of(network, self.data, self.data.test_images)))
        parts = zip(outputs.chunk(self.agents), self.data.test_labels.chunk(self.agents), strict=True)
        sums = [self.objective.scores(*part)[self.metric.name].double() for part in parts]
        return (torch.stack(sums) * self.agents / len(outputs)).tolist()


def as_seen(data: ImageSet, shares: Shares, angles: tuple[float, ...]) -> ImageSet:
    """Training images as their holders see them, and test images under each angle, one after the other.

    An image that one agent holds before the first merge and another after it is seen as by the second. All
    are normalized as the upright ones are.
    """
    images = data.train_images.clone()
    for phase in (shares.pretrain, shares.train):
        for own, angle in zip(phase, angles, strict=True):
            held = torch.from_numpy(own).to(images.device)
            images[held] = turned(data.train_images[held], angle)
    tests: list[Tensor] = [turned(data.test_images, angle) for angle in angles]
    return data.showing(images, torch.cat(tests), data.test_labels.repeat(len(angles)))
