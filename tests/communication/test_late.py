"""Mixing with what is late: recursions written out, what is counted, and matching of old networks."""

import copy

import numpy
import pytest
import torch
from support.jobs import carried_out
from support.quadratics import RATE, RING, STEPS, Quadratics, recursion

from dimat.communication.in_process import InProcess
from dimat.communication.late import Late
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.matching.weight import Weight
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.randomness import Randomness
from dimat.topology import Complete, Ring
from dimat.topology.delays import Arrivals, Delays

OWN = torch.diag(torch.from_numpy(RING).diag())
OTHERS = torch.from_numpy(RING) - OWN


def late_links(matrix, delays, seed=0):
    randomness = Randomness("late", seed)
    arrivals = Arrivals(delays, lambda time: matrix, len(matrix), randomness)
    return InProcess(matrix, newest_at=arrivals.at), arrivals


class Past:
    """What was sent, so that step k uses the rows of others of step k - delay, or of the first."""

    def __init__(self, delay):
        self.delay, self.sent = delay, []

    def mix(self, x):
        self.sent.append(x)
        return OWN @ x + OTHERS @ self.sent[max(0, len(self.sent) - 1 - self.delay)]

    def dpsgd(self, x, g, k):
        return self.mix(x - RATE * g(x))

    def cdsgd(self, x, g, k):
        return self.mix(x) - RATE * g(x)

    def cdmsgd(self, x, g, k):
        self.velocity = 0.8 * getattr(self, "velocity", 0) - RATE * g(x)
        return self.mix(x) + self.velocity


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize(
    "method",
    [Dpsgd(learning_rate=RATE), Cdsgd(learning_rate=RATE), Cdmsgd(learning_rate=RATE, momentum=0.8)],
    ids=lambda method: method.name,
)
def test_with_a_fixed_delay_iterates_are_those_of_the_delayed_recursion(method, delay):
    agents = Quadratics(noise=0.3)
    expected = recursion(agents, RING, getattr(Past(delay), method.name))
    communicator, _ = late_links(RING, Delays(most=delay))
    for round in (1, 2):
        method.learn(agents, communicator, round)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-12)
    in_time = InProcess(RING)
    method.learn(Quadratics(noise=0.3), in_time, 1)
    assert {key: 2 * size for key, size in in_time.bytes_sent.items()} == communicator.bytes_sent
    assert communicator.messages_sent == dict.fromkeys(range(5), 2 * 2 * STEPS)


@pytest.mark.parametrize("graph", [Ring(), Complete()])
def test_messages_that_are_on_time_give_the_bits_of_no_delay(graph):
    matrix = graph.mixing_matrix(5)
    late, _ = late_links(matrix, Delays(most=3, late=0))
    in_time = InProcess(matrix)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        values = torch.randn(5, 33, generator=generator)
        late.advance()
        in_time.advance()
        assert torch.equal(late.mix(values, "models"), in_time.mix(values, "models"))
    assert late.bytes_sent == in_time.bytes_sent


def test_each_receiver_has_the_newest_that_has_arrived_and_nothing_older_is_kept():
    delays = Delays(most=4, late=0.6)
    communicator, arrivals = late_links(RING, delays)
    for time in range(30):
        communicator.advance()
        messages = [{"x": torch.full((2,), 100.0 * time + agent)} for agent in range(5)]
        for agent, near in enumerate(communicator.send_to_receivers(messages, "models")):
            assert set(near) == {(agent - 1) % 5, (agent + 1) % 5}
            for sender, message in near.items():
                assert message["x"].tolist() == [100 * arrivals.at(time)[agent, sender] + sender] * 2
        messages[0]["x"].fill_(-1)  # a sender goes on with what it has sent
        kept = [int(name.split("/")[2]) for name in communicator.tensors()]
        assert min(kept) >= time - delays.most
    assert min(kept) < time


