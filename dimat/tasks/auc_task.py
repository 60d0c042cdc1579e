"""Networks that learn to rank by the min-max form of the AUC."""

from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import override

from dimat.arithmetic import arithmetic
from dimat.tasks.auc import saddle_loss
from dimat.tasks.images import Batch
from dimat.tasks.network_task import AnyNetwork
from dimat.tasks.scored_images import ScoredImages


class AucNetwork(nn.Module):
    """A ``network`` with one output, and the numbers a, b and alpha, which are trained with it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        zero = next(network.parameters()).new_zeros(())
        self.a, self.b, self.alpha = (nn.Parameter(zero.clone()) for _ in range(3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, 1) of images (batch, channels, height, width)."""
        return self.network(images)


class AucTask(ScoredImages):
    """The problem that `saddle_loss` states: min over networks, a and b of max over alpha.

    The share of positives in it is that among all training images, whoever holds them: agents with other
    shares, or with one class alone, so have losses whose mean is that of all images. Every agent sends one
    number to find it out, which is not counted.
    """

    ascending: ClassVar[frozenset[str]] = frozenset({"alpha"})

    def __init__(self, *of_images: Any, **options: Any) -> None:
        super().__init__(*of_images, **options)
        self.share = self.data.train_labels.double().mean().item()

    @override
    def variables(self, agent: int) -> nn.Module:
        return AucNetwork(super().variables(agent))

    @override
    def loss(self, network: AnyNetwork, sample: Batch) -> Tensor:
        with arithmetic(self.device, self.precision):
            a, b, alpha = (network.get_parameter(name) for name in ("a", "b", "alpha"))
            scores = network(sample.images)[:, 0].to(alpha.dtype).sigmoid()
            return saddle_loss(scores, sample.labels, self.share, a, b, alpha)
