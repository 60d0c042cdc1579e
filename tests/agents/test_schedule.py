"""Learning rates and their schedules: those of torch."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dimat.agents.optimizers import Adam, Momentum, Sgd
from dimat.agents.schedule import Scheduled


def schedulers(optimizer, options, steps_per_epoch):
    """torch's schedulers for ``options``: the first goes on by steps, the others by epochs."""
    lr_scheduler = torch.optim.lr_scheduler
    by_step = [
        lr_scheduler.LinearLR(optimizer, options.warmup_start, 1.0, options.warmup * steps_per_epoch)
        if options.warmup
        else lr_scheduler.ConstantLR(optimizer, 1.0)
    ]
    by_epoch = [
        lr_scheduler.MultiStepLR(optimizer, list(options.milestones), options.milestone_factor),
        lr_scheduler.ExponentialLR(optimizer, options.decay),
    ]
    return by_step, by_epoch


@given(
    st.floats(1e-3, 10),
    st.floats(0.5, 1),
    st.integers(0, 3),
    st.floats(0.01, 1),
    st.sets(st.integers(1, 7), max_size=3),
    st.floats(0.01, 1),
    st.integers(1, 5),
)
def test_rates_are_those_of_torch(rate, decay, warmup, start, milestones, factor, length):
    options = Scheduled(
        learning_rate=rate,
        decay=decay,
        warmup=warmup,
        warmup_start=start if warmup else 0.1,
        milestones=tuple(sorted(milestones)),
        milestone_factor=factor if milestones else 0.1,
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], rate)
    by_step, by_epoch = schedulers(optimizer, options, length)
    for step in range(8 * length):
        assert options.rate_at(step, length) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        for each in by_step:
            each.step()
        if (step + 1) % length == 0:
            for each in by_epoch:
                each.step()


def test_by_default_the_rate_is_constant_to_the_last_bit():
    assert {Scheduled(learning_rate=0.3).rate_at(step, 7) for step in range(1000)} == {0.3}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"warmup_start": 0.5}, "expected warmup beside it"),
        ({"milestone_factor": 0.5}, "expected milestones beside it"),
        ({"milestones": (4, 2)}, r"ascending order, got \[4, 2\]"),
        ({"milestones": (2, 2)}, r"ascending order, got \[2, 2\]"),
        ({"milestones": (0,)}, "greater than or equal to 1"),
        ({"warmup": -1}, "greater than or equal to 0"),
        ({"warmup": 1, "warmup_start": 0.0}, "greater than 0"),
        ({"decay": 1.1}, "less than or equal to 1"),
    ],
)
def test_schedules_without_sense_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        Scheduled(**options)


def test_nesterov_needs_momentum():
    with pytest.raises(ValidationError, match="expected momentum above 0"):
        Momentum(momentum=0.0, nesterov=True)


@pytest.mark.parametrize("steps", ["own", "equal"])
@pytest.mark.parametrize(
    "optimizer",
    [
        Momentum(learning_rate=0.05, nesterov=True, weight_decay=0.01, milestones=(1, 3), warmup=2),
        Momentum(learning_rate=0.05, decay=0.7),
        Sgd(learning_rate=0.1, weight_decay=0.1, milestones=(2,), milestone_factor=0.3),
        Adam(warmup=1),
    ],
    ids=lambda optimizer: optimizer.label(),
)
def test_local_training_is_that_of_torch(make_agents, optimizer, steps):
    """Two rounds of two epochs of each agent, with torch's own optimizer and schedulers."""
    agents = make_agents(
        agents=2, epochs=2, batch_size=100, optimizer=optimizer, optimizer_state="kept", steps=steps
    )
    task = agents.task
    for row, model in enumerate(copy.deepcopy(agents.models)):
        torch_optimizer = copy.deepcopy(optimizer).build(model.train())
        equal = steps == "equal"
        length = agents.steps_per_epoch if equal else task.epoch_length(row, "train")
        by_step, by_epoch = schedulers(torch_optimizer, optimizer, length)
        for round in (1, 2):
            samples = agents.samples(row, round)
            for epoch in range(2):
                source = samples if equal else task.epoch(row, "train", round, epoch)
                for _, sample in zip(range(length), source, strict=False):
                    torch_optimizer.zero_grad()
                    task.loss(model, sample).backward()
                    torch_optimizer.step()
                    for each in by_step:
                        each.step()
                for each in by_epoch:
                    each.step()
        one = make_agents(
            agents=2, epochs=2, batch_size=100, optimizer=optimizer, optimizer_state="kept", steps=steps
        )
        for round in (1, 2):
            one.train(round)
        for found, expected in zip(one.models[row].parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
