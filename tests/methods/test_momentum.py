"""Momentum, weight decay and schedules of methods that communicate at every step: torch's, then the links."""

import pytest
import torch
from pydantic import ValidationError
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates, mixing

from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.final_merge import FinalMerge
from dimat.methods.gradient_tracking import GradientTracking
from dimat.methods.ld_sgd import LdSgd
from dimat.methods.quasi_global import QuasiGlobal
from dimat.methods.sgp import Sgp
from dimat.methods.swarm_sgd import SwarmSgd

LENGTH = STEPS // 2
"""Steps in an epoch of `Quadratics`."""
ROUNDS = 3
SCHEDULE = {"warmup": 2, "warmup_start": 0.2, "milestones": (3, 5), "milestone_factor": 0.3, "decay": 0.9}
OPTIONS = {
    "plain": {},
    "heavy ball": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "weight decay": {"weight_decay": 0.3},
    "all": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.3} | SCHEDULE,
}


class OfTorch:
    """torch's SGD with its schedulers, over one agent's vector."""

    def __init__(self, x, momentum=0.0, nesterov=False, weight_decay=0.0, warmup=0, **options):
        self.x = torch.nn.Parameter(x.clone())
        self.optimizer = torch.optim.SGD(
            [self.x], RATE, momentum, weight_decay=weight_decay, nesterov=nesterov
        )
        schedulers = torch.optim.lr_scheduler
        self.warming = (
            schedulers.LinearLR(self.optimizer, options["warmup_start"], 1.0, warmup * LENGTH)
            if warmup
            else None
        )
        self.epochs = [schedulers.ExponentialLR(self.optimizer, options.get("decay", 1.0))]
        milestones = list(options.get("milestones", ()))
        self.epochs.append(
            schedulers.MultiStepLR(self.optimizer, milestones, options.get("milestone_factor", 0.1))
        )
        self.taken = 0

    def step(self, gradient):
        """Where a step along ``gradient`` leads; the vector itself is set by the test."""
        self.x.grad = gradient.clone()
        self.optimizer.step()
        self.taken += 1
        if self.warming:
            self.warming.step()
        if self.taken % LENGTH == 0:
            for each in self.epochs:
                each.step()
        return self.x.detach().clone()

    def put(self, x):
        with torch.no_grad():
            self.x.copy_(x)


def by_torch(options, combine):
    """X after all rounds; ``combine(before, after, k)`` says what comes of local steps."""
    agents = Quadratics(noise=0.3)
    x = agents.parameters
    optimizers = [OfTorch(row, **options) for row in x]
    for k, noise in enumerate(agents.noises(ROUNDS)):
        gradients = agents.all_gradients(x) + noise
        after = torch.stack([each.step(g) for each, g in zip(optimizers, gradients, strict=True)])
        x = combine(x, after, k)
        for each, row in zip(optimizers, x, strict=True):
            each.put(row)
    return x


def adapt_then_combine(before, after, k):
    return mixing() @ after


METHODS = {
    "dpsgd": (Dpsgd, adapt_then_combine),
    "final_merge": (FinalMerge, adapt_then_combine),
    "sgp": (Sgp, adapt_then_combine),
    "cdsgd": (Cdsgd, lambda before, after, k: mixing() @ before + after - before),
    "ld_sgd": (
        lambda **options: LdSgd(local_steps=2, gossip_steps=3, **options),
        lambda before, after, k: mixing() @ after if k % 5 >= 2 else after,
    ),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", METHODS)
def test_local_steps_are_those_of_torch(name, options):
    method, combine = METHODS[name]
    agents = Quadratics(noise=0.3)
    iterates(method(learning_rate=RATE, **options), agents, RING, ROUNDS)
    torch.testing.assert_close(agents.parameters, by_torch(options, combine), rtol=0, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_swarm_counts_the_epochs_of_each_agent_by_itself(options):
    """Two agents meet all the time; each has a third of an epoch's steps between two averages."""
    agents = Quadratics(agents=2, noise=0.3)
    x = agents.parameters
    optimizers = [OfTorch(row, **options) for row in x]
    for h, noise in enumerate(agents.noises(ROUNDS)):
        gradients = agents.all_gradients(x) + noise
        x = torch.stack([each.step(g) for each, g in zip(optimizers, gradients, strict=True)])
        if h % 2:
            x = x.mean(0, keepdim=True).expand(2, -1)
        for each, row in zip(optimizers, x, strict=True):
            each.put(row)
    method = SwarmSgd(learning_rate=RATE, local_steps=2, **options)
    iterates(method, agents, torch.full((2, 2), 0.5).double().numpy(), ROUNDS)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-10)


def test_agents_of_a_swarm_are_in_different_epochs():
    agents = Quadratics(noise=0.3)
    method = SwarmSgd(learning_rate=RATE, decay=0.5)
    iterates(method, agents, RING, 4)
    taken = agents.state["steps"].squeeze(1).tolist()
    assert taken == agents.steps_taken
    assert len({steps // LENGTH for steps in taken}) > 1


def test_frozen_statistics_of_a_swarm_begin_with_each_agents_second_epoch(make_agents, make_communicator):
    from dimat.topology import Ring

    agents, communicator = make_agents(agents=3, epochs=2, batch_size=100), make_communicator(Ring(), 3)
    seen = []
    gradient = agents.gradient

    def watched(row, *arguments, **options):
        seen.append((row, agents.frozen))
        return gradient(row, *arguments, **options)

    agents.gradient = watched
    for round in (1, 2):
        SwarmSgd(normalization="frozen").learn(agents, communicator, round)
    for row in range(3):
        states = [frozen for other, frozen in seen if other == row]
        epoch = agents.steps_per_epoch
        assert len(states) > epoch
        assert states == [False] * epoch + [True] * (len(states) - epoch)


@pytest.mark.parametrize("method", [Cdmsgd, QuasiGlobal, GradientTracking])
def test_weight_decay_is_the_gradient_of_a_penalty(method):
    """A penalty on every agent's loss is a quadratic, too."""
    plain, penalized = Quadratics(noise=0.3), Quadratics(noise=0.3)
    penalty = 0.3 * torch.eye(4, dtype=torch.float64)
    curved = penalized.curvature + penalty
    center = torch.linalg.solve(curved, (penalized.curvature @ penalized.center[:, :, None])).squeeze(2)
    penalized.curvature = penalized.task.curvature = curved
    penalized.center = penalized.task.center = center
    iterates(method(learning_rate=RATE, weight_decay=0.3), plain, RING)
    iterates(method(learning_rate=RATE), penalized, RING)
    torch.testing.assert_close(plain.parameters, penalized.parameters, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", [Dpsgd, Cdsgd, Sgp, LdSgd, SwarmSgd, FinalMerge])
def test_nesterov_needs_momentum(method):
    with pytest.raises(ValidationError, match="expected momentum above 0"):
        method(nesterov=True)
