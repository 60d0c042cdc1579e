"""Permutations that matching finds between real networks, trained for the audit in a second or two.

Eight small networks learn the digits, each from a start and on images of its own, in double precision: so
round-off turns no choice of the matching. After each epoch their neurons are matched by activations, all of
them on the same images: every link by itself, as published, or all links of a graph in a common frame.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy
import torch
from numpy import ndarray
from torch import Tensor, nn
from typing_extensions import override

from dimat.agents.networks import Networks
from dimat.agents.optimizers import Adam
from dimat.agents.training import Training
from dimat.data import DataFolders, ImageSet
from dimat.data.augmentation import Augmentation
from dimat.data.digits import Digits
from dimat.data.partitions import Iid
from dimat.merging.matching.activation import Activation
from dimat.merging.matching.frames import common_frames, matched_pair
from dimat.merging.matching.matcher import Similarity
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.statistics import Pair
from dimat.models import Plain
from dimat.models.symmetry import Group, permutation_groups
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import Batch, ImageTask
from dimat.tasks.network_task import AnyNetwork
from theory.gap.lift import Lift, inverse_of
from theory.gap.permutations import of_parameters

AGENTS, EPOCHS, RATE = 8, 12, 0.02
WIDTHS = (6, 10)
"""Channels of the two layers, which are matched."""
LOOKED_AT = 200
"""Images that activations are compared on."""


class InDouble(ImageTask):
    """Networks on images, in double precision."""

    @override
    def variables(self, agent: int) -> nn.Module:
        return super().variables(agent).double()

    @override
    def loss(self, network: AnyNetwork, sample: Batch) -> Tensor:
        return super().loss(network, sample._replace(images=sample.images.double()))


def per_link(mixing: ndarray, size: int, epoch: int = EPOCHS - 1) -> Lift:
    """The layer of ``size`` channels, every link matched by itself, P_ji = P_ij^T, after an ``epoch``."""
    found = {pair: _matched(pair, size, epoch) for pair in links(mixing)}
    return Lift(mixing, found | {(j, i): inverse_of(order) for (i, j), order in found.items()})


def in_common_frame(mixing: ndarray, size: int, epoch: int = EPOCHS - 1) -> Lift:
    """The same, all links of the graph in a common frame: P_ij = Q_i Q_j^T."""
    frames = frames_of(mixing, size, epoch)
    ways = [way for i, j in links(mixing) for way in ((i, j), (j, i))]
    return Lift(mixing, {(i, j): frames[j][inverse_of(frames[i])] for i, j in ways})


def frames_of(mixing: ndarray, size: int, epoch: int) -> ndarray:
    """The frames Q_i (agents, size) of the graph after an ``epoch``."""
    return _frames(tuple(links(mixing)), len(mixing), size, epoch)


def parameters_per_link(mixing: ndarray) -> Lift:
    """All parameters, of networks whose links are matched each by itself, after the last epoch."""
    return _of_parameters(mixing, {group.name: per_link(mixing, group.size) for group in _groups()})


def parameters_in_common_frame(mixing: ndarray) -> Lift:
    """The same, matched in a common frame."""
    return _of_parameters(mixing, {group.name: in_common_frame(mixing, group.size) for group in _groups()})


def _of_parameters(mixing: ndarray, lifts: Mapping[str, Lift]) -> Lift:
    by_link = {
        (i, j): {name: torch.from_numpy(lift.permutations[i, j]) for name, lift in lifts.items()}
        for i, j in numpy.argwhere(mixing).tolist()
        if i != j
    }
    return of_parameters(mixing, by_link, _groups(), dict(_trained().models[0].named_parameters()))


def parameters() -> ndarray:
    """Of all networks, after the last epoch: (agents, d)."""
    return _trained().parameters.numpy()


def gradients(points: ndarray) -> ndarray:
    """Of the same loss, that of a batch of agent 0, at ``points`` (agents, d) of each agent.

    Networks stay as they are, their running statistics too.
    """
    agents = _trained()
    sample = next(agents.task.samples(0, 1))
    found = [
        agents.gradient(row, sample, torch.from_numpy(point), own=False) for row, point in enumerate(points)
    ]
    return torch.stack(found).numpy()


def links(mixing: ndarray) -> list[Pair]:
    """The pairs i < j that a link joins."""
    return [(int(i), int(j)) for i, j in numpy.argwhere(numpy.triu(mixing, 1))]


@cache
def _matched(pair: Pair, size: int, epoch: int) -> ndarray:
    group = _layer(size)
    return matched_pair(_similarities()[epoch][pair], [group], Reward())[group.name].numpy()


@cache
def _frames(pairs: tuple[Pair, ...], agents: int, size: int, epoch: int) -> ndarray:
    group, seen = _layer(size), _similarities()[epoch]
    frames, _ = common_frames({pair: seen[pair] for pair in pairs}, [group], agents, Reward(), anew=True)
    return numpy.stack([frames[agent][group.name].numpy() for agent in range(agents)])


def _layer(size: int) -> Group:
    (found,) = [group for group in _groups() if group.size == size]
    return found


@cache
def _groups() -> list[Group]:
    """Found in single precision, as always."""
    digits = _digits()
    return permutation_groups(Plain(widths=WIDTHS).build(digits.shape[0], len(digits.classes)), digits.shape)


@cache
def _digits() -> ImageSet:
    return Digits().read(DataFolders((), Path()))


def _trained() -> Networks:
    return _learnt()[0]


def _similarities() -> list[dict[Pair, Similarity]]:
    return _learnt()[1]


@cache
def _learnt() -> tuple[Networks, list[dict[Pair, Similarity]]]:
    """The networks in the end, and by epoch how alike the channels of all pairs were."""
    digits, randomness = _digits(), Randomness("trained networks", 0)
    training = Training(pretrain_epochs=EPOCHS, batch_size=30, optimizer=Adam(learning_rate=RATE))
    task = InDouble(
        Classification(),
        Plain(widths=WIDTHS),
        digits,
        Iid().shares(digits.train_labels.numpy(), AGENTS, numpy.random.default_rng(0)),
        Augmentation(flip=False, crop=0),
        randomness,
        batch_size=training.batch_size,
    )
    agents = Networks(task, training, randomness)
    images = digits.normalized(digits.train_images[:LOOKED_AT]).double()
    pairs = [(i, j) for j in range(AGENTS) for i in range(j)]
    found = []
    for epoch in range(EPOCHS):
        agents.pretrain(epoch)
        models = {agent: model.eval() for agent, model in enumerate(agents.models)}
        found.append(Activation().compare(models, _groups(), pairs, [images]))
    return agents, found
