"""C2M3: planted orders, exhaustive search, and the polynomials that Frank-Wolfe climbs."""

import copy
from itertools import pairwise, product
from itertools import permutations as all_orders

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as some
from pydantic import ValidationError
from support.convolutional import SHAPE, network
from torch import nn

import dimat
from dimat.merging.matching.activation import Correlated
from dimat.merging.matching.activation_weight import ActivationWeight
from dimat.merging.matching.frames import Relative, common_frames, in_place
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.universe import (
    as_matrices,
    best_step,
    climb,
    total_of,
    universal_frames,
    value_of,
)
from dimat.merging.matching.weight import Weight
from dimat.models.groups import Group, mix_axis, permute, permute_axis, random_permutations
from dimat.models.symmetry import permutation_groups


def planted(agents, noise, seed):
    """Noisy copies of a network in orders of their own, and the frames that undo these."""
    model = network(seed)
    groups = permutation_groups(model, SHAPE)
    generator = torch.Generator().manual_seed(seed)
    models, frames = {}, {}
    for agent in range(agents):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for tensor in other.parameters():
                tensor += noise * tensor.std() * torch.randn(tensor.shape, generator=generator)
        orders = random_permutations(groups, generator)
        other.load_state_dict(permute(other.state_dict(), groups, orders))
        models[agent] = other
        frames[agent] = {name: order.argsort() for name, order in orders.items()}
    return models, groups, frames


def compared(models, groups, matcher=None):
    pairs = [(i, j) for i in models for j in models if i < j]
    images = torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(0))
    return (matcher or Weight()).compare(models, groups, pairs, images.split(10))


def relative(frames):
    return {(i, j): dict(Relative(frames[i], frames[j])) for i in frames for j in frames}


@pytest.mark.parametrize("agents", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(2))
def test_planted_orders_are_found(agents, seed):
    models, groups, expected = planted(agents, 0.1, seed)
    frames, rounds = universal_frames(compared(models, groups), groups, agents)
    assert rounds < 10
    links, wanted = relative(frames), relative(expected)
    for link, orders in links.items():
        assert all(torch.equal(order, wanted[link][name]) for name, order in orders.items())


@pytest.mark.parametrize("matcher", [Weight(), ActivationWeight()], ids=str)
@pytest.mark.parametrize("agents", [2, 3, 5])
def test_cycles_close_and_the_objective_is_that_of_scores(agents, matcher):
    models, groups, _ = planted(agents, 1.5, 7)
    similarities = compared(models, groups, matcher)
    frames, _ = universal_frames(similarities, groups, agents)
    links = relative(frames)
    for i, j, k in product(range(agents), repeat=3):
        for name, order in links[i, j].items():
            assert torch.equal(links[j, k][name][order], links[i, k][name])
    assert value_of(similarities, frames) >= value_of(similarities, in_place(range(agents), groups))
    # To move one group alone changes the total as the scores of this group say.
    (pair, similarity), *_ = similarities.items()
    before = Relative(*(frames[end] for end in pair))
    other = copy.deepcopy(frames)
    name = groups[0].name
    other[pair[1]][name] = other[pair[1]][name].flip(0)
    after = Relative(*(other[end] for end in pair))
    scores = similarity.scores(groups[0], before)
    places = torch.arange(groups[0].size)
    change = (scores[places, after[name]] - scores[places, before[name]]).sum()
    found = value_of({pair: similarity}, other) - value_of({pair: similarity}, frames)
    assert found == pytest.approx(float(change), abs=1e-9)


@pytest.mark.parametrize("agents", [2, 3, 5])
def test_no_step_loses(agents):
    models, groups, _ = planted(agents, 1.0, 3)
    similarities = compared(models, groups)
    soft = {agent: as_matrices(frame) for agent, frame in in_place(range(agents), groups).items()}
    values = [float(total_of(similarities, soft))]
    for step in range(3 * agents):
        agent = step % agents
        soft[agent], _ = climb(similarities, groups, soft, agent)
        values.append(float(total_of(similarities, soft)))
        for matrix in soft[agent].values():
            ones = torch.ones(len(matrix), dtype=torch.float64)
            torch.testing.assert_close(matrix.sum(0), ones)
            torch.testing.assert_close(matrix.sum(1), ones)
            assert matrix.min() >= 0
    assert all(after >= before - 1e-9 for before, after in pairwise(values))
    assert values[-1] > values[0]


