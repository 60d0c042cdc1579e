"""The queue, and congestion controllers, against closed forms and slow references."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.optimize import brentq
from torch import Tensor

from dimat.communication.congestion.adpg import Adpg, Seen
from dimat.communication.congestion.aimd import Aimd
from dimat.communication.congestion.bottleneck import Bottleneck
from dimat.communication.congestion.exchange import SharedLink
from dimat.communication.congestion.fixed import Fixed
from dimat.communication.congestion.policy import LAYERS, Policy, loss
from dimat.communication.congestion.proportional import Proportional
from dimat.communication.congestion.queue import Feedback, Queues, jain
from dimat.communication.congestion.resting import at_rest
from dimat.communication.congestion.signal import OnSignal, moved

RATES = some.lists(some.floats(0.001, 1), min_size=1, max_size=6).map(numpy.array)


def one_link(delays, buffer=4.0):
    return Queues(numpy.zeros(len(delays), int), numpy.asarray(delays, float), buffer)


def resting(controller, flows, spread=0.0, policy=None):
    (found,) = at_rest(controller, policy, 4.0, spread, numpy.random.default_rng(0), (flows,))
    return found


# The queue.


@given(RATES, some.integers(1, 40), some.floats(0.1, 10))
def test_with_constant_rates_the_queue_is_that_of_its_closed_form(rates, intervals, buffer):
    queues = one_link(numpy.ones(len(rates)), buffer)
    for _ in range(intervals):
        told = queues.take(rates)
    expected = min(buffer, max(0.0, intervals * (rates.sum() - 1)))
    assert queues.length[0] == pytest.approx(expected, abs=1e-9)
    assert told.round_trip == pytest.approx(1 + expected, abs=1e-9)
    if expected == buffer and intervals * (rates.sum() - 1) > buffer + rates.sum():
        assert told.lost == pytest.approx(1 - 1 / rates.sum())


@given(some.lists(RATES, min_size=1, max_size=12), some.floats(0.1, 4))
def test_nothing_appears_or_vanishes(rates, buffer):
    queues, sent, served = one_link(numpy.ones(6), buffer), 0.0, 0.0
    for each in rates:
        amounts = numpy.pad(each, (0, 6 - len(each)))
        told = queues.take(amounts, 0.5)
        sent += float(amounts @ (1 - told.lost))
        served += queues.served[0]
        assert queues.served[0] <= 0.5 + 1e-12
    assert sent == pytest.approx(served + queues.length[0])


def test_links_beside_each_other_do_not_meet():
    queues = Queues(numpy.array([0, 0, 1]), numpy.array([1.0, 1.5, 2.0]), 4.0)
    told = queues.take(numpy.array([1.0, 0.5, 0.25]))
    assert queues.length.tolist() == [0.5, 0.0]
    assert told.round_trip.tolist() == [1.5, 2.0, 2.0]


def test_jains_index():
    assert jain(numpy.full(7, 0.3)) == pytest.approx(1)
    assert jain(numpy.array([1.0, 0, 0, 0])) == pytest.approx(1 / 4)


# Where flows come to rest.


@pytest.mark.parametrize("flows", [2, 8, 64, 512])
def test_equal_flows_come_to_rest_at_tolerated_plus_target_times_the_root_of_their_number(flows):
    found = resting(Proportional(), flows)
    assert found.round_trip == pytest.approx(1.5 + 0.064 * flows**0.5, rel=1e-5)
    assert found.jain == pytest.approx(1) and found.utilisation == pytest.approx(1) and found.lost == 0
    queue, rates = Proportional().at_rest(numpy.ones(flows))
    assert 1 + queue == pytest.approx(found.round_trip, rel=1e-5)
    assert rates == pytest.approx(1 / flows)


def test_flows_of_unequal_delay_have_rates_of_the_ratio_that_follows_from_the_signal():
    """Two flows, one with a longer way: r2 / r1 = ((q - 0.5) / (q - 0.3))^2, and r1 + r2 = 1."""
    queue = brentq(lambda q: (0.064 / (q - 0.5)) ** 2 + (0.064 / (q - 0.3)) ** 2 - 1, 0.5001, 3)
    near, far = (0.064 / (queue - 0.5)) ** 2, (0.064 / (queue - 0.3)) ** 2
    assert far / near == pytest.approx(((queue - 0.5) / (queue - 0.3)) ** 2) and far / near < 0.15
    found_queue, found = Proportional().at_rest(numpy.array([1.0, 1.2]))
    assert found_queue == pytest.approx(queue) and found == pytest.approx([near, far])
    simulated = resting(Proportional(), 2, spread=0.2)
    assert simulated.round_trip == pytest.approx(1 + queue, rel=1e-5)
    assert simulated.jain == pytest.approx(jain(numpy.array([near, far])), rel=1e-4)


@given(
    some.lists(some.floats(1, 3), min_size=1, max_size=20).map(numpy.array),
    some.floats(1, 3),
    some.floats(0.01, 1),
)
def test_at_rest_signals_are_0_and_the_link_is_full(delay, tolerated, target):
    controller = Proportional(tolerated=tolerated, target=target)
    queue, rates = controller.at_rest(delay)
    assert rates.sum() == pytest.approx(1, rel=1e-6)
    assert controller.signals(delay + queue, rates) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("rate", "flows"), [(0.1, 4), (0.1, 40), (1.0, 2)])
def test_fixed_rates_leave_the_queue_empty_or_full(rate, flows):
    found, total = resting(Fixed(rate=rate), flows), rate * flows
    assert found.utilisation == pytest.approx(min(1, total))
    assert found.round_trip == pytest.approx(1 if total < 1 else 5)
    assert found.lost == pytest.approx(max(0, 1 - 1 / total))


# Controllers.


def test_aimd_keeps_differences_upwards_and_shrinks_them_downwards():
    decide, rates = Aimd(increase=0.02, decrease=0.5).open(None), numpy.array([0.1, 0.3, 0.8])
    up = decide(rates, Feedback(numpy.ones(3), numpy.zeros(3)))
    assert numpy.diff(up) == pytest.approx(numpy.diff(rates)) and up[0] == pytest.approx(0.12)
    down = decide(rates, Feedback(numpy.ones(3), numpy.full(3, 0.1)))
    assert numpy.diff(down) == pytest.approx(numpy.diff(rates) / 2)
    assert resting(Aimd(), 8, spread=0.2).jain == pytest.approx(1)


@given(RATES, some.floats(-1, 1))
def test_an_action_and_its_opposite_cancel(rates, action):
    rates = rates.clip(0.01, 0.5)
    there = moved(rates, numpy.full(len(rates), action))
    assert moved(there, numpy.full(len(rates), -action)) == pytest.approx(rates)
    assert (there / rates).max() <= 1.2 + 1e-12 and (there / rates).min() >= 1 / 1.2 - 1e-12


def slow_loss(actions, signals, discount, reward, smoothness):
    """The formula, term by term."""
    total = 0.0
    count, flows = actions.shape
    for flow in range(flows):
        for t in range(count):
            later = sum(discount ** (u - t) * signals[u, flow] for u in range(t, count))
            apart = sum((actions[t, flow] - actions[u, flow]) ** 2 for u in range(t + 1, count))
            total += (reward * actions[t, flow] * later + smoothness / 2 * apart) / (count - t)
    return total / count / flows


@pytest.mark.parametrize(("reward", "smoothness"), [(10.0, 1.0), (1.0, 0.0), (0.5, 3.0)])
def test_the_loss_is_its_formula(reward, smoothness):
    generator = torch.Generator().manual_seed(0)
    actions, signals = (torch.randn(9, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    found = loss(actions, signals, 0.9, reward, smoothness)
    assert float(found) == pytest.approx(float(slow_loss(actions, signals, 0.9, reward, smoothness)))


def test_descending_lowers_actions_before_positive_signals():
    actions = torch.zeros(5, 1, dtype=torch.float64, requires_grad=True)
    signals = torch.tensor([[0.0], [0.0], [1.0], [0.0], [0.0]], dtype=torch.float64)
    loss(actions, signals, 0.9, 1.0, 1.0).backward()
    assert isinstance(actions.grad, Tensor)
    assert (actions.grad[:3] > 0).all() and (actions.grad[3:] == 0).all()


def test_flows_observe_their_factors_and_signals_before_and_now():
    controller, queues = Adpg(), one_link([1.0, 1.0])
    seen, rates = Seen(controller), numpy.array([0.9, 0.3])
    first = seen.observe(rates, queues.take(rates))
    signals = controller.signals(1 + queues.length[[0, 0]], rates)
    assert first.numpy() == pytest.approx(numpy.stack([[1, 1], signals, [1, 1], signals], 1))
    second = seen.observe(rates * [1.2, 0.9], queues.take(rates))
    assert second[:, :2].numpy() == pytest.approx(first[:, 2:].numpy())
    assert second[:, 2].numpy() == pytest.approx([1.2, 0.9])


def test_the_policy_is_its_formula():
    policy = Policy.random(torch.Generator().manual_seed(0))
    assert {name: tuple(each.shape) for name, each in policy.weights.items()} == LAYERS
    for each in policy.weights.values():
        short = each if each.shape[0] < each.shape[1] else each.T
        assert (short @ short.T).numpy() == pytest.approx(2 * numpy.eye(len(short)))
    observed = torch.randn(3, 5, 4, dtype=torch.float64)
    first, second, last = policy.weights.values()
    slow = [
        [torch.tanh(last @ (second @ (first @ o).clamp(min=0)).clamp(min=0))[0] for o in interval]
        for interval in observed
    ]
    assert policy.actions(observed).numpy() == pytest.approx(numpy.array(slow))


@pytest.fixture(scope="module")
def trained():
    controller = Adpg(updates=60)
    return controller, *controller.train(4.0, torch.Generator().manual_seed(0))


def test_a_policy_trained_on_few_flows_rests_where_its_action_is_0_with_many(trained):
    """Where the action is 0 at the signal s, equal flows rest at tolerated + (target + s / 12.5) sqrt(N)."""
    controller, policy, losses = trained
    assert numpy.mean(losses[-20:]) < numpy.mean(losses[:5])

    def action(signal):
        observed = torch.tensor([[1.0, signal, 1.0, signal]], dtype=torch.float64)
        return float(policy.actions(observed))

    zero = brentq(action, -0.5, 0.5)
    for flows in (2, 8, 100, 512):  # trained on 4, 8 and 32
        found = resting(controller, flows, policy=policy)
        assert found.jain == pytest.approx(1, abs=1e-3) and found.utilisation > 0.999
        expected = 1.5 + (0.064 + zero / 12.5) * flows**0.5
        assert found.round_trip == pytest.approx(expected, rel=2e-3)
        assert found.round_trip == pytest.approx(1.5 + 0.064 * flows**0.5, rel=0.02)


def test_training_is_the_same_every_time(trained):
    controller, policy, losses = trained
    again, same = controller.train(4.0, torch.Generator().manual_seed(0))
    assert same == losses
    assert all(torch.equal(again.weights[name], each) for name, each in policy.weights.items())
    other = Adpg(updates=1).train(4.0, torch.Generator().manual_seed(1))[1]
    assert other[0] != losses[0]


def test_a_controller_that_learns_needs_a_policy():
    with pytest.raises(ValueError, match="needs a policy"):
        Adpg().open(None)


# Exchanges.


def opened(controller, agents, delays=None, buffer=1000.0, first=0.1):
    delays = numpy.ones(agents) if delays is None else delays
    rates = controller.first(numpy.full(agents, first))
    return SharedLink(one_link(delays, buffer), controller.open(None), rates)


@given(some.integers(1, 6), some.floats(0.05, 1), some.floats(0.5, 20), some.floats(0, 5))
def test_equal_messages_arrive_when_the_queue_says(agents, rate, size, ready):
    """At constant rates: after size / rate, the queue of that time, and half a round trip."""
    link = opened(Fixed(rate=rate), agents)
    arrived = link.exchange(numpy.full(agents, size), numpy.full(agents, ready))
    queue = max(0.0, (agents * rate - 1) * size / rate)
    assert arrived == pytest.approx(ready + size / rate + queue + 0.5, abs=0.02)
    assert link.fairness == [pytest.approx(1)] and link.lost == 0


@given(
    some.lists(some.floats(0.1, 8), min_size=2, max_size=5).map(numpy.array),
    some.sampled_from([Fixed(rate=1.0), Fixed(rate=0.3), Aimd(), Proportional()]),
    some.floats(0.2, 5),
)
def test_no_exchange_is_faster_than_the_link_or_an_agent(sizes, controller, buffer):
    link = opened(controller, len(sizes), buffer=buffer)
    arrived = link.exchange(sizes, numpy.zeros(len(sizes)))
    assert arrived.max() >= sizes.sum() + 0.5 - 0.02
    assert (arrived >= sizes + 0.5 - 0.02).all()
    assert link.offered - link.lost == pytest.approx(sizes.sum())


def test_what_does_not_fit_is_sent_again_and_the_link_is_never_idle():
    link = opened(Fixed(rate=1.0), 8, buffer=4.0)
    arrived = link.exchange(numpy.full(8, 6.0), numpy.zeros(8))
    assert arrived == pytest.approx(48.5, abs=0.02)
    assert link.lost / link.offered > 0.8 and 4.5 < link.waited / link.offered <= 5


def test_a_queue_drains_while_nobody_sends():
    link = opened(Fixed(rate=1.0), 2)
    first = link.exchange(numpy.full(2, 3.0), numpy.zeros(2))
    assert first == pytest.approx(6.5, abs=0.02) and link.queues.length[0] == pytest.approx(3, abs=0.02)
    second = link.exchange(numpy.array([1.0, 0.0]), numpy.array([5.0, 9.0]))
    assert second == pytest.approx([5 + 1 + 1 + 0.5, 9.0], abs=0.02)


def test_agents_that_are_ready_later_find_the_link_free():
    link = opened(Fixed(rate=1.0), 2)
    assert link.exchange(numpy.full(2, 2.0), numpy.array([0.0, 2.0])) == pytest.approx([2.5, 4.5], abs=0.02)


def test_a_nearer_agent_takes_more_of_the_link_under_the_signal_but_not_under_aimd():
    found = {}
    for controller in (Proportional(), Aimd()):
        link = opened(controller, 2, numpy.array([1.0, 1.2]), buffer=4.0, first=0.5)
        found[controller.name] = link.exchange(numpy.full(2, 100.0), numpy.zeros(2))
    assert numpy.diff(found["proportional"]) > 20
    assert abs(numpy.diff(found["aimd"])) < 1


def test_labels_say_what_is_not_usual():
    assert [each.label() for each in (Fixed(), Aimd(), Aimd(increase=0.1), Adpg(updates=5))] == [
        "fixed rate 1", "AIMD", "AIMD increase 0.1", "ADPG updates 5",
    ]  # fmt: skip


def test_delays_are_evenly_apart():
    assert Bottleneck(spread=0.4).delays(3) == pytest.approx([1, 1.2, 1.4])
    assert Bottleneck(spread=0.4).delays(1) == pytest.approx([1])
    assert isinstance(Bottleneck().controller[2], OnSignal)
