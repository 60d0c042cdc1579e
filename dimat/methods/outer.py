"""What methods have in common whose agents train by themselves and then step along what they learnt."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.networks import Networks
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.merging.calibration.calibrate import calibrate
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.options import Merging
from dimat.methods.method import LocalTraining
from dimat.methods.unmatched import Unmatched

OuterRate = Annotated[float, Field(gt=0, le=10)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class OuterSteps(Unmatched, LocalTraining):
    """In every round: an outer step from where the last one led, along what was learnt since, then training.

    Agents go on from where the outer step leads, and are evaluated there.
    """

    communicates: ClassVar[Literal["round", "step", "never"]] = "round"
    sparing: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("outer"), PerAgent("outer momentum"))

    @override
    def communicate(
        self, agents: Networks, communicator: Communicator, merging: Merging, round: int
    ) -> Sequence[Diagnostic]:
        self.step(agents, communicator, round)
        calibrate(agents, communicator, merging.calibration, round)
        return ()

    def step(self, agents: Agents, communicator: Communicator, round: int) -> None:
        """The outer step of a round; in the first, nothing was learnt since the one before."""
        communicator.advance()
        if round == 1:
            agents.state["outer"] = agents.parameters
        agents.state["outer"] = self.outer(agents, communicator, round)
        agents.parameters = agents.state["outer"]

    @abstractmethod
    def outer(self, agents: Agents, communicator: Communicator, round: int) -> Tensor:
        """Where the outer step leads (n, d)."""
