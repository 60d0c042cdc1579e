"""What layers cost that are given their least-squares weights (`fit_layers`), counted from shapes."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

BYTES = 8
"""Of a number in double precision, which all of this is in."""
COPIES = 3
"""How often what a layer takes is held at once: unfolded, in the order of observations, with its bias."""
ACCESSES = 12
"""Reads and writes of each number that a layer takes or puts out, when means over parents are taken."""


class Equations(NamedTuple):
    """The normal equations of a layer.

    There are ``groups`` of them, those of a convolution, each with so many ``unknowns`` for each of its
    ``outputs``. An image adds an observation at each of its ``positions``. ``features`` are the numbers that
    the layer takes and puts out for it.
    """

    groups: int
    unknowns: int
    outputs: int
    positions: int
    features: int

    @property
    def of_an_image(self) -> int:
        """Operations, two for each product, that add an image to the sums."""
        return 2 * self.positions * self.groups * self.unknowns * (self.unknowns + self.outputs)

    @property
    def unfolded(self) -> int:
        """Bytes of an image's observations of what the layer takes."""
        return BYTES * self.positions * self.groups * self.unknowns

    @property
    def of_solving(self) -> float:
        """Operations of a solution by triangular factors, once."""
        return self.groups * self.unknowns**2 * (2 / 3 * self.unknowns + 2 * self.outputs)

    @property
    def sums(self) -> int:
        """Bytes of the sums over images."""
        return BYTES * self.groups * self.unknowns * (self.unknowns + self.outputs)


def equations_of(layer: nn.Module, taken: Tensor, given: Tensor) -> Equations:
    """Those of a linear layer or convolution that ``taken`` (batch, ...) makes put out ``given``."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    outputs, entries = len(layer.weight), given.shape[1:].numel()
    return Equations(
        groups=groups,
        unknowns=layer.weight[0].numel() + (layer.bias is not None),
        outputs=outputs // groups,
        positions=entries // outputs,
        features=taken.shape[1:].numel() + entries,
    )


def touched(layers: Sequence[Equations], parents: float) -> float:
    """Bytes read and written for an image: of means over ``parents``, and of what is unfolded."""
    means = BYTES * ACCESSES * parents * sum(each.features for each in layers)
    return means + 2 * COPIES * sum(each.unfolded for each in layers)


def held(layers: Sequence[Equations], batch: int) -> float:
    """Bytes held at once, of all sums, of means of a ``batch``, and of the layer that is largest unfolded."""
    means = BYTES * batch * sum(each.features for each in layers)
    observed = COPIES * batch * max((each.unfolded for each in layers), default=0)
    solving = COPIES * max((each.sums for each in layers), default=0)
    return sum(each.sums for each in layers) + max(means + observed, solving)
