"""ADPG: a policy changes rates, trained on a few flows (Tessler et al. 2021, arXiv 2102.09337)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy
import torch
from numpy import ndarray
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.communication.congestion.controller import LEAST, Decide
from dimat.communication.congestion.policy import Policy, loss
from dimat.communication.congestion.queue import Feedback, Queues
from dimat.communication.congestion.signal import OnSignal, moved
from dimat.spec import Many

FlowCount = Annotated[int, Field(ge=1, le=1000)]


class Adpg(OnSignal):
    """A network chooses each flow's action from its last two signals, and the last two changes of its rate.

    It is trained for each seed of a study, on links of its own: each update starts flows at random rates,
    lets them send for a while, and descends `policy.loss`.
    """

    name: Literal["adpg"] = "adpg"
    title: ClassVar[str] = "ADPG"
    flows: Annotated[Many[FlowCount], Field(min_length=1, max_length=16)] = (4, 8, 32)
    """Numbers of flows on the links of the training, all of equal base round-trip time."""
    updates: Annotated[int, Field(ge=1, le=10_000)] = 300
    """Steps of Adam."""
    intervals: Annotated[int, Field(ge=2, le=1000)] = 128
    """Decisions of each flow before an update."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Of Adam."""
    discount: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Weight of a signal, for each interval that it comes later."""
    reward: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """Weight of signals in the loss."""
    smoothness: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Weight of differences between actions in the loss."""

    @override
    def open(self, policy: Policy | None) -> Decide:
        if policy is None:
            raise ValueError("ADPG needs a policy; expected one that was trained")
        seen = Seen(self)

        def decide(rates: ndarray, told: Feedback) -> ndarray:
            with torch.no_grad():
                actions = policy.actions(seen.observe(rates, told))
            return moved(rates, actions.numpy())

        return decide

    def train(self, buffer: float, generator: torch.Generator) -> tuple[Policy, list[float]]:
        """A policy for links whose queue is at most ``buffer``, and the loss at each update."""
        policy = Policy.random(generator)
        weights = [each.requires_grad_() for each in policy.weights.values()]
        optimizer = torch.optim.Adam(weights, lr=self.learning_rate, eps=1e-5)
        losses = []
        for _ in range(self.updates):
            observed = self._observed(policy, buffer, generator)
            actions, signals = policy.actions(observed[:-1]), observed[1:, :, -1]
            found = loss(actions, signals, self.discount, self.reward, self.smoothness)
            optimizer.zero_grad()
            found.backward()
            torch.nn.utils.clip_grad_value_(weights, 0.5)
            optimizer.step()
            losses.append(float(found.detach()))
        for each in weights:
            each.requires_grad_(False)
        return policy, losses

    def _observed(self, policy: Policy, buffer: float, generator: torch.Generator) -> Tensor:
        """What all flows of the training's links observe (T + 1, F, 4), from random rates on."""
        link = numpy.repeat(numpy.arange(len(self.flows)), self.flows)
        queues, seen = Queues(link, numpy.ones(len(link)), buffer), Seen(self)
        rates = LEAST ** torch.rand(len(link), generator=generator, dtype=torch.float64).numpy()
        found = []
        for _ in range(self.intervals + 1):
            found.append(seen.observe(rates, queues.take(rates)))
            with torch.no_grad():
                rates = moved(rates, policy.actions(found[-1]).numpy())
        return torch.stack(found)


@dataclass
class Seen:
    """What flows have seen: the factor by which their rate was changed, and their signal, before and now."""

    controller: OnSignal
    rates: ndarray | None = None
    """Those of the last interval (F,)."""
    last: ndarray | None = None
    """Factor and signal of the last interval (F, 2)."""

    def observe(self, rates: ndarray, told: Feedback) -> Tensor:
        """Observations (F, 4) after an interval at ``rates`` (F,): factor and signal before, and now."""
        factors = rates / (rates if self.rates is None else self.rates)
        now = numpy.stack([factors, self.controller.signals(told.round_trip, rates)], 1)
        both = numpy.concatenate([now if self.last is None else self.last, now], 1)
        self.rates, self.last = rates, now
        return torch.from_numpy(both)
