"""Image classification: the cross-entropy of class probabilities, judged by accuracy."""

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from dimat.tasks.objective import Objective
from dimat.tasks.task import Metric


class Classification(Objective):
    """Name the class of an image: cross-entropy in training, share of right answers in the end."""

    name: Literal["classification"] = "classification"
    metric: ClassVar[Metric] = Metric("test_accuracy", "test accuracy", "%", 100.0, share=True)

    @override
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, labels)

    @override
    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        right = (outputs.argmax(1) == labels).sum()
        loss = functional.cross_entropy(outputs, labels, reduction="sum")
        return {"test_accuracy": right, "test_loss": loss}
