"""What methods have in common whose agents merge with their neighbours once in a round."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from dimat.agents.networks import Networks
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.merging.averaging.coefficients import Mixing
from dimat.merging.averaging.options import AnyCoefficients, Averaging
from dimat.merging.averaging.task_vectors import TaskVectors
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.matching.options import Matching
from dimat.merging.merge import START, merge_with_neighbours
from dimat.merging.options import Merging
from dimat.methods.method import LocalTraining


class NeighbourhoodMerging(LocalTraining):
    """In every round: merge with the neighbours, then train for whole epochs."""

    communicates: ClassVar[Literal["round", "step", "never"]] = "round"
    every_link: ClassVar[bool] = True
    bears_delays: ClassVar[bool] = True
    meets_attackers: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent(START),)
    coefficients: AnyCoefficients = Mixing()
    """With which weights networks are averaged; or, by `median` and `trimmed_mean`, of each entry what lies
    in the middle, which a few faulty networks cannot move far."""
    shrink: Annotated[float, Field(gt=0, le=1)] = 1.0
    """After the first merge, multiply all weights in front of normalizations by this. The networks' functions
    stay the same, but they learn faster, as averages of networks that do not match do by themselves."""

    @model_validator(mode="after")
    def _start_as_it_is(self) -> Self:
        if self.shrink != 1 and isinstance(self.coefficients, TaskVectors):
            raise ValueError(
                f"shrink: {self.shrink:g} changes the start from which {self.coefficients.name} counts "
                "what was learnt; expected 1"
            )
        return self

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """A common frame is found by neighbours who tell each other their orders."""
        return matching is not None and matching.common_frame

    @override
    def communicate(
        self, agents: Networks, communicator: Communicator, merging: Merging, round: int
    ) -> Sequence[Diagnostic]:
        averaging = Averaging(self.coefficients, self.shrink)
        if isinstance(self.coefficients, TaskVectors) and round == 1:
            agents.state[START] = agents.parameters
        return merge_with_neighbours(agents, communicator, merging, averaging, round)
