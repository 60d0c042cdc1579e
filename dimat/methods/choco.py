"""CHOCO-SGD: compressed differences to public copies (Koloskova, Stich and Jaggi 2019)."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerLink
from dimat.communication.communicator import Communicator
from dimat.communication.compression import AnyCompressor, TopK
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import LocalMomentum


class Choco(LocalMomentum):
    """D-PSGD whose agents average public copies of each other, which follow by compressed differences.

    Agents take a step, X <- X - rate G(X). They tell their neighbours Q(X_i - P_i), all of whom add it to
    P_i, which stands for it. And they average, X <- X + gamma (W - I) P. In which order they tell and
    average, ``averaging`` says. Without compression and with gamma 1 it is D-PSGD if they tell first, and
    CDSGD, W X - rate G(X), if they average first, as then P is X before the step. Momentum is an agent's own.
    Copies are kept for each link, so that those at its ends stay the same where messages are lost.
    """

    name: Literal["choco"] = "choco"
    title: ClassVar[str] = "CHOCO-SGD"
    sparing: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (*LocalMomentum.keeps, PerLink("told"), PerLink("heard", "other"))
    compression: AnyCompressor = TopK()
    """Q: how differences are sent."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Step size of averaging; smaller where less is sent."""
    averaging: Literal["after_telling", "before_telling"] = "after_telling"
    """Whether agents average copies that have followed the step, or those from before it (`before_telling`,
    algorithm 1 of Koloskova, Lin, Stich and Jaggi 2020, and its authors' code): then messages can be on their
    way while the next gradients are computed."""

    @model_serializer(mode="wrap")
    def _order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`averaging` is a part of it only where it is another."""
        content = handler(self)
        if self.averaging == "after_telling":
            content.pop("averaging", None)
        return content

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both ends of a link have copies of each other."""
        return True

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        if self.averaging == "before_telling":
            self.average(agents, communicator, x)
        self.tell(agents, communicator, x, step.number)
        if self.averaging == "after_telling":
            self.average(agents, communicator, x)
        agents.parameters = x

    def tell(self, agents: Agents, communicator: Communicator, x: Tensor, number: int) -> None:
        """Have all copies of each agent follow its row of ``x`` (n, d), in step ``number``."""
        state, messages = agents.state, {}
        for row, agent in enumerate(agents.local_agents):
            generator = agents.randomness.numpy("compression", agent=agent, round=number)
            seed = int(generator.integers(2**62))
            for receiver in communicator.receivers(agent):
                told = state["told", (agent, receiver)]
                message = self.compression.compress(x[row] - told, seed)
                state["told", (agent, receiver)] = told + self.compression.decompress(message, told)
                messages[agent, receiver] = message
        for (sender, agent), message in communicator.send(messages, "models").items():
            heard = state["heard", (agent, sender)]
            state["heard", (agent, sender)] = heard + self.compression.decompress(message, heard)

    def average(self, agents: Agents, communicator: Communicator, x: Tensor) -> None:
        """Draw ``x`` (n, d), in place, as far together as the copies are apart."""
        state = agents.state
        for row, agent in enumerate(agents.local_agents):
            for sender in communicator.senders(agent):
                apart = state["heard", (agent, sender)] - state["told", (agent, sender)]
                x[row] += self.gamma * float(communicator.mixing[agent, sender]) * apart
