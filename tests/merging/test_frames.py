"""Frames, rewards for standing still, and the diagnostics of a matching."""

import copy
from itertools import permutations as all_orders

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dimat.agents import networks
from dimat.communication.in_process import InProcess
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.activation import Correlated
from dimat.merging.matching.diagnostics import cycle_closures, diagnose, distances, orbits
from dimat.merging.matching.frames import (
    Relative,
    common_frames,
    improve,
    in_place,
    matched_pair,
    spanning_tree,
)
from dimat.merging.matching.neighbours import Matched, match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.matching.reached import objectives
from dimat.merging.matching.rematching import FirstMeeting, Margin, Reward, Sticky
from dimat.merging.matching.weight import Weight
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import Plain
from dimat.models.symmetry import Group, permutation_groups, permute
from dimat.topology import Complete, DirectedRing, Ring, TwoHub

SHAPE = (1, 8, 8)
RING, COMPLETE = Ring(), Complete()
GRAPHS = [RING, COMPLETE, TwoHub()]
STAY = Merging(None, Calibration(repair="none"))


def group_of(size, name="group"):
    return Group(name, size, (), "node")


def random_scores(generator, size):
    return torch.from_numpy(generator.normal(size=(size, size)))


def random_similarities(pairs, sizes, seed):
    generator = numpy.random.default_rng(seed)
    return {
        pair: Correlated({name: random_scores(generator, size) for name, size in sizes.items()})
        for pair in pairs
    }


def total(similarities, groups, frames):
    """The objective that frames are to maximize, term by term."""
    return sum(
        float(similarity.scores(group, {})[ones, others])
        for (i, j), similarity in similarities.items()
        for group in groups
        for ones, others in zip(frames[i][group.name], frames[j][group.name], strict=True)
    )


# Frames.


@given(st.sampled_from(GRAPHS), st.integers(3, 6), st.integers(2, 5), st.integers(0, 1000))
def test_frames_close_every_cycle_and_cannot_be_improved_alone(graph, agents, size, seed):
    pairs = graph.edges(agents)
    groups = [group_of(size), group_of(size + 1, "other")]
    similarities = random_similarities(pairs, {"group": size, "other": size + 1}, seed)
    frames, exchanges = common_frames(similarities, groups, agents, Reward(), anew=True)
    assert exchanges >= 2  # along the tree, and at least one sweep that finds nothing more
    links = {(i, j): Relative(frames[i], frames[j]) for i in range(agents) for j in range(agents) if i != j}
    for i, j in links:
        for k in range(agents):
            if k not in (i, j):
                for name in ("group", "other"):
                    around = links[j, k][name][links[i, j][name]]
                    assert torch.equal(links[k, i][name][around], torch.arange(len(around)))
    reached = total(similarities, groups, frames)
    for agent in range(agents):
        for group in groups:
            for order in all_orders(range(group.size)):
                changed = frames | {agent: frames[agent] | {group.name: torch.tensor(order)}}
                assert total(similarities, groups, changed) <= reached + 1e-9


@given(st.integers(2, 6), st.integers(0, 1000))
def test_two_agents_need_no_compromise(size, seed):
    """On a single link the common frame is the best assignment of the pair."""
    groups = [group_of(size)]
    similarities = random_similarities([(0, 1)], {"group": size}, seed)
    frames, _ = common_frames(similarities, groups, 2, Reward(), anew=True)
    alone = matched_pair(similarities[0, 1], groups, Reward())
    assert torch.equal(Relative(frames[0], frames[1])["group"], alone["group"])


def test_the_tree_is_breadth_first_and_spans():
    assert spanning_tree([(0, 1), (1, 2), (2, 3), (0, 3)], 4) == [(0, 1), (0, 3), (1, 2)]
    assert spanning_tree([], 1) == []


@pytest.mark.parametrize("graph", GRAPHS, ids=str)
def test_shuffled_copies_find_a_frame_in_which_they_are_equal(graph, make_agents, make_communicator):
    agents, communicator = make_agents(agents=5, start="same"), make_communicator(graph, 5)
    for agent, model in enumerate(agents.models):
        generator = torch.Generator().manual_seed(agent)
        shuffle = {g.name: torch.randperm(g.size, generator=generator) for g in agents.symmetry}
        model.load_state_dict(permute(model.state_dict(), agents.symmetry, shuffle))
    merging = Merging(Matching(matcher=Weight(), alignment="consistent"), Calibration(repair="none"))
    diagnostics = merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
    first, *others = agents.states()
    for other in others:
        assert all(torch.allclose(tensor, other[name], atol=1e-6) for name, tensor in first.items())
    of_kind = {
        metric: [d.value for d in diagnostics if d.metric == metric]
        for d in diagnostics
        for metric in [d.metric]
    }
    assert of_kind["orbit_share"] == [1.0] * len(agents.symmetry)
    assert max(of_kind["distance_after"]) < 1e-10 < min(of_kind["distance_before"])
    assert of_kind["objective"] == pytest.approx([1.0] * len(agents.symmetry))
    assert min(of_kind["objective_gain"]) > 0.01
    assert of_kind["closed_share"] == [1.0] * len(agents.symmetry)


