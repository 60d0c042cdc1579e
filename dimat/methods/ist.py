"""IST: independent subnet training (Yuan, Wolfe, Dun, Tang, Kyrillidis and Jermaine 2022)."""

from itertools import chain, islice
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.communication.product import weighted_sum
from dimat.errors import InputError
from dimat.methods.dealing import Deal, Place
from dimat.methods.every_step import EveryStep, with_decay

Slices = list[dict[Place, Tensor]]
"""For each local agent, points (d,) that are 0 outside of a slice, by the place that the slice is for."""


class Ist(EveryStep):
    """Agents train disjoint slices of networks, and put them together: nothing hidden is averaged.

    Again and again, the hidden channels of every group are dealt out at random among each agent and its
    neighbours (see `Deal`). For ``local_steps`` steps, each trains the slice of its own network that is made
    of its channels: what other channels take part in is 0. Then it sends the slice to whom it was dealt by,
    where the slice takes the place of the same channels. Weights between channels of two agents stay as they
    are until another deal. What belongs to no hidden channel, as the biases of the last layer, is in all
    slices, and is averaged with the mixing weights. A round ends with an exchange.

    On a complete graph, with `training.start` same and no pre-training, all agents hold one network at every
    exchange, as the published method does on a server. On others, an agent has a block for each place that it
    has among its neighbours, and trains that many slices, of the same images; networks of neighbours come
    together as one takes over what the other has trained. Alone, an agent trains all of its network by SGD.
    """

    name: Literal["ist"] = "ist"
    title: ClassVar[str] = "IST"
    deals_channels: ClassVar[bool] = True
    local_steps: Annotated[int, Field(ge=1)] = 20
    """H: gradient steps on a slice before it is sent."""
    normalization: Literal["batch"] = "batch"  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
    """Slices normalize by each batch: statistics of the whole network are not theirs."""

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        point = super().canonical(point)
        if point["calibration"].repair == "none":
            raise InputError(
                "calibration.repair: 'none' leaves a network that was trained in slices without statistics "
                f"of the whole; with method {self.label()} expected 'recalibrate'"
            )
        return point

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.frozen = False
        generator = agents.randomness.numpy("deals", round=round)
        steps = agents.steps(round)
        for first in steps:
            communicator.advance()
            deal = Deal(agents, communicator, generator)
            slices = self.dealt(agents, communicator, deal)
            for step in chain([first], islice(steps, self.local_steps - 1)):
                self.step(agents, deal, slices, step)
            self.exchange(agents, communicator, deal, slices)

    def dealt(self, agents: Agents, communicator: Communicator, deal: Deal) -> Slices:
        """The slices of each agent's own network that it is to train: one for each of its places."""
        return [
            {
                place: deal.mask(place) * point
                for owner in (agent, *communicator.receivers(agent))
                for place in [deal.place(agent, owner)]
            }
            for agent, point in zip(agents.local_agents, agents.parameters, strict=True)
        ]

    def step(self, agents: Agents, deal: Deal, slices: Slices, step: Step) -> None:
        """A gradient step on each slice; running statistics follow those of whole networks alone."""
        rate = self.rate_at(step.number, agents.steps_per_epoch)
        for row, own in enumerate(slices):
            for place, point in own.items():
                gradient = agents.gradient(row, step.samples[row], point, own=place.members == 1)
                gradient = with_decay(gradient, self.weight_decay, point)
                own[place] = point - rate * (deal.mask(place) * gradient)

    def exchange(self, agents: Agents, communicator: Communicator, deal: Deal, slices: Slices) -> None:
        """Send slices to the owners of their channels, who put them in the place of what they had."""
        results = {
            (agent, owner): slices[row][place].index_select(0, deal.entries(place))
            for row, agent in enumerate(agents.local_agents)
            for owner in (agent, *communicator.receivers(agent))
            for place in [deal.place(agent, owner)]
        }
        sent = {link: result for link, result in results.items() if link[0] != link[1]}
        results |= communicator.send(sent, "models")
        x = agents.parameters
        for row, agent in enumerate(agents.local_agents):
            found = {j: results[j, agent] for j in (agent, *communicator.senders(agent))}
            for j, result in found.items():
                x[row].index_copy_(0, deal.entries(deal.place(j, agent)), result)
            if deal.shared:
                shared = {j: result[: deal.shared] for j, result in found.items()}
                entries = deal.entries(deal.place(agent, agent))[: deal.shared]
                x[row].index_copy_(0, entries, weighted_sum(shared, communicator.mixing[agent]))
        agents.parameters = x
