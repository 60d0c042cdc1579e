"""Networks on labelled images, of which every agent holds a share."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor, nn
from typing_extensions import override

from dimat.arithmetic import Precision, arithmetic
from dimat.data.augmentation import Augmentation
from dimat.data.image_set import ImageSet
from dimat.data.partitions import Shares
from dimat.errors import InputError
from dimat.models import Model
from dimat.models.passes import Pass
from dimat.randomness import Randomness
from dimat.tasks.minimizer import minimizer
from dimat.tasks.network_task import AnyNetwork, At, NetworkTask, Phase
from dimat.tasks.objective import Objective
from dimat.tasks.parts import Parts

EVALUATED = 500
"""Images per forward pass of evaluation; the result does not depend on it beyond round-off."""


class Batch(NamedTuple):
    """Normalized, augmented images (batch, channels, height, width) and their labels (batch,)."""

    images: Tensor
    labels: Tensor


class ImageTask(NetworkTask):
    """N agents learn an ``objective`` with networks of one ``model``; they share the data set in memory.

    ``holdings[i]`` are the indices of the training images that agent i holds, in whatever phase. Networks
    have an initialization of their own each, or one that all share with ``same_start``; ``precision`` is
    that of training and evaluation.
    """

    def __init__(
        self,
        objective: Objective,
        model: Model,
        data: ImageSet,
        shares: Shares,
        augmentation: Augmentation,
        randomness: Randomness,
        *,
        batch_size: int,
        same_start: bool = False,
        precision: Precision = "float32",
    ) -> None:
        self.objective = objective
        self.metric = objective.metric
        self.agents = len(shares.train)
        self.model = model
        self.data = data
        self.batch_size = batch_size
        self.same_start = same_start
        self.precision: Precision = precision
        self.augmentation = augmentation
        self.randomness = randomness
        self.device = data.train_images.device
        self._shares = shares
        model.check_size(*data.shape[1:])
        check_holdings(shares)
        mean_share = sum(map(len, shares.train)) / self.agents
        self.steps_per_epoch = max(1, round(mean_share / batch_size))
        self.holdings = [
            torch.from_numpy(numpy.union1d(*own)) for own in zip(shares.pretrain, shares.train, strict=True)
        ]

    @override
    def variables(self, agent: int) -> nn.Module:
        source = None if self.same_start else agent
        channels, height, width = self.input_shape
        network = self.model.initialized(channels, self.outputs, self.randomness, source, (height, width))
        return network.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # no overload of torch has both

    @property
    def outputs(self) -> int:
        """How many numbers a network puts out for an image."""
        return self.objective.outputs(len(self.data.classes))

    @override
    def loss(self, network: AnyNetwork, sample: Batch) -> Tensor:
        with arithmetic(self.device, self.precision):
            return self.objective.loss(network(sample.images), sample.labels)

    @override
    def evaluate(self, agent: int, network: nn.Module) -> dict[str, float]:
        with arithmetic(self.device, self.precision):
            return scores_of(self.objective, network, self.data)

    @override
    def training_loss(self, network: nn.Module) -> float:
        with arithmetic(self.device, self.precision):
            return mean_training_loss(self.objective, network, self.data)

    @override
    def part_scores(self, network: nn.Module) -> list[float]:
        with arithmetic(self.device, self.precision):
            outputs = list(outputs_of(network, self.data, self.data.test_images))
            return self._parts.scores(self.objective, torch.cat(outputs))

    @override
    def minimizer(self, weight_decay: float) -> Tensor:
        if weight_decay not in self._minimizers:
            network = self.variables(0)
            shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
            sizes = [shape.numel() for shape in shapes.values()]
            held = [self._sent(torch.from_numpy(own)) for own in self._shares.train]
            shares = [
                Batch(self.data.normalized(self.data.train_images[own]), self.data.train_labels[own])
                for own in held
            ]

            def mean_loss(point: Tensor) -> Tensor:
                parts = zip(shapes.items(), point.split(sizes), strict=True)
                state = {name: part.view(shape) for (name, shape), part in parts}
                losses = [self.loss(At(network, state), own) for own in shares]
                return torch.stack(losses).mean()

            self._minimizers[weight_decay] = minimizer(mean_loss, sum(sizes), weight_decay, self.device)
        return self._minimizers[weight_decay]

    @cached_property
    def _minimizers(self) -> dict[float, Tensor]:
        """Those that were asked for, by weight decay."""
        return {}

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self.data, self._shares)

    @override
    def epoch(self, agent: int, phase: Phase, round: int, epoch: int) -> Iterator[Any]:
        """An agent's images in random order, in batches, augmented."""
        order, draws = self._drawn(agent, phase, round, epoch)
        labels = self._split(self.data.train_labels[order])
        return map(Batch, self._batches(self.data.train_images, order, draws), labels)

    @override
    def episodes(self, sample: Any) -> Sequence[tuple[Any, Any]]:
        """Both halves of a batch; of two or three images, all are both."""
        half = len(sample.labels) // 2
        if half < 2:
            return [(sample, sample)]
        return [(Batch(*(part[:half] for part in sample)), Batch(*(part[half:] for part in sample)))]

    @override
    def epoch_length(self, agent: int, phase: Phase) -> int:
        return len(self._split(torch.from_numpy(self._of_phase(phase)[agent])))

    @property
    @override
    def input_shape(self) -> tuple[int, int, int]:
        return self.data.shape

    @override
    def inputs(
        self,
        holders: Sequence[int],
        limit: int | None,
        augmented: bool,
        generator: torch.Generator,
        batch_size: int | None = None,
    ) -> Pass:
        indices = torch.cat([self.holdings[holder] for holder in holders])
        chosen = self._sent(indices[torch.randperm(len(indices), generator=generator)][:limit])
        draws = self._sent(self.augmentation.draw(len(chosen), generator)) if augmented else None
        return lambda: self._batches(self.data.train_images, chosen, draws, batch_size)

    @override
    def test_inputs(self, limit: int | None, generator: torch.Generator) -> Pass:
        images = self.data.test_images
        chosen = self._sent(torch.randperm(len(images), generator=generator)[:limit])
        return lambda: self._batches(images, chosen)

    @override
    def held_bytes(self, agent: int) -> int:
        return self.data.train_images[0].nbytes * len(self.holdings[agent])

    def _drawn(self, agent: int, phase: Phase, round: int, epoch: int) -> tuple[Tensor, Tensor]:
        """An agent's images in the order of an epoch, by index, and what augments them."""
        share = torch.from_numpy(self._of_phase(phase)[agent])
        generator = self.randomness.torch(f"{phase}, epoch {epoch}", agent=agent, round=round)
        order = share[torch.randperm(len(share), generator=generator)]
        return self._sent(order), self._sent(self.augmentation.draw(len(order), generator))

    def _sent(self, drawn: Tensor) -> Tensor:
        """What was drawn for a whole pass, on the device: sent once, not batch by batch."""
        return drawn.to(self.device, non_blocking=True)

    def _of_phase(self, phase: Phase) -> list[numpy.ndarray]:
        return self._shares.pretrain if phase == "pretrain" else self._shares.train

    def _batches(
        self, source: Tensor, indices: Tensor, draws: Tensor | None = None, batch_size: int | None = None
    ) -> Iterator[Tensor]:
        """Normalized images of ``source`` in the order of ``indices``; ``draws`` augment them."""
        parts = self._split(indices, batch_size)
        draws_of_parts = [None] * len(parts) if draws is None else self._split(draws, batch_size)
        for part, drawn in zip(parts, draws_of_parts, strict=True):
            images = source[part]
            yield self.data.normalized(images if drawn is None else self.augmentation.apply(images, drawn))

    def _split(self, rows: Tensor, batch_size: int | None = None) -> list[Tensor]:
        """Rows in batches; a single last row joins the batch before, as one image has no batch statistics."""
        size = batch_size or self.batch_size
        full, rest = divmod(len(rows), size)
        sizes = [size] * full + [rest] * (rest > 0)
        if rest == 1 and full:
            sizes[-2:] = [size + 1]
        return list(rows.split(sizes))