# Rewards for standing still.


@given(st.integers(2, 5), st.integers(0, 1000), st.floats(0.01, 2), st.sampled_from(["each", "whole"]))
def test_a_reward_is_weighed_exactly(size, seed, amount, kind):
    """The order found is the best of all orders when standing still is paid for."""
    group, reward = group_of(size), Reward(**{kind: amount})
    similarity = random_similarities([(0, 1)], {"group": size}, seed)[0, 1]
    found = matched_pair(similarity, [group], reward)["group"].tolist()
    scores = similarity.scores(group, {})

    def value(order):
        stays = [place == channel for place, channel in enumerate(order)]
        paid = sum(stays) if kind == "each" else size * all(stays)
        return sum(float(scores[place, channel]) for place, channel in enumerate(order)) + amount * paid

    assert value(found) == pytest.approx(max(map(value, all_orders(range(size)))), abs=1e-9)


@given(st.integers(2, 8), st.integers(0, 1000))
def test_a_larger_bonus_moves_no_more(size, seed):
    similarity = random_similarities([(0, 1)], {"group": size}, seed)[0, 1]
    moved = [
        int(
            (
                matched_pair(similarity, [group_of(size)], Reward(each=bonus))["group"] != torch.arange(size)
            ).sum()
        )
        for bonus in (0, 0.1, 0.5, 2, 100)
    ]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] == 0


def test_at_the_first_meeting_there_is_nothing_to_hold():
    for rematching in (Sticky(), Margin()):
        assert rematching.due(1)
        assert rematching.due(2)
        assert rematching.reward(1) == Reward()
    assert Sticky(bonus=0.2).reward(2) == Reward(each=0.2)
    assert Margin(gain=0.2).reward(2) == Reward(whole=0.2)
    first = FirstMeeting()
    assert [first.due(round) for round in (1, 2, 3)] == [True, False, False]


# Diagnostics.


def random_links(graph, agents, size, generator, inverse=True):
    links = {}
    for i, j in graph.edges(agents):
        links[i, j] = torch.from_numpy(generator.permutation(size))
        links[j, i] = links[i, j].argsort() if inverse else torch.from_numpy(generator.permutation(size))
    return links


@given(st.sampled_from(GRAPHS), st.integers(3, 6), st.integers(2, 6), st.integers(0, 1000))
def test_orbits_are_the_fixed_directions_of_the_merge_operator(graph, agents, size, seed):
    """The merge operator [pi_ij P_ij] has eigenvalue 1 once for each orbit."""
    links = random_links(graph, agents, size, numpy.random.default_rng(seed))
    mixing = graph.mixing_matrix(agents)
    operator = numpy.kron(numpy.diag(numpy.diag(mixing)), numpy.eye(size))
    for (i, j), order in links.items():
        operator[i * size : (i + 1) * size, j * size : (j + 1) * size] = mixing[i, j] * numpy.eye(size)[order]
    eigenvalues = numpy.linalg.eigvalsh((operator + operator.T) / 2)
    numpy.testing.assert_allclose(operator, operator.T, atol=1e-12)
    assert orbits(links, agents, size) == (eigenvalues > 1 - 1e-9).sum()


@given(st.integers(3, 7), st.integers(2, 6), st.integers(0, 1000))
def test_a_ring_has_one_cycle(agents, size, seed):
    links = random_links(RING, agents, size, numpy.random.default_rng(seed))
    around = torch.arange(size)
    for agent in range(agents):
        around = links[agent, (agent + 1) % agents][around]
    (closed,) = cycle_closures(links, agents, size)
    # Followed from another agent, or the other way round, the product has as many fixed channels.
    assert closed == pytest.approx(float((around == torch.arange(size)).double().mean()))


def test_a_complete_graph_has_a_cycle_for_each_link_outside_the_tree():
    links = random_links(COMPLETE, 5, 4, numpy.random.default_rng(0))
    assert len(cycle_closures(links, 5, 4)) == 10 - 4


