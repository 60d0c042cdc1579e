"""SwarmSGD: random pairs meet and average (Nadiradze, Sabour, Davies, Li and Alistarh 2021)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import EveryStep


class SwarmSgd(EveryStep):
    """No common clock: in each interaction, a random pair of neighbours takes local steps and averages.

    In a round, agents take as many steps on average as with other methods, not each of them. Interactions are
    carried out one after the other, as in the analysis; those of disjoint pairs could overlap.
    """

    name: Literal["swarm_sgd"] = "swarm_sgd"
    title: ClassVar[str] = "SwarmSGD"
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("momentum"),)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of each agent's running sum of gradients."""
    local_steps: Annotated[int, Field(ge=1)] = 2
    """H: gradient steps of each of the two before they average."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both of a pair receive."""
        return True

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.state.declare(self.keeps)
        agents.frozen = self.normalization == "frozen" and round > 1
        rate = self.learning_rate * self.decay ** (agents.epochs * (round - 1))
        samples = [agents.samples(row, round) for row in range(len(agents.local_agents))]
        generator = agents.randomness.numpy("interactions", round=round)
        steps = agents.epochs * agents.steps_per_epoch * agents.agents
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
                    sums[row] = self.momentum * sums[row] + agents.gradient(row, next(samples[row]), x[row])
                    x[row] -= rate * sums[row]
                    agents.steps_taken[row] += 1
            other = dict(zip(pair, reversed(pair), strict=True))
            received = communicator.send(
                {(agent, other[agent]): x[row].clone() for row, agent in met}, "models"
            )
            for row, agent in met:
                x[row] = (x[row] + received[other[agent], agent]) / 2
            agents.parameters = x
