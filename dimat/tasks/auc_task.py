"""Networks that learn to rank by the min-max form of the AUC."""

import statistics
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

    The share of positives in it is the mean over agents of that among their training images. All use it, also
    those with another share, or with one class alone: the mean of their losses, in which they weigh alike, is
    then one such problem. To know it each agent sends one number, which is not counted.
    """

    ascending: ClassVar[frozenset[str]] = frozenset({"alpha"})

    def __init__(self, *of_images: Any, **options: Any) -> None:
        super().__init__(*of_images, **options)
        labels = self.data.train_labels.cpu().double()
        self.share = statistics.mean(labels[own].mean().item() for own in self._shares.train)

    @override
    def variables(self, agent: int) -> nn.Module:
        return AucNetwork(super().variables(agent))

    @override
    def loss(self, network: AnyNetwork, sample: Batch) -> Tensor:
        with arithmetic(self.device, self.precision):
            a, b, alpha = (network.get_parameter(name) for name in ("a", "b", "alpha"))
            scores = network(sample.images)[:, 0].to(alpha.dtype).sigmoid()
            return saddle_loss(scores, sample.labels, self.share, a, b, alpha)
