"""Networks with one score on labelled images of two classes."""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from typing_extensions import override

from dimat.arithmetic import arithmetic
from dimat.errors import InputError
from dimat.tasks.auroc import auroc
from dimat.tasks.images import ImageTask, outputs_of
from dimat.tasks.ranking import Ranking


class ScoredImages(ImageTask):
    """N agents learn scores of images. All are judged by the pairs of a positive and a negative test image.

    Losses that are recorded are those of all images at once.
    """

    objective: Ranking

    def __init__(self, *of_images: Any, **options: Any) -> None:
        super().__init__(*of_images, **options)
        if len(self.data.classes) != self.objective.classes:
            raise InputError(
                f"task: {self.objective.label()} tells two classes apart, and {self.data.title} has "
                f"{len(self.data.classes)}; expected data.two_classes"
            )

    @override
    def evaluate(self, agent: int, network: nn.Module) -> dict[str, float]:
        outputs, labels = self._outputs(network, self.data.test_images), self.data.test_labels
        loss = self.objective.loss(outputs, labels).item()
        return {"test_auroc": auroc(outputs[:, 0], labels), "test_loss": loss}

    @override
    def training_loss(self, network: nn.Module) -> float:
        outputs = self._outputs(network, self.data.train_images)
        return self.objective.loss(outputs, self.data.train_labels).item()

    @override
    def part_scores(self, network: nn.Module) -> NoReturn:
        raise self.objective.without("parts")

    def _outputs(self, network: nn.Module, images: Tensor) -> Tensor:
        """Of all ``images`` (n, 1), float64."""
        with arithmetic(self.device, self.precision):
            return torch.cat(list(outputs_of(network, self.data, images))).double()
