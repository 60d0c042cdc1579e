"""The drift of a merge, against its definition; new frames that are taken only where agents come closer."""

import copy

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.drift import drift
from dimat.merging.matching.closer import closer
from dimat.merging.matching.frames import in_place
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import FirstMeeting, LowersDisagreement
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.topology import Complete, Ring

RULE = Matching(alignment="consistent", rematch=LowersDisagreement())
SEEDS = st.integers(0, 2**32 - 1)
with_networks = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""Networks are changed by no example."""


def drift_in(diagnostics):
    (found,) = [each for each in diagnostics if each.metric == "drift"]
    assert found.layer == ""
    return found.value


def apart(points):
    """Xi, from all pairs: sum over i < j of |x_i - x_j|^2, over N^2."""
    points = points.double()
    pairs = [(one - other).square().sum() for at, one in enumerate(points) for other in points[:at]]
    return float(sum(pairs)) / len(points) ** 2


def moved(agents, frames):
    """Agents that have moved to their frames, by the networks themselves."""
    twin = copy.deepcopy(agents)
    for agent, frame in frames.items():
        twin.reorder(agent, frame)
    return twin.parameters


def shuffled(agents, seed):
    """Frames at random; some agents may stay."""
    generator = torch.Generator().manual_seed(seed)
    frames = in_place(range(agents.agents), agents.symmetry)
    for agent in range(agents.agents):
        if float(torch.rand((), generator=generator)) < 0.5:
            frames[agent] = {g.name: torch.randperm(g.size, generator=generator) for g in agents.symmetry}
    return frames


def undone(frames):
    """The frames that lead back."""
    return {agent: {name: order.argsort() for name, order in of.items()} for agent, of in frames.items()}


# Drift.


@with_networks
@given(seed=SEEDS, round=st.integers(1, 4), rate=st.floats(1e-4, 1.0))
def test_drift_is_the_move_of_the_mean_in_learning_rates(make_agents, seed, round, rate):
    agents = make_agents(epochs=2, optimizer={"name": "sgd", "learning_rate": rate, "decay": 0.5})
    before = agents.parameters
    agents.parameters = before + torch.randn(before.shape, generator=torch.Generator().manual_seed(seed))
    moves = agents.parameters.double() - before.double()
    total = sum(float(sum(of_one)) ** 2 for of_one in moves.T.tolist()) ** 0.5 / agents.agents
    found = drift(agents, InProcess(numpy.eye(4)), before, round)
    assert found.value == pytest.approx(total / (rate * 0.25 ** (round - 1)), rel=1e-9)


def test_frames_that_are_held_leave_the_mean_where_it_is(make_agents, make_communicator):
    agents, communicator = make_agents(agents=4), make_communicator(Ring(), 4)
    merging = Merging(Matching(alignment="consistent", rematch=FirstMeeting()), Calibration(repair="none"))
    for round in (1, 2):
        before = agents.parameters.double().mean(0)
        found = drift_in(merge_with_neighbours(agents, communicator, merging, Averaging(), round))
        move = float((agents.parameters.double().mean(0) - before).norm()) / agents.optimizer.learning_rate
        assert found == pytest.approx(move, rel=1e-6, abs=1e-2)
        assert (found > 100) is (round == 1)


def test_averages_without_matching_record_no_drift(make_agents, make_communicator):
    merging = Merging(None, Calibration(repair="none"))
    assert not merge_with_neighbours(
        make_agents(agents=3), make_communicator(Ring(), 3), merging, Averaging(), 1
    )


# New frames, where agents come closer.


@with_networks
@given(seed=SEEDS)
def test_agents_move_exactly_where_that_lowers_their_disagreement(make_agents, seed):
    """From frames at random, back and forth: one of the two ways lowers it."""
    agents, communicator = make_agents(agents=3, start="same"), InProcess(Ring().mixing_matrix(3))
    generator = torch.Generator().manual_seed(seed)
    agents.parameters = agents.parameters + 0.1 * torch.randn(agents.parameters.shape, generator=generator)
    frames = shuffled(agents, seed)
    standing, after = apart(agents.parameters), apart(moved(agents, frames))
    if abs(after - standing) > 1e-9 * standing:
        assert closer(agents, communicator, frames) is (after < standing)
    back = undone(frames)
    agents.parameters = moved(agents, frames)
    if abs(after - standing) > 1e-9 * standing:
        assert closer(agents, communicator, back) is (standing < after)


@with_networks
@given(seed=SEEDS, noise=st.sampled_from([0.01, 0.1, 1.0]), graph=st.sampled_from([Ring(), Complete()]))
def test_disagreement_never_exceeds_that_of_holding(make_agents, seed, noise, graph):
    agents, communicator = make_agents(agents=4, start="same"), InProcess(graph.mixing_matrix(4))
    generator = torch.Generator().manual_seed(seed)
    agents.parameters = agents.parameters + noise * torch.randn(agents.parameters.shape, generator=generator)
    agents.parameters = moved(agents, shuffled(agents, seed))
    matched = match_neighbours(agents, communicator, RULE, Calibration(limit=30), round=2)
    standing, after = apart(agents.parameters), apart(moved(agents, matched.frames))
    changed = any(
        not torch.equal(order, torch.arange(len(order)))
        for frame in matched.frames.values()
        for order in frame.values()
    )
    assert after <= standing * (1 + 1e-12)
    assert changed is (after < standing)
    again = match_neighbours(agents, communicator, RULE, Calibration(limit=30), round=2)
    assert {pair: {g: o.tolist() for g, o in by.items()} for pair, by in again.permutations.items()} == {
        pair: {g: o.tolist() for g, o in by.items()} for pair, by in matched.permutations.items()
    }


def test_networks_that_are_told_to_hold_are_averaged(make_agents, make_communicator):
    """Of different networks in a common frame, new frames raise the disagreement: as matched once."""
    found = []
    for rematch in (LowersDisagreement(), FirstMeeting()):
        agents, communicator = make_agents(agents=4, epochs=1), make_communicator(Ring(), 4)
        merging = Merging(Matching(alignment="consistent", rematch=rematch), Calibration(limit=50))
        merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
        agents.train(1)
        merge_with_neighbours(agents, communicator, merging, Averaging(), round=2)
        found.append((agents.parameters, communicator.bytes_sent[1, "models"]))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_at_the_first_merge_all_move(make_agents, make_communicator):
    agents, communicator = make_agents(agents=4), make_communicator(Ring(), 4)
    every = Matching(alignment="consistent")
    first = [match_neighbours(agents, communicator, each, Calibration(), round=1) for each in (RULE, every)]
    for agent, frame in first[0].frames.items():
        assert all(torch.equal(order, first[1].frames[agent][name]) for name, order in frame.items())


def test_what_agents_ask_each_other_is_counted(make_agents):
    """On a chain of three: two sums go up each of two links, a byte goes down."""
    agents = make_agents(agents=3)
    links = numpy.array([[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    communicator = InProcess(links)
    closer(agents, communicator, in_place(range(3), agents.symmetry))
    sums = 2 * agents.parameters[0].nbytes
    assert [communicator.bytes_sent[agent, "frames"] for agent in range(3)] == [1, sums + 1, sums]
    assert [communicator.messages_sent[agent] for agent in range(3)] == [1, 2, 1]


def test_where_links_do_not_join_all_nobody_moves(make_agents):
    agents = make_agents(agents=3, start="same")
    frames = shuffled(agents, 1)
    agents.parameters = moved(agents, frames)
    back = undone(frames)
    assert closer(agents, InProcess(Ring().mixing_matrix(3)), back)
    apart = InProcess(numpy.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0]]))
    assert not closer(agents, apart, back)
    assert not apart.bytes_sent


def test_per_link_there_is_no_frame_to_be_closer_in(small):
    small["matching"] = {"rematch": "lowers_disagreement"}
    said = "alignment: per_edge does not go with rematch: lowers_disagreement, which holds a common frame"
    with pytest.raises(InputError, match=f"{said} unless another is closer; expected consistent"):
        parse_study(small, "study")
