"""Dirichlet label skew (Hsu, Qi and Brown 2019, arXiv 1909.06335)."""

from typing import Annotated, Literal

import numpy
from numpy import ndarray
from pydantic import Field
from typing_extensions import override

from dimat.data.partitions.partition import Partition, Shares, joined, shuffled_classes
from dimat.errors import InputError

ATTEMPTS = 1000


class Dirichlet(Partition):
    """Each class is divided among the agents in proportions drawn from Dirichlet(alpha, ..., alpha)."""

    name: Literal["dirichlet"] = "dirichlet"
    alpha: float = Field(gt=0, le=1e6)
    """Concentration: small is skewed (0.1), large is close to IID (100)."""
    fewest: Annotated[int, Field(ge=1)] = 10
    """Draw again until every agent holds at least so many images."""

    @override
    def label(self) -> str:
        return f"Dirichlet {self.alpha:g}"

    @override
    def deal(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        classes = shuffled_classes(labels, generator)
        for _ in range(ATTEMPTS):
            pieces: list[list[ndarray]] = [[] for _ in range(agents)]
            for members in classes:
                proportions = generator.dirichlet(numpy.full(agents, self.alpha))
                cuts = numpy.rint(numpy.cumsum(proportions)[:-1] * len(members)).astype(int)
                for agent, piece in enumerate(numpy.split(members, cuts)):
                    pieces[agent].append(piece)
            shares = joined(pieces)
            if min(len(own) for own in shares) >= self.fewest:
                return Shares(shares, shares)
        raise InputError(
            f"partition.alpha: {self.alpha} never left all {agents} agents with {self.fewest} images or "
            f"more in {ATTEMPTS} draws; use a larger alpha, fewer agents, or a smaller partition.fewest"
        )