def test_objectives_and_distances_are_plain_arithmetic(randomize):
    models = [randomize(Plain(widths=(4, 5)).build(1, 3), seed) for seed in (0, 1)]
    groups = permutation_groups(models[0], SHAPE)
    generator = torch.Generator().manual_seed(0)
    order = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
    states = [model.state_dict() for model in models]
    moved = permute(states[1], groups, order)
    found = distances(states, groups, {(0, 1): order}, moved=True)
    names = {
        groups[0].name: ["features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias"],
        groups[1].name: ["features.3.weight", "features.3.bias", "features.4.weight", "features.4.bias"],
    }
    for group, own in names.items():
        own = [name for name in own if name in states[0]]
        gap = sum(float(((states[0][name] - moved[name]) ** 2).sum()) for name in own)
        size = sum(float((state[name] ** 2).sum()) for state in states for name in own)
        assert found[group, (0, 1)] == pytest.approx(gap / size)
    similarity = random_similarities([(0, 1)], {group.name: group.size for group in groups}, 0)[0, 1]
    found = objectives(groups, {(0, 1): order}, {(0, 1): similarity})
    for group in groups:
        scores = similarity.scores(group, {})
        reached, standing = found[group.name, (0, 1)]
        expected = [float(scores[a, b]) for a, b in enumerate(order[group.name].tolist())]
        assert reached == pytest.approx(numpy.mean(expected))
        assert standing == pytest.approx(float(scores.diagonal().mean()))


def test_a_merge_without_matching_has_nothing_to_say_and_traces_nothing(
    make_agents, make_communicator, monkeypatch
):
    agents, communicator = make_agents(agents=3), make_communicator(RING, 3)

    def traced(*arguments):
        raise AssertionError("the network was traced")

    monkeypatch.setattr(networks, "checked_groups", traced)
    assert merge_with_neighbours(agents, communicator, STAY, Averaging(), round=1) == []
    with pytest.raises(AssertionError, match="traced"):
        merge_with_neighbours(agents, communicator, Merging(Matching()), Averaging(), round=1)


def test_after_the_first_meeting_there_is_nothing_to_say_of_objectives(make_agents, make_communicator):
    agents, communicator = make_agents(agents=3), make_communicator(RING, 3)
    merging = Merging(Matching(rematch=FirstMeeting()), Calibration(repair="none"))
    diagnostics = merge_with_neighbours(agents, communicator, merging, Averaging(), round=2)
    assert {d.metric for d in diagnostics} == {
        "moved_share", "orbit_share", "closed_share", "distance_before", "distance_after", "drift",
    }  # fmt: skip
    values = {(d.layer, d.metric): d.value for d in diagnostics}
    for group in agents.symmetry:
        assert values[group.name, "moved_share"] == 0
        assert values[group.name, "orbit_share"] == values[group.name, "closed_share"] == 1
        assert values[group.name, "distance_before"] == values[group.name, "distance_after"] > 0


def test_links_of_one_direction_have_cycles_too(make_agents):
    agents = make_agents(agents=3)
    communicator = InProcess(DirectedRing().mixing_matrix(3))
    matching = match_neighbours(agents, communicator, Matching(), Calibration(), round=1)
    assert set(matching.permutations) == {(0, 2), (1, 0), (2, 1)}
    models = dict(enumerate(agents.models))
    known = dict.fromkeys(models, models)
    found = diagnose(known, agents.symmetry, matching, communicator)
    values = {(d.layer, d.metric): d.value for d in found}
    for group in agents.symmetry:
        around = torch.arange(group.size)
        for pair in ((0, 2), (2, 1), (1, 0)):
            around = matching.permutations[pair][group.name][around]
        closed = float((around == torch.arange(group.size)).double().mean())
        assert values[group.name, "closed_share"] == pytest.approx(closed)
        apart = [
            distances(agents.states(), agents.symmetry, {pair: order}, moved=True)[group.name, pair]
            for pair, order in matching.permutations.items()
        ]
        assert values[group.name, "distance_after"] == pytest.approx(numpy.mean(apart))


def test_agents_whose_links_have_failed_are_left_out_of_orbits(make_agents):
    """Two pairs and one agent alone, no links between them: there is no cycle, so every orbit is closed."""
    matrix = numpy.eye(5)
    matrix[:2, :2] = matrix[2:4, 2:4] = 0.5
    agents, communicator = make_agents(agents=5), InProcess(matrix)
    matching = match_neighbours(agents, communicator, Matching(), Calibration(), round=1)
    models = dict(enumerate(agents.models))
    known = dict.fromkeys(models, models)
    found = diagnose(known, agents.symmetry, matching, communicator)
    assert {d.value for d in found if d.metric == "orbit_share"} == {1.0}
    assert not [d for d in found if d.metric == "closed_share"]


def test_a_lone_agent_has_no_diagnostics():
    assert diagnose({0: {0: nn.Identity()}}, [], Matched({}), InProcess(numpy.eye(1))) == []


# Merging in a frame, over rounds.


def parameters_of(agents):
    return torch.stack(
        [torch.cat([tensor.detach().flatten() for tensor in model.parameters()]) for model in agents.models]
    ).double()