@example(3, 1e-6, 1)  # the first steps gain next to nothing
@given(some.integers(2, 4), some.floats(0, 0.2), some.integers(0, 10**6))
def test_small_cases_are_solved_as_by_trying_all(agents, noise, seed):
    """Correlations of noisy copies of three channels; the first network may stay in place."""
    generator = torch.Generator().manual_seed(seed)
    group = Group("group", 3, (), "node")
    orders = [torch.randperm(3, generator=generator) for _ in range(agents)]
    eye = torch.eye(3, dtype=torch.float64)
    similarities = {
        (i, j): Correlated(
            {
                "group": eye[orders[i]] @ eye[orders[j]].T
                + noise * torch.randn(3, 3, dtype=torch.float64, generator=generator)
            }
        )
        for i in range(agents)
        for j in range(i + 1, agents)
    }
    frames, _ = universal_frames(similarities, [group], agents)
    best = max(
        value_of(similarities, {k: {"group": torch.tensor(order)} for k, order in enumerate(each)})
        for each in product([(0, 1, 2)], *[list(all_orders(range(3)))] * (agents - 1))
    )
    assert value_of(similarities, frames) == pytest.approx(best)


@given(some.floats(-5, 5), some.floats(-5, 5))
def test_the_step_is_the_best_on_the_line(rise, whole):
    def value(step):
        return rise * step + (whole - rise) * step**2

    step, found = best_step(rise, whole)
    assert 0 <= step <= 1 and found == pytest.approx(value(step))
    assert found >= max(value(place / 1000) for place in range(1001)) - 1e-9


def test_the_objective_is_the_quadratic_that_a_step_takes_it_for():
    models, groups, _ = planted(3, 1.0, 3)
    similarities = compared(models, groups)
    generator = torch.Generator().manual_seed(0)
    soft = {agent: as_matrices(random_permutations(groups, generator)) for agent in range(3)}
    other = as_matrices(random_permutations(groups, generator))
    values = [
        float(total_of(similarities, {**soft, 1: {n: m.lerp(other[n], step) for n, m in soft[1].items()}}))
        for step in (0, 0.25, 0.5, 0.75, 1)
    ]
    third = values[3] - 3 * values[2] + 3 * values[1] - values[0]
    assert third == pytest.approx(0, abs=1e-9 * abs(values[0]))


def test_soft_orders_that_are_permutations_re_order():
    model = network(0, groups=2)
    groups = permutation_groups(model, SHAPE)
    orders = random_permutations(groups, torch.Generator().manual_seed(0))
    matrices = as_matrices(orders)
    for group in groups:
        for member in group.members:
            tensor = model.state_dict()[member.name].double()
            found = mix_axis(tensor, member, matrices[group.name])
            assert torch.equal(found, permute_axis(tensor, member, orders[group.name]))


def test_attention_is_re_ordered_head_by_head():
    def build():
        block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        return nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoder(block, 1, enable_nested_tensor=False))

    torch.manual_seed(0)
    model, images = build().eval(), torch.randn(20, 5, 6)
    groups = dimat.merge([model, model], images).groups
    assert any(group.blocks for group in groups)
    others = []
    for seed in range(2):
        orders = random_permutations(groups, torch.Generator().manual_seed(seed))
        others.append(copy.deepcopy(model))
        others[-1].load_state_dict(permute(model.state_dict(), groups, orders))
    options = {"matcher": "weight", "alignment": "universe", "repair": "none"}
    merged = dimat.merge([model, *others], images, **options)
    with torch.no_grad():
        torch.testing.assert_close(merged.model(images), model(images), rtol=1e-4, atol=1e-5)


def test_an_agent_without_links_stays_in_place():
    group = Group("group", 2, (), "node")
    frames, rounds = universal_frames({}, [group], 2)
    assert rounds == 1
    assert all(torch.equal(frame["group"], torch.arange(2)) for frame in frames.values())


@pytest.mark.parametrize("rematch", ["sticky", "margin"])
def test_nobody_is_rewarded_for_standing_still(rematch):
    with pytest.raises(ValidationError, match=r"'universe' rewards nobody .* with rematch: " + rematch):
        Matching.model_validate({"alignment": "universe", "rematch": rematch})


def test_it_is_as_good_as_a_visit_to_each_in_turn():
    """On networks that have nothing in common, over several of them: neither is ahead by much."""
    ratios = []
    for seed in range(4):
        models = {agent: network(10 * seed + agent) for agent in range(4)}
        groups = permutation_groups(models[0], SHAPE)
        similarities = compared(models, groups)
        together, _ = universal_frames(similarities, groups, 4)
        in_turn, _ = common_frames(similarities, groups, 4, Reward(), anew=True)
        ratios.append(value_of(similarities, together) / value_of(similarities, in_turn))
    assert sum(ratios) / len(ratios) == pytest.approx(1, abs=0.15)