def test_what_is_under_way_is_kept_and_restored():
    def sent(time):
        return {0: {1: {"a": torch.full((2,), time), "b": torch.tensor(time)}}, 1: {0: torch.tensor([time])}}

    newest = [numpy.array([[0, max(0, t - 2)], [max(0, t - 1), 0]]) for t in range(9)]
    whole, first, second = (Late(newest.__getitem__) for _ in range(3))
    for time in range(4):
        whole.exchange(sent(time), time)
        first.exchange(sent(time), time)
    second.load(dict(first.tensors()) | {"0/network/a": torch.ones(1)}, torch.device("cpu"))
    for time in range(4, 9):
        one, other = whole.exchange(sent(time), time), second.exchange(sent(time), time)
        assert one[0][1]["a"].tolist() == other[0][1]["a"].tolist() == [time - 2] * 2
        assert one[0][1]["b"].dtype == other[0][1]["b"].dtype
        assert one[1][0].tolist() == other[1][0].tolist() == [time - 1]
    assert {name for name, _ in whole.tensors()} == {name for name, _ in second.tensors()}


@pytest.mark.parametrize("images", ["own", "neighbours", "pooled"])
@pytest.mark.parametrize("matcher", [None, Weight()])
def test_an_old_network_is_matched_as_it_was_sent(make_agents, images, matcher):
    """All agents have one network in orders of their own, and change these while messages are under way."""
    agents = make_agents(agents=3, start="same")
    reference = copy.deepcopy(agents.models[0])
    communicator, _ = late_links(Ring().mixing_matrix(3), Delays(most=2))
    matching = Matching(matcher=matcher) if matcher else Matching()
    merging = Merging(matching, Calibration(repair="none", images=images, limit=60))
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(7, *agents.task.input_shape, generator=generator)
    diagnostics = []
    for round in range(1, 5):
        for agent in range(3):
            order = {group.name: torch.randperm(group.size, generator=generator) for group in agents.symmetry}
            agents.reorder(agent, order)
        before = agents.parameters
        diagnostics = merge_with_neighbours(agents, communicator, merging, Averaging(), round)
        torch.testing.assert_close(agents.parameters, before, atol=1e-5, rtol=0)
        for model in agents.models:
            torch.testing.assert_close(model.eval()(batch), reference.eval()(batch), atol=1e-4, rtol=0)
    values = {(found.layer, found.metric): found.value for found in diagnostics}
    for group in agents.symmetry:
        assert values[group.name, "distance_before"] > 0.01
        assert values[group.name, "distance_after"] < 1e-6


@pytest.mark.parametrize("delay", [1, 2])
def test_plain_averaging_follows_the_delayed_recursion(make_agents, delay):
    agents = make_agents(agents=5)
    communicator, _ = late_links(RING, Delays(most=delay))
    past = Past(delay)
    expected = agents.parameters.double()
    for round in range(1, 5):
        expected = past.mix(expected)
        merging = Merging(None, Calibration(repair="none"))
        merge_with_neighbours(agents, communicator, merging, Averaging(), round)
        torch.testing.assert_close(agents.parameters.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", ["dimat", "dpsgd"])
def test_delays_that_never_happen_give_the_records_of_none(tmp_path, small, method):
    settings = [None, {"most": 0}, {"most": 4, "late": 0.0}, {"most": 1}]
    small["training"] |= {"pretrain_epochs": 1, "rounds": 3}
    variants = [{"graph": {"name": "ring", "delays": delays}} for delays in settings]
    runner = carried_out(small | {"method": method, "variants": variants}, tmp_path)
    records = []
    for delays in settings:
        wanted = Delays(**delays) if delays else None
        (run,) = (run for run in runner.study.runs.values() if run.graph.delays == wanted)
        rows = runner.layout.run(run.id).read_text().splitlines()
        records.append([row.split(",", 1)[1] for row in rows])
    none, zero, never, late = records
    assert none == zero == never != late
    counted = [row for row in none if "bytes" in row or "messages" in row]
    assert counted
    assert counted == [row for row in late if "bytes" in row or "messages" in row]
