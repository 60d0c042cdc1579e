"""K-GT: gradient tracking with local steps (Liu, Lin, Koloskova and Stich 2023)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous


class KGt(Synchronous):
    """K local steps X - rate (G(X) + C) from X0 lead to X1; then both are averaged, and C learns.

    With Z the mean of the K directions G + C: C <- C - Z + W Z, and X <- W (X0 - outer_rate (X0 - X1)). The
    sum of all C stays 0, where it starts. With K = 1 it is gradient tracking in the form `dsgt`.
    """

    name: Literal["k_gt"] = "k_gt"
    title: ClassVar[str] = "K-GT"
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("start"), PerAgent("directions"), PerAgent("correction"))
    local_steps: Annotated[int, Field(ge=1, le=10**6)] = 10
    """K: gradient steps between two averagings."""
    outer_rate: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How much of what K steps have moved is kept; the published communication step size."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x, state = agents.parameters, agents.state
        taken = step.number % self.local_steps
        start = state["start"] if taken else x
        direction = self.gradients(step, x) + state["correction"]
        directions = state["directions"] + direction if taken else direction
        x = x - rate * direction
        if taken + 1 == self.local_steps:
            mean = directions / self.local_steps
            state["correction"] = state["correction"] - mean + communicator.mix(mean, "trackers")
            x = communicator.mix(start - self.outer_rate * (start - x), "models")
        state["start"], state["directions"] = start, directions
        agents.parameters = x
