"""CHOCO-SGD: compressed differences to public copies (Koloskova, Stich and Jaggi 2019, algorithm 2)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerLink
from dimat.communication.communicator import Communicator
from dimat.communication.compression import AnyCompressor, TopK
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import LocalMomentum


class Choco(LocalMomentum):
    """D-PSGD whose agents average public copies of each other, which follow by compressed differences.

    X' = X - rate G(X); each agent tells its neighbours Q(X'_i - P_i), all of whom add it to P_i, which
    stands for it; then X <- X' + gamma (W - I) P. Without compression and with gamma 1 it is D-PSGD. With
    momentum it is as in deep learning (Koloskova, Lin, Stich and Jaggi 2020). Copies are kept for each link,
    so that those at its ends stay the same where messages are lost.
    """

    name: Literal["choco"] = "choco"
    title: ClassVar[str] = "CHOCO-SGD"
    sparing: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (*LocalMomentum.keeps, PerLink("told"), PerLink("heard", "other"))
    compression: AnyCompressor = TopK()
    """Q: how differences are sent."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Step size of averaging; smaller where less is sent."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both ends of a link have copies of each other."""
        return True

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x, state = agents.parameters, agents.state
        x = x - rate * self.direction(agents, self.gradients(step, x))
        messages = {}
        for row, agent in enumerate(agents.local_agents):
            generator = agents.randomness.numpy("compression", agent=agent, round=step.number)
            seed = int(generator.integers(2**62))
            for receiver in communicator.receivers(agent):
                told = state["told", (agent, receiver)]
                message = self.compression.compress(x[row] - told, seed)
                state["told", (agent, receiver)] = told + self.compression.decompress(message, told)
                messages[agent, receiver] = message
        for (sender, agent), message in communicator.send(messages, "models").items():
            heard = state["heard", (agent, sender)]
            state["heard", (agent, sender)] = heard + self.compression.decompress(message, heard)
        for row, agent in enumerate(agents.local_agents):
            for sender in communicator.senders(agent):
                apart = state["heard", (agent, sender)] - state["told", (agent, sender)]
                x[row] += self.gamma * float(communicator.mixing[agent, sender]) * apart
        agents.parameters = x
