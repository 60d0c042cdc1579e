"""Wires: the channels of a network's tensors, of which those that must move together are one.

Every entry along an axis of a parameter is a wire of its own at first. Operations unite wires (a sum of two
feature maps), put a wire under another (a feature under the head that weighs it), or mark what tells wires
apart (a constant that differs between them). What is left to be permuted are wires that nothing tells apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

INERT = 0
"""An entry that stays as it is, whatever is permuted."""
ALIKE = -1
"""An entry of a constant that is the same all along its axis."""

MIX = numpy.uint64(0x9E3779B97F4A7C15)
"""An odd number with bits of no pattern, so that sums of its multiples differ (Knuth 1973, section 6.4)."""
TWINS = 8
"""So many steps from a twin to its twin are looked at."""


@dataclass
class Axis:
    """One axis of a tensor of the state: its entries are the wires ``first``, ``first + 1``, ...

    ``names`` are those of the tensor in the state (shared tensors have several). Where ``rows`` are given,
    only these (from, to) of axis 0 belong to it: those of one group of a grouped convolution. ``homes`` are
    the axes, by number, whose channels it takes. A ``vector`` has no other axis.
    """

    number: int
    names: tuple[str, ...]
    axis: int
    first: int
    size: int
    rows: tuple[int, int] | None
    vector: bool
    homes: tuple[int, ...] = ()
    time: int = 0


class Wires:
    """All wires of a network, by number from 1, and what is known of them."""

    def __init__(self) -> None:
        self.parent = numpy.zeros(1, dtype=numpy.int64)
        self.twin = numpy.zeros(1, dtype=numpy.int64)
        """What a wire was united with first: an entry of a bias, with the channel that it is added to."""
        self.axis_of = numpy.full(1, -1, dtype=numpy.int64)
        self.axes: list[Axis] = []
        self.under: list[tuple[numpy.ndarray, numpy.ndarray]] = []
        """(upper, lower) wires: wherever an upper one moves, its lower ones move along."""
        self.colours: list[tuple[numpy.ndarray, numpy.ndarray]] = []
        """(wires, colours): wires with other colours are told apart."""
        self.stays: list[numpy.ndarray] = []
        """Wires that stay where they are."""
        self._clock = 0

    def new(self, count: int, axis: int = -1) -> Tensor:
        """So many new wires (count,)."""
        first = len(self.parent)
        found = numpy.arange(first, first + count)
        self.parent = numpy.concatenate([self.parent, found])
        self.twin = numpy.concatenate([self.twin, found])
        self.axis_of = numpy.concatenate([self.axis_of, numpy.full(count, axis)])
        return torch.from_numpy(found)

    def new_axis(
        self,
        names: tuple[str, ...],
        axis: int,
        size: int,
        rows: tuple[int, int] | None = None,
        *,
        vector: bool = False,
    ) -> Tensor:
        """The wires (size,) of an axis of a tensor of the state."""
        number = len(self.axes)
        self.axes.append(Axis(number, names, axis, len(self.parent), size, rows, vector))
        return self.new(size, number)

    def settle(self, wires: Tensor, homes: Tensor | None = None) -> None:
        """Note whose channels the axes of ``wires`` take: their own, or those of ``homes``; once for each."""
        for number in self._axes(wires):
            axis = self.axes[number]
            if not axis.homes:
                taken = [number] if homes is None else [each for each in self._axes(homes) if each != number]
                axis.homes = tuple(taken or [number])
                self._clock += 1
                axis.time = self._clock

    def _axes(self, wires: Tensor) -> list[int]:
        numbers = self.axis_of[wires.numpy().ravel()]
        return [int(number) for number in dict.fromkeys(numbers[numbers >= 0].tolist())]

    def roots(self, wires: numpy.ndarray) -> numpy.ndarray:
        """The wires that stand for those united with them."""
        parent = self.parent
        found = parent[wires]
        while not numpy.array_equal(found, above := parent[found]):
            found = above
        parent[wires] = found
        return found

    def unite(self, ones: Tensor, others: Tensor) -> None:
        """Let ``others`` be the same wires as ``ones``, entry by entry."""
        both = numpy.stack([each.numpy().ravel() for each in torch.broadcast_tensors(ones, others)])
        both = both[:, (both > 0).all(0)]
        alone = (self.twin[both[1]] == both[1]) & (self.axis_of[both[0]] != self.axis_of[both[1]])
        self.twin[both[1, alone]] = both[0, alone]
        tops = self.roots(both.ravel()).reshape(both.shape)
        tops = tops[:, tops[0] != tops[1]]
        parent = self.parent
        for one, other in tops.T.tolist():
            while (above := parent[one]) != one:
                one = above
            while (above := parent[other]) != other:
                other = above
            parent[other] = one

    def put_under(self, upper: Tensor, lower: Tensor) -> None:
        """Let ``lower`` wires move along with ``upper`` ones, entry by entry."""
        both = numpy.stack([each.numpy().ravel() for each in torch.broadcast_tensors(upper, lower)])
        both = numpy.unique(both[:, (both > 0).all(0)], axis=1)
        if both.size:
            self.under.append((both[0], both[1]))

    def colour(self, wires: Tensor, colours: Tensor | Sequence[int]) -> None:
        """Tell wires apart that have different colours (or none)."""
        given = numpy.broadcast_to(numpy.asarray(colours), tuple(wires.shape)).ravel()
        flat = wires.numpy().ravel()
        self.colours.append((flat[flat > 0], given[flat > 0]))

    def roles(self) -> numpy.ndarray:
        """A number for each wire by what told it apart, before it was united with others.

        Of several wires that are one, those of equal numbers have the same part in what comes out.
        """
        own = numpy.zeros(len(self.parent), dtype=numpy.uint64)
        for number, (flat, given) in enumerate(self.colours):
            mixed = (given.astype(numpy.uint64) + 1) * MIX * numpy.uint64(2 * number + 1)
            numpy.add.at(own, flat, mixed ^ (mixed >> numpy.uint64(29)))
        found, at = own.copy(), self.twin
        for _ in range(TWINS):
            found += numpy.where(at != self.twin[at], own[at], numpy.uint64(0))
            at = self.twin[at]
        return found + own[at]

    def fix(self, wires: Tensor) -> None:
        """Let wires stay where they are."""
        flat = numpy.unique(wires.numpy().ravel())
        self.stays.append(flat[flat > 0])
