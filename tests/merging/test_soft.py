"""Soft maps: closed forms, what characterizes them, limits and invariances, and merging with them."""

import copy
import math
from itertools import permutations as all_orders

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError
from support.convolutional import SHAPE, network

import dimat
from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.activation import Activation, Correlated
from dimat.merging.matching.activation_weight import ActivationWeight
from dimat.merging.matching.assignment import best_permutation, best_permutations
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.soft import doubly_stochastic, soft_maps, transport, transposed
from dimat.merging.matching.universe import as_matrices
from dimat.merging.matching.weight import InnerProducts, Weight, matched_parameters
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import Vit
from dimat.models.groups import Group, mix, permute, random_permutations
from dimat.models.symmetry import permutation_groups
from dimat.topology import Complete

SIZES = some.integers(1, 6)
SEEDS = some.integers(0, 10**6)
WARM = some.floats(0.2, 10)


def drawn(size, seed):
    """Scores between -1 and 1, as correlations are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, size, generator=generator, dtype=torch.float64).tanh()


def images(count=60):
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0))


def assert_doubly_stochastic(shares):
    ones = torch.ones(len(shares), dtype=torch.float64)
    assert shares.min() >= 0
    torch.testing.assert_close(shares.sum(0), ones, rtol=0, atol=1e-12)
    torch.testing.assert_close(shares.sum(1), ones, rtol=0, atol=1e-12)


@given(some.lists(some.floats(-3, 3), min_size=4, max_size=4), some.floats(0.02, 10))
def test_of_two_channels_the_share_is_logistic(entries, temperature):
    scores = torch.tensor(entries, dtype=torch.float64).view(2, 2)
    gain = float(scores.trace() - scores.flip(0).trace())
    kept = 1 / (1 + math.exp(-max(-700.0, gain / (2 * temperature))))
    expected = torch.tensor([[kept, 1 - kept], [1 - kept, kept]], dtype=torch.float64)
    torch.testing.assert_close(transport(scores, temperature), expected, rtol=0, atol=1e-7)


@given(SIZES, SEEDS, WARM)
def test_a_map_is_what_characterizes_the_maximum(size, seed, temperature):
    """Rows and columns sum to 1; the logarithm is the scores over the temperature, but for margins."""
    scores = drawn(size, seed)
    shares = transport(scores, temperature)
    assert_doubly_stochastic(shares)
    left = shares.log() - scores / temperature
    left = left - left.mean(0) - left.mean(1, keepdim=True) + left.mean()
    assert left.abs().max() < 1e-4


@given(SIZES, SEEDS, some.floats(1e-4, 10))
def test_little_is_lost_to_the_temperature(size, seed, temperature):
    """No more than the entropy of even shares is worth."""
    scores = drawn(size, seed)
    shares = transport(scores, temperature)
    assert_doubly_stochastic(shares)
    best = max(float(scores[torch.arange(size), list(order)].sum()) for order in all_orders(range(size)))
    lost = best - float((shares * scores).sum())
    assert -1e-9 < lost <= temperature * size * math.log(size) + 1e-3


@given(SIZES, SEEDS)
def test_as_the_temperature_falls_it_is_the_assignment(size, seed):
    scores = drawn(size, seed)
    orders = [list(order) for order in all_orders(range(size))]
    values = sorted(float(scores[torch.arange(size), order].sum()) for order in orders)
    apart = values[-1] - values[-2] if len(values) > 1 else 1.0
    if apart > 0.05:
        shares = transport(scores, 1e-3)
        expected = as_matrices({"": best_permutation(scores)})[""]
        torch.testing.assert_close(shares, expected, rtol=0, atol=1e-3)


@given(some.integers(2, 6), SEEDS, WARM)
def test_maps_go_with_orders_and_ignore_margins_and_units(size, seed, temperature):
    scores, generator = drawn(size, seed), torch.Generator().manual_seed(seed)
    rows, columns = (torch.randperm(size, generator=generator) for _ in range(2))
    shares = transport(scores, temperature)
    margins = drawn(size, seed + 1)

    def same(found, expected):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)

    same(transport(scores[rows][:, columns], temperature), shares[rows][:, columns])
    same(transport(scores + margins[:1] + margins[:, :1], temperature), shares)
    same(transport(scores.T, temperature), shares.T)
    same(transport(3 * scores, 3 * temperature), shares)


def test_at_high_temperatures_all_shares_are_equal():
    torch.testing.assert_close(transport(drawn(5, 0), 1e6), torch.full((5, 5), 0.2, dtype=torch.float64),
                               rtol=0, atol=1e-5)  # fmt: skip


@given(SIZES, SEEDS)
def test_what_is_nearly_doubly_stochastic_is_made_so(size, seed):
    shares = transport(drawn(size, seed), 1.0)
    spoilt = shares * (1 + 0.1 * drawn(size, seed + 1).clamp(-1, 1))
    found = doubly_stochastic(spoilt)
    assert_doubly_stochastic(found)
    assert (found - shares).abs().sum() < 4 * (spoilt - shares).abs().sum() + 1e-12


def planted(noise, seed=0):
    """A network, a noisy copy in another order, its groups, and the order that undoes this."""
    model = network(seed, groups=2)
    groups = permutation_groups(model, SHAPE)
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor += noise * tensor.std() * torch.randn(tensor.shape, generator=generator)
    orders = random_permutations(groups, generator)
    other.load_state_dict(permute(other.state_dict(), groups, orders))
    return model, other, groups, {name: order.argsort() for name, order in orders.items()}


@pytest.mark.parametrize("matcher", [Activation(), Weight(), ActivationWeight()], ids=lambda each: each.name)
def test_planted_orders_have_most_of_the_shares(matcher):
    model, other, groups, expected = planted(0.1)
    (similarity,) = matcher.compare({0: model, 1: other}, groups, [(0, 1)], images().split(20)).values()
    found = matched_pair(similarity, groups, Reward())
    for temperature, share in {1e-3: 0.99, 0.1: 0.6, 10.0: 0.0}.items():
        shares = soft_maps(similarity, groups, found, temperature)
        for name, order in expected.items():
            assert_doubly_stochastic(shares[name])
            kept = shares[name][torch.arange(len(order)), order]
            assert float(kept.mean()) > share
            if share:
                assert torch.equal(shares[name].argmax(1), order)


def test_the_temperature_counts_in_perfect_matches():
    """Weights that are all three times as large have the same map."""
    model, other, groups, _ = planted(1.0)
    of_ones, of_others = (matched_parameters(each, groups) for each in (model, other))
    maps = []
    for factor in (1, 3):
        similarity = InnerProducts(
            {name: factor * tensor for name, tensor in of_ones.items()}, of_others, groups
        )
        maps.append(soft_maps(similarity, groups, matched_pair(similarity, groups, Reward()), 0.1))
    for name, shares in maps[0].items():
        torch.testing.assert_close(maps[1][name], shares, rtol=0, atol=1e-6)


def test_heads_are_mixed_as_wholes():
    """One map of heads for the family, and one of channels inside for each pair of them."""
    groups = [
        Group("values", 6, (), "node", family="heads", blocks=2),
        Group("keys", 4, (), "", family="heads", blocks=2),
    ]
    similarity = Correlated({"values": drawn(6, 3)})
    in_place = {group.name: torch.arange(group.size) for group in groups}
    shares = soft_maps(similarity, groups, in_place, 0.3)
    heads = shares["values"].view(2, 3, 2, 3).sum((1, 3)) / 3
    assert 0.05 < heads[0, 0] < 0.95
    assert_doubly_stochastic(heads)
    for one in range(2):
        for other in range(2):
            inside = shares["values"][3 * one : 3 * one + 3, 3 * other : 3 * other + 3]
            scores = similarity.correlations["values"][3 * one : 3 * one + 3, 3 * other : 3 * other + 3]
            torch.testing.assert_close(inside / heads[one, other], transport(scores, 0.3))
    # Keys show no features: they go with their heads, each channel in its place.
    eye = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(shares["keys"], torch.kron(heads, eye))
    best = best_permutations([similarity.correlations["values"], torch.zeros(4, 4)], 2)
    cold = soft_maps(similarity, groups, in_place, 1e-3)
    expected = as_matrices({"values": best[0], "keys": best[1]})
    for name, matrix in expected.items():
        torch.testing.assert_close(cold[name], matrix, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "shape"),
    [(network(0, groups=2), SHAPE), (Vit(width=8, heads=2, depth=1).build(3, 4, (8, 8)), (3, 8, 8))],
    ids=["convolutions", "tokens"],
)
def test_permutation_matrices_re_order(model, shape):
    groups = permutation_groups(model, shape)
    orders = random_permutations(groups, torch.Generator().manual_seed(0))
    state = model.state_dict()
    mixed, moved = mix(state, groups, as_matrices(orders)), permute(state, groups, orders)
    assert mixed.keys() == moved.keys()
    assert all(torch.equal(tensor, moved[name]) for name, tensor in mixed.items())


def test_a_layer_of_equal_shares_puts_out_means():
    model = network(0)
    groups = permutation_groups(model, SHAPE)
    first = groups[0]
    even = as_matrices({group.name: torch.arange(group.size) for group in groups})
    even[first.name] = torch.full_like(even[first.name], 1 / first.size)
    mixed = copy.deepcopy(model)
    mixed.load_state_dict(mix(model.state_dict(), groups, even))
    before, after = model[0](images()), mixed[0](images())
    torch.testing.assert_close(after, before.mean(1, keepdim=True).expand_as(after), rtol=0, atol=1e-5)


def merged(models, temperature=None, matcher="activation", **options):
    matcher = {"name": matcher, "temperature": temperature}
    return dimat.merge(models, images(), matcher=matcher, alignment="per_edge", **options)


@pytest.mark.parametrize("matcher", ["activation", "weight", "activation-weight"])
def test_a_cold_merge_is_one_of_permutations(matcher):
    model, other, _, expected = planted(0.1)
    found, hard = merged([model, other], 1e-4, matcher), merged([model, other], None, matcher)
    assert hard.shares == [] and len(found.shares) == 2
    for name, tensor in hard.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], tensor, rtol=0, atol=1e-4)
    for name, order in expected.items():
        assert torch.equal(found.permutations[1][name], order)


@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair", "least_squares"])
def test_the_order_of_a_neighbour_does_not_matter(repair):
    """Of unlike networks, at a temperature that mixes."""
    one, other = network(0, groups=2), network(1, groups=2)
    groups = permutation_groups(one, SHAPE)
    moved = copy.deepcopy(other)
    orders = random_permutations(groups, torch.Generator().manual_seed(5))
    moved.load_state_dict(permute(other.state_dict(), groups, orders))
    found, again = (merged([one, each], 0.2, repair=repair).model for each in (other, moved))
    torch.testing.assert_close(found(images()), again(images()), rtol=0, atol=1e-4)
    hard = merged([one, other], repair=repair).model
    assert (found(images()) - hard(images())).abs().max() > 1e-3


def test_the_way_back_is_the_transposed_map():
    models = {0: network(0, groups=2), 1: network(1, groups=2)}
    groups = permutation_groups(models[0], SHAPE)
    pairs = [(0, 1), (1, 0)]
    seen = Activation().compare(models, groups, pairs, images().split(20))
    there, back = (
        soft_maps(seen[pair], groups, matched_pair(seen[pair], groups, Reward()), 0.2) for pair in pairs
    )
    for name, shares in transposed(there).items():
        torch.testing.assert_close(back[name], shares, rtol=0, atol=1e-5)


def test_soft_agents_average_what_they_mixed(make_agents, make_communicator):
    """One round of two agents, with the way back as the transposed map, and what is said of it."""
    agents, communicator = make_agents(agents=2), make_communicator(Complete(), 2)
    states, groups = agents.states(), agents.symmetry
    states = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    matching = Matching(matcher=Weight(temperature=0.05))
    merging = Merging(matching, Calibration(repair="none"))
    matched = match_neighbours(agents, communicator, matching, Calibration(), 1)
    found = merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
    for (i, j), back in (((0, 1), (1, 0)), ((1, 0), (0, 1))):
        for name, shares in matched.shares[i, j].items():
            assert torch.equal(shares.T, matched.shares[back][name])
        other = mix(states[j], groups, matched.shares[i, j])
        for name, tensor in agents.states()[i].items():
            if tensor.is_floating_point():
                torch.testing.assert_close(tensor, (states[i][name] + other[name]) / 2)
    said = {each.layer: each.value for each in found if each.metric == "matched_share"}
    for group in groups:
        order = matched.permutations[0, 1][group.name]
        expected = matched.shares[0, 1][group.name][torch.arange(group.size), order].mean()
        assert said[group.name] == pytest.approx(float(expected))
        assert 1 / group.size < said[group.name] < 1


@pytest.mark.parametrize(
    "change",
    [
        {"alignment": "consistent"},
        {"alignment": "universe"},
        {"rematch": "first_meeting"},
        {"rematch": "sticky"},
    ],
    ids=str,
)
def test_agents_that_move_themselves_have_no_soft_maps(change, small):
    matching = {"matcher": {"name": "activation", "temperature": 0.1}, **change}
    with pytest.raises(InputError, match=r"temperature: 0\.1 mixes .* expected per_edge and every_round"):
        parse_study(small | {"matching": matching}, "study")


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, 1e-5, 101.0, math.nan, "warm", True])
def test_temperatures_are_positive_numbers(temperature, small):
    matching = {"matcher": {"name": "weight", "temperature": temperature}}
    with pytest.raises(InputError, match=r"matcher\.weight\.temperature: .* is not valid: input should"):
        parse_study(small | {"matching": matching}, "study")


def test_no_temperature_is_no_part_of_a_run(small):
    runs = [
        parse_study(small | {"matching": {"matcher": matcher}}, "study").runs
        for matcher in ("activation", {"name": "activation", "temperature": None})
    ]
    assert runs[0].keys() == runs[1].keys()
    assert "temperature" not in Matching().model_dump()["matcher"]
    with pytest.raises(ValidationError, match="temperature"):
        dimat.merge([network(0, groups=2)] * 2, images(), matcher={"name": "weight", "temperature": 0.1})


def test_lines_end_in_networks_as_they_are():
    labelled = images(), torch.zeros(60, dtype=torch.long)
    with pytest.raises(ValueError, match=r"temperature: 0\.1 changes .* expected null"):
        dimat.barrier(
            [network(0, groups=2), network(1, groups=2)],
            labelled,
            matcher={"name": "weight", "temperature": 0.1},
            alignment="per_edge",
        )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_networks_that_diverged_are_refused(value):
    scores = drawn(3, 0)
    scores[1, 2] = value
    with pytest.raises(InputError, match="not finite"):
        transport(scores, 0.1)
