"""A model of links, which turns bytes, messages and steps into simulated time."""

from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field

from dimat.spec import Spec

if TYPE_CHECKING:
    import pandas

Number = TypeVar("Number", float, "pandas.Series[float]")


class Links(Spec):
    """Every agent sends its messages one after the other, over a link with a bandwidth and a latency."""

    bandwidth: Annotated[float, Field(gt=0)] = 12.5
    """Megabytes (10^6 bytes) in a second."""
    latency: Annotated[float, Field(ge=0)] = 10.0
    """Milliseconds that each message takes whatever its size."""
    step: Annotated[float, Field(ge=0)] = 50.0
    """Milliseconds of a gradient step."""
    delay: Annotated[float, Field(ge=0)] = 0.0
    """Milliseconds by which a node of an agent is late on average, with a method that has nodes (`code` of
    `coded_admm`): delays are exponential, and a step is done when the answers suffice."""

    def seconds(self, steps: Number, messages: Number, size: Number, waited: Number) -> Number:
        """Simulated time of gradient steps, and of messages of ``size`` bytes together; works on columns.

        Agents have ``waited`` for nodes, in means of their delays.
        """
        milliseconds = steps * self.step + messages * self.latency + waited * self.delay
        return milliseconds / 1e3 + size / (self.bandwidth * 1e6)
