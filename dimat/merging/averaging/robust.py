"""Averages that a few networks cannot move far, whatever these hold: coordinate-wise median and trimmed mean.

Yin, Chen, Ramchandran and Bartlett 2018, arXiv 1803.01498; over neighbourhoods of a graph, Fang, Yang and
Bajwa 2022 (BRIDGE), arXiv 1908.08649. What the graph gives as weights does not enter.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.spec import Spec


class Robust(Spec):
    """Of each entry, the mean over networks without the largest and the smallest."""

    @abstractmethod
    def dropped(self, networks: int) -> int:
        """How many of the largest are dropped, and of the smallest, of so many ``networks``: not all."""


class Median(Robust):
    """The median of each entry over an agent and its neighbours; of an even number, the mean of the two."""

    name: Literal["median"] = "median"

    @override
    def dropped(self, networks: int) -> int:
        return (networks - 1) // 2


class TrimmedMean(Robust):
    """The mean of each entry over an agent and its neighbours, without the largest and the smallest."""

    name: Literal["trimmed_mean"] = "trimmed_mean"
    trim: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many of the largest are dropped, and of the smallest: as many as may be faulty among an agent and
    its neighbours. Where too few are met, as many as leave one or two."""

    @override
    def label(self) -> str:
        return f"trimmed mean, {self.trim} a side"

    @override
    def dropped(self, networks: int) -> int:
        return min(self.trim, (networks - 1) // 2)


def robust_average(states: Sequence[Mapping[str, Tensor]], way: Robust) -> dict[str, Tensor]:
    """The average of aligned ``states`` by a ``way``, entry by entry.

    What is no tensor is that of the first. Entries that count (integers) are averaged and rounded.
    """
    drop = way.dropped(len(states))
    merged = {}
    for name, like in states[0].items():
        if not isinstance(like, Tensor):
            merged[name] = like
            continue
        ordered = torch.stack([state[name] for state in states]).sort(0).values
        kept = ordered[drop : len(states) - drop]
        if not like.is_floating_point():
            merged[name] = kept.double().mean(0).round().to(like.dtype)
        else:
            merged[name] = kept.mean(0)
    return merged