def check_holdings(shares: Shares) -> None:
    """`InputError` unless every agent can be trained with what it holds."""
    smallest = min(len(own) for own in (*shares.pretrain, *shares.train))
    if smallest < 2:
        raise InputError(
            f"partition: an agent holds {smallest} training image; expected 2 or more, as batch "
            "normalization has no statistics of a single one: use fewer agents or more images"
        )


def scores_of(objective: Objective, network: nn.Module, data: ImageSet) -> dict[str, float]:
    """Mean scores over the test images of ``data``; leaves the network in evaluation mode."""
    totals: dict[str, Tensor] = {}
    outputs = outputs_of(network, data, data.test_images)
    for output, labels in zip(outputs, data.test_labels.split(EVALUATED), strict=True):
        for name, total in objective.scores(output, labels).items():
            totals[name] = totals.get(name, 0.0) + total.double()
    sums = torch.stack(list(totals.values())).tolist()  # the device is waited for here alone
    return {name: total / len(data.test_labels) for name, total in zip(totals, sums, strict=True)}


def mean_training_loss(objective: Objective, network: nn.Module, data: ImageSet) -> float:
    """Mean loss over all training images of ``data``; leaves the network in evaluation mode."""
    total = torch.zeros((), dtype=torch.float64, device=data.train_images.device)
    outputs = outputs_of(network, data, data.train_images)
    for output, labels in zip(outputs, data.train_labels.split(EVALUATED), strict=True):
        total += objective.loss(output, labels).double() * len(labels)
    return total.item() / len(data.train_labels)


@torch.no_grad()
def outputs_of(network: nn.Module, data: ImageSet, images: Tensor) -> Iterator[Tensor]:
    """A network's outputs (batch, outputs), float32, for uint8 ``images``; leaves it in evaluation mode."""
    network.eval()
    for batch in images.split(EVALUATED):
        yield network(data.normalized(batch)).float()