def test_in_a_common_frame_a_merge_is_a_plain_average(make_agents, make_communicator):
    """Consistent permutations change coordinates, and nothing else: x <- Pi x after re-ordering."""
    merging = Merging(Matching(alignment="consistent"), Calibration(repair="none", images="pooled"))
    agents, communicator = make_agents(agents=5), make_communicator(RING, 5)
    twin = make_agents(agents=5)
    matching = match_neighbours(agents, communicator, *merging, round=1)
    merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
    for agent, frame in matching.frames.items():
        twin.reorder(agent, frame)
    expected = torch.from_numpy(communicator.mixing) @ parameters_of(twin)
    torch.testing.assert_close(parameters_of(agents), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("alignment", ["per_edge", "consistent"])
def test_after_the_first_meeting_neurons_keep_their_places(alignment, make_agents, make_communicator):
    merging = Merging(Matching(alignment=alignment, rematch=FirstMeeting()), Calibration())
    agents, communicator = make_agents(agents=4), make_communicator(RING, 4)
    first = match_neighbours(agents, communicator, *merging, round=1)
    assert set(first.frames) == {0, 1, 2, 3}
    assert first.similarities
    merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
    second = match_neighbours(agents, communicator, *merging, round=2)
    assert not second.frames
    assert not second.similarities
    for order in second.permutations.values():
        assert all(torch.equal(order[g.name], torch.arange(g.size)) for g in agents.symmetry)
    # What a plain averaging would do from here, this does.
    twin = copy.deepcopy(agents)
    merge_with_neighbours(agents, communicator, merging, Averaging(), round=2)
    averaging = Merging(None, Calibration())
    merge_with_neighbours(twin, communicator, averaging, Averaging(), round=2)
    assert torch.equal(parameters_of(agents), parameters_of(twin))


def test_per_edge_permutations_hold_between_frames(make_agents, make_communicator):
    """Matched pairs of channels stay matched when both agents move to their frames first."""
    merging = Merging(Matching(rematch=FirstMeeting()), Calibration())
    agents, communicator = make_agents(agents=4), make_communicator(RING, 4)
    matching = match_neighbours(agents, communicator, *merging, round=1)
    before = copy.deepcopy(agents.states())
    for agent, frame in matching.frames.items():
        agents.reorder(agent, frame)
    for (i, j), order in matching.permutations.items():
        aligned_before = permute(
            permute(before[j], agents.symmetry, order), agents.symmetry, matching.frames[i]
        )
        aligned_after = permute(agents.states()[j], agents.symmetry, matching.remaining(i, j))
        assert all(torch.equal(tensor, aligned_after[name]) for name, tensor in aligned_before.items())


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_training_goes_on_as_if_nothing_had_been_re_ordered(optimizer, make_agents):
    settings = {"optimizer": {"name": optimizer}, "optimizer_state": "kept", "epochs": 1, "batch_size": 25}
    agents, twin = make_agents(agents=2, **settings), make_agents(agents=2, **settings)
    generator = torch.Generator().manual_seed(0)
    order = {g.name: torch.randperm(g.size, generator=generator) for g in agents.symmetry}
    for one in (agents, twin):
        one.train(1)
    agents.reorder(0, order)
    for one in (agents, twin):
        one.train(2)
    expected = permute(twin.states()[0], twin.symmetry, order)
    for name, tensor in agents.states()[0].items():
        torch.testing.assert_close(tensor, expected[name], atol=2e-3, rtol=2e-3)
    assert any(not torch.equal(tensor, twin.states()[0][name]) for name, tensor in agents.states()[0].items())


def test_frames_are_counted_as_messages(make_agents, make_communicator):
    agents, communicator = make_agents(agents=4), make_communicator(RING, 4)
    merge_with_neighbours(
        agents, communicator, Merging(Matching(alignment="consistent"), Calibration()), Averaging(), round=1
    )
    size = 8 * sum(group.size for group in agents.symmetry)
    for agent in range(4):
        sent = communicator.bytes_sent[agent, "frames"]
        assert sent % (2 * size) == 0
        assert sent >= 4 * size
    plain = make_communicator(RING, 4)
    merge_with_neighbours(
        make_agents(agents=4), plain, Merging(Matching(), Calibration()), Averaging(), round=1
    )
    assert plain.bytes_sent[0, "frames"] == 0


def test_improvement_counts_its_sweeps():
    groups = [group_of(3)]
    similarities = random_similarities([(0, 1)], {"group": 3}, 0)
    frames = in_place((0, 1), groups)
    assert improve(similarities, groups, frames, [0, 1], Reward()) >= 1
    again = copy.deepcopy(frames)
    assert improve(similarities, groups, frames, [0, 1], Reward()) == 1
    assert all(torch.equal(frames[a]["group"], again[a]["group"]) for a in (0, 1))
