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
    nodes: Annotated[int, Field(ge=0, le=100)] = 0
    """Nodes of each agent, among which its gradient steps are divided; 0 is one that is never late. Methods
    that code the answers of nodes have a number of their own."""
    delay: Annotated[float, Field(ge=0)] = 0.0
    """Milliseconds by which a node is late on average; delays are exponential. A step waits for all nodes of
    its agent, on average delay (1 + 1/2 + ... + 1/nodes), or, where a method codes answers, until they
    suffice."""

    @property
    def wait(self) -> float:
        """The mean of the largest delay of `nodes`, in means of delays."""
        return sum(1 / j for j in range(1, self.nodes + 1))

    def seconds(self, steps: Number, messages: Number, size: Number, waited: Number) -> Number:
        """Simulated time of gradient steps, and of messages of ``size`` bytes together; works on columns.

        Agents have ``waited`` for nodes, in means of their delays.
        """
        milliseconds = steps * self.step + messages * self.latency + waited * self.delay
        return milliseconds / 1e3 + size / (self.bandwidth * 1e6)
