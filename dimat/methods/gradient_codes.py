"""Gradient codes: nodes compute more than their share, so that nobody waits for the slowest.

An agent deals its batch out to K nodes in K parts. Each node has S + 1 parts and answers with one combination
of their gradients, a row of B (K, K). The gradient of the batch, the sum over all parts, is a combination of
the answers of any K - S nodes (Tandon, Lei, Dimakis and Karampatziakis 2017).
"""

from abc import abstractmethod
from typing import Annotated, Literal, Self

import numpy
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.randomness import Randomness
from dimat.spec import OneOf, Spec

CLOSE = 1e-6
"""How far off the sum of all parts what is decoded may be."""


class GradientCode(Spec):
    """K ``nodes``, of which any S ``stragglers`` need not answer."""

    nodes: Annotated[int, Field(ge=1, le=100)]
    """K: nodes of an agent, among which it deals out its batch."""
    stragglers: Annotated[int, Field(ge=0)] = 0
    """S: how many of them nobody waits for. Each node computes S + 1 of K parts of the batch."""

    @model_validator(mode="after")
    def _some_nodes_answer(self) -> Self:
        if self.stragglers >= self.nodes:
            raise ValueError(
                f"stragglers: {self.stragglers} of {self.nodes} nodes leave none that answers; expected fewer"
            )
        return self

    @abstractmethod
    def matrix(self) -> numpy.ndarray:
        """B (K, K): row i says how node i adds up the gradients of its parts."""

    @abstractmethod
    def waits(self, delays: numpy.ndarray) -> numpy.ndarray:
        """When, at each step, the answers suffice, if nodes answer after ``delays`` (steps, K)."""


class Cyclic(GradientCode):
    """Node i has the parts i, i + 1, ..., i + S, around a circle; K - S answers are needed.

    With delays of mean 1, drawn from one exponential distribution, the mean wait is the sum of 1 / j over
    j = S + 1, ..., K.
    """

    name: Literal["cyclic"] = "cyclic"

    @override
    def matrix(self) -> numpy.ndarray:
        """Rows are in the null space of a random H (S, K) whose rows sum to 0.

        So is 1^T, the sum of all parts; and any K - S rows of B span that space, which has K - S dimensions.
        """
        size, kept = self.nodes, self.stragglers
        checks = Randomness("gradient codes", 0).numpy("cyclic").normal(size=(kept, size))
        checks -= checks.mean(axis=1, keepdims=True)
        rows = numpy.zeros((size, size))
        for node in range(size):
            others = (node + 1 + numpy.arange(kept)) % size
            rows[node, node] = 1
            rows[node, others] = numpy.linalg.solve(checks[:, others], -checks[:, node])
        return rows

    @override
    def waits(self, delays: numpy.ndarray) -> numpy.ndarray:
        return numpy.sort(delays)[:, self.nodes - self.stragglers - 1]


class Repetition(GradientCode):
    """Groups of S + 1 nodes have the same S + 1 parts, and answer with their sum; one of each group suffices.

    With delays of mean 1, drawn from one exponential distribution, the mean wait is the sum of 1 / j over
    j = 1, ..., K / (S + 1), divided by S + 1.
    """

    name: Literal["repetition"] = "repetition"

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Self:
        if self.nodes % (self.stragglers + 1):
            raise ValueError(
                f"nodes: {self.nodes} are not whole groups of stragglers + 1 = {self.stragglers + 1}; "
                "expected a multiple, or a cyclic code"
            )
        return self

    @override
    def matrix(self) -> numpy.ndarray:
        size = self.stragglers + 1
        return numpy.kron(numpy.eye(self.nodes // size), numpy.ones((size, size)))

    @override
    def waits(self, delays: numpy.ndarray) -> numpy.ndarray:
        groups = delays.reshape(len(delays), -1, self.stragglers + 1)
        return groups.min(axis=2).max(axis=1)


AnyCode = Annotated[Cyclic | Repetition, OneOf()]


def decoding(answers: numpy.ndarray) -> numpy.ndarray:
    """Weights (n,) with which ``answers`` (n, K), the rows of B of n nodes, give the sum of all parts.

    ValueError if there are none: too many nodes have not answered.
    """
    weights = numpy.linalg.lstsq(answers.T, numpy.ones(answers.shape[1]))[0]
    if numpy.abs(weights @ answers - 1).max() > CLOSE:
        raise ValueError(f"{len(answers)} answers do not give the sum of all parts; expected more")
    return weights
