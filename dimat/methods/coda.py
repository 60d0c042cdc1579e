"""CoDA: distributed min-max optimization in stages, for the AUC (Guo, Liu, Yuan, Shen, Liu and Yang 2020)."""

from itertools import islice
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous

Count = Annotated[int, Field(ge=1, le=10**6)]


class Period(NamedTuple):
    """A stage of CoDA: its ``number`` from 0, its ``first`` step and how many it has."""

    number: int
    first: int
    length: int


class Coda(Synchronous):
    """Local steps, down in v and up in alpha, between averagings of both; in stages of ever smaller steps.

    Of a min-max problem v is all that descends, and alpha what ascends. In stage s, of stage_steps factor^s
    steps, the rate is learning_rate / factor^s, and v is drawn to the mean of its iterates in the stage
    before, by the gradient of |v - reference|^2 / (2 gamma). At the end of a stage agents average these
    means, and alpha starts again from its best value there. On the complete graph they average as the server
    of the paper does; on others, with their neighbours.
    """

    name: Literal["coda"] = "coda"
    title: ClassVar[str] = "CoDA"
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("reference"), PerAgent("mean"))
    local_steps: Count = 8
    """I: gradient steps between two averagings in the first stage."""
    growing: bool = False
    """Whether local steps of stage s are factor^s times as many, as rates are so many times smaller."""
    stage_steps: Count = 200
    """T: gradient steps of the first stage."""
    factor: Annotated[float, Field(ge=1, le=100)] = 3.0
    """By how much a stage is longer than the one before, and its rate smaller."""
    gamma: Annotated[float, Field(gt=0, le=1e9)] = 500.0
    """Large is a weak pull to the reference."""
    restart_batches: Count = 4
    """Batches of every agent by which alpha starts again, in stage s factor^s times as many."""

    def stage_of(self, number: int) -> Period:
        """The stage of a step, counted from 0."""
        stage = Period(0, 0, self.stage_steps)
        while number >= stage.first + stage.length:
            longer = round(self.stage_steps * self.factor ** (stage.number + 1))
            stage = Period(stage.number + 1, stage.first + stage.length, longer)
        return stage

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x, stage = agents.parameters, self.stage_of(step.number)
        if step.number == 0:
            agents.state["reference"] = x
        pull = torch.where(agents.ascending, 0, (x - agents.state["reference"]) / self.gamma)
        scale = self.factor**stage.number
        x = x - rate / scale * (self.gradients(step, x) + pull)
        taken = step.number - stage.first + 1
        if taken % round(self.local_steps * (scale if self.growing else 1)) == 0:
            x = communicator.mix(x, "models")
        mean = agents.state["mean"]
        agents.state["mean"] = mean + (x - mean) / taken
        if taken == stage.length:
            x = self.restarted(agents, communicator, x, round(self.restart_batches * scale * self.factor))
        agents.parameters = x

    def restarted(self, agents: Agents, communicator: Communicator, x: Tensor, batches: int) -> Tensor:
        """X (n, d) with the alpha that is best for the averaged means of v, which become the reference."""
        reference = agents.state["reference"] = communicator.mix(agents.state["mean"], "references")
        if not agents.task.ascending:
            return x
        best = highest(agents, reference, batches)[:, agents.ascending]
        x[:, agents.ascending] = communicator.mix(best, "restarts")
        return x


def highest(agents: Agents, x: Tensor, batches: int) -> Tensor:
    """X (n, d) with its ascending entries where each agent's loss for fresh samples is highest.

    The loss is a parabola in each of them, so that its slope vanishes on the secant of two slopes.
    """
    points = (x, x + agents.ascending)
    slopes = [torch.zeros_like(x) for _ in points]
    for samples in islice(agents.draws(0), batches):  # of a round in which nobody trains
        for point, slope in zip(points, slopes, strict=True):
            for row, sample in enumerate(samples):
                slope[row] += agents.gradient(row, sample, point[row], own=False)
    here, above = slopes
    return torch.where(agents.ascending, x - here / (above - here), x)
