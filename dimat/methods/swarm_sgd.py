"""SwarmSGD: random pairs meet and average (Nadiradze, Sabour, Davies, Li and Alistarh 2021)."""

from typing import Annotated, Literal

import numpy
from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.communication.communicator import Network
from dimat.merging.options import Merge
from dimat.methods.every_step import Gossip


class SwarmSgd(Gossip):
    """No common clock: in each interaction, a random pair of neighbours takes local steps and averages.

    In a round, agents take as many steps on average as with other methods, not each of them. Interactions are
    carried out one after the other, as in the analysis; those of disjoint pairs could overlap.
    """

    name: Literal["swarm_sgd"] = "swarm_sgd"
    title = "SwarmSGD"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of each agent's running sum of gradients."""
    local_steps: Annotated[int, Field(ge=1)] = 2
    """H: gradient steps of each of the two before they average."""

    @override
    def answers(self, merge: Merge | None) -> bool:
        """Both of a pair receive."""
        return True

    @override
    def learn(self, agents: Agents, network: Network, round: int) -> None:
        agents.frozen = self.normalization == "frozen" and round > 1
        rate = self.learning_rate * self.decay ** (agents.epochs * (round - 1))
        samples = [agents.samples(row, round) for row in range(len(agents.mine))]
        generator = agents.randomness.numpy("interactions", round=round)
        steps = agents.epochs * agents.steps_per_epoch * agents.agents
        before, after = (rounds * steps // (2 * self.local_steps) for rounds in (round - 1, round))
        for _ in range(before, after):
            network.advance()
            if not network.edges():
                continue  # all links have failed
            pair = generator.choice(network.edges())
            x = agents.parameters
            sums = agents.recall("momentum", x)
            for row in (row for row, agent in enumerate(agents.mine) if agent in pair):
                for _ in range(self.local_steps):
                    sums[row] = self.momentum * sums[row] + agents.gradient(row, next(samples[row]), x[row])
                    x[row] -= rate * sums[row]
                    agents.steps_taken[row] += 1
            agents.parameters = network.mix(x, "models", meeting(pair, agents.agents))


def meeting(pair: numpy.ndarray, agents: int) -> numpy.ndarray:
    """The mixing matrix (N, N) with which two agents average and all others do nothing."""
    matrix = numpy.eye(agents)
    matrix[numpy.ix_(pair, pair)] = 0.5
    return matrix
