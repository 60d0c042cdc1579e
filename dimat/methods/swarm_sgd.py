"""SwarmSGD: random pairs meet and average (Nadiradze, Sabour, Davies, Li and Alistarh 2021)."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import EveryStep, with_decay
from dimat.methods.momentum import OwnMomentum


class SwarmSgd(OwnMomentum, EveryStep):
    """No common clock: in each interaction, a random pair of neighbours takes local steps and averages.

    In a round, agents take as many steps on average as with other methods, not each of them. Interactions are
    carried out one after the other, as in the analysis; those of disjoint pairs could overlap. As there is
    no common clock, the epochs of schedules and of frozen statistics are an agent's own, by its steps so far.
    """

    name: Literal["swarm_sgd"] = "swarm_sgd"
    title: ClassVar[str] = "SwarmSGD"
    keeps: ClassVar[tuple[Kept, ...]] = (*OwnMomentum.keeps, PerAgent("steps", "number"))
    local_steps: Annotated[int, Field(ge=1)] = 2
    """H: gradient steps of each of the two before they average."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both of a pair receive."""
        return True

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.state.declare(self.keeps)
        samples = [agents.samples(row, round) for row in range(len(agents.local_agents))]
        generator = agents.randomness.numpy("interactions", round=round)
        steps = agents.epochs * agents.steps_per_epoch * agents.agents
        taken = [int(steps) for steps in agents.state["steps"].flatten().tolist()]
        before, after = (rounds * steps // (2 * self.local_steps) for rounds in (round - 1, round))
        for _ in range(before, after):
            communicator.advance()
            if not (edges := communicator.edges()):
                continue  # all links have failed
            pair = generator.choice(edges).tolist()
            x = agents.parameters
            sums = agents.state["momentum"]
            met = [(row, agent) for row, agent in enumerate(agents.local_agents) if agent in pair]
            for row, _ in met:
                for _ in range(self.local_steps):
                    number = taken[row]
                    agents.frozen = self.normalization == "frozen" and number >= agents.steps_per_epoch
                    gradient = agents.gradient(row, next(samples[row]), x[row])
                    gradient = with_decay(gradient, self.weight_decay, x[row])
                    sums[row] = self.momentum * sums[row] + gradient
                    rate = self.rate_at(number, agents.steps_per_epoch)
                    x[row] -= rate * self.ahead(gradient, sums[row])
                    taken[row] += 1
                    agents.steps_taken[row] += 1
            other = dict(zip(pair, reversed(pair), strict=True))
            received = communicator.send(
                {(agent, other[agent]): x[row].clone() for row, agent in met}, "models"
            )
            for row, agent in met:
                x[row] = (x[row] + received[other[agent], agent]) / 2
            agents.parameters = x
        numbers = torch.tensor(taken, dtype=torch.float64)[:, None]
        agents.state["steps"] = numbers.to(agents.state["steps"].device, non_blocking=True)
