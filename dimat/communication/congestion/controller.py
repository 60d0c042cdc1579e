"""What a congestion controller is: it says how fast each flow may send, from what the flow itself is told."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from numpy import ndarray
from typing_extensions import override

from dimat.communication.congestion.policy import Policy
from dimat.communication.congestion.queue import Feedback
from dimat.spec import Spec

Decide = Callable[[ndarray, Feedback], ndarray]
"""From the rates (F,) of an interval, and what came of them, those of the next."""
LEAST, MOST = 5e-4, 1.0
"""Rates of a flow, in shares of the capacity: none falls silent, none is faster than the link."""


class Controller(Spec):
    """How flows choose their rates: each once in a base round-trip time, and by what it knows of itself."""

    title: ClassVar[str]
    """Its name in figures."""

    @override
    def label(self) -> str:
        return f"{self.title}{super().label().removeprefix(getattr(self, 'name', ''))}"

    def first(self, rates: ndarray) -> ndarray:
        """The rates (F,) that flows begin with; those which adapt begin with ``rates``."""
        return rates

    @abstractmethod
    def open(self, policy: Policy | None) -> Decide:
        """The controllers of flows that begin; ``policy`` is that of a controller that learns."""
