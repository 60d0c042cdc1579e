"""Matching of transformers: heads and the channels inside of them, exchanged at random, are found again."""

import copy
from itertools import permutations

import pytest
import torch
from support.attention import TOKENS, Attention, Perceptron, Transformer, encoder

from dimat.merging.matching.assignment import best_permutations
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.models.groups import permute, random_permutations, units_of
from dimat.models.symmetry import Observed, permutation_groups

FORMS = {
    "fused": lambda: [Attention(12, 3), Perceptron(12, 20)],
    "separate, rotary": lambda: [Attention(24, 3, fused=False, rotary=4)],
    "norms of queries and keys": lambda: [Attention(12, 3, norms=True)],
    "grouped queries": lambda: [Attention(24, 4, fused=False, groups=2)],
    "torch's": lambda: [encoder(12, 3, activation="gelu")],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("matcher", ["activation", "weight", "activation-weight"])
def test_planted_permutations_are_found_again(form, matcher):
    torch.manual_seed(1)
    blocks = FORMS[form]()
    width = 24 if form in ("separate, rotary", "grouped queries") else 12
    network = Transformer(width, blocks).eval()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.add_(0.3 * torch.randn_like(tensor))
    groups = permutation_groups(network, (TOKENS, 5))
    planted = random_permutations(groups, torch.Generator().manual_seed(0))
    other = copy.deepcopy(network)
    other.load_state_dict(permute(network.state_dict(), groups, planted))
    tokens = torch.randn(60, TOKENS, 5)
    matching = Matching.model_validate({"matcher": matcher})
    similarity = matching.matcher.compare({0: network, 1: other}, groups, [(0, 1)], [tokens], False)[0, 1]
    found = matched_pair(similarity, groups, Reward())
    for group in groups:
        if group.node or matcher != "activation":
            assert torch.equal(found[group.name], planted[group.name].argsort()), group
    back = copy.deepcopy(network)
    back.load_state_dict(permute(other.state_dict(), groups, found))
    for name, tensor in back.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name])


@pytest.mark.parametrize("form", FORMS)
def test_features_move_with_permutations(form):
    torch.manual_seed(0)
    width = 24 if form in ("separate, rotary", "grouped queries") else 12
    network = Transformer(width, FORMS[form]()).double().eval()
    groups = permutation_groups(network, (TOKENS, 5))
    shown = [group for group in groups if group.node]
    assert len(shown) >= len(groups) - 1
    orders = random_permutations(groups, torch.Generator().manual_seed(0))
    other = copy.deepcopy(network)
    other.load_state_dict(permute(network.state_dict(), groups, orders))
    tokens = torch.randn(3, TOKENS, 5, dtype=torch.float64)
    with torch.no_grad():
        both = zip(*(Observed(each, shown).features(tokens) for each in (network, other)), strict=True)
        for (group, before), (_, after) in both:
            assert before.shape[1] == group.size
            torch.testing.assert_close(after, before[:, orders[group.name]])


def test_blocks_are_assigned_as_by_trying_all():
    """Two groups of three blocks, with two and three channels inside of each."""
    generator = torch.Generator().manual_seed(0)
    scores = [torch.rand(6, 6, generator=generator), torch.rand(9, 9, generator=generator)]
    found = best_permutations(scores, 3)
    best = -1.0
    for heads in permutations(range(3)):
        total = 0.0
        for of_group in scores:
            size = len(of_group) // 3
            for place, head in enumerate(heads):
                part = of_group[place * size :, head * size :][:size, :size]
                total += max(
                    float(part[torch.arange(size), list(order)].sum()) for order in permutations(range(size))
                )
        best = max(best, total)
    reached = sum(
        float(of_group[torch.arange(len(order)), order].sum())
        for of_group, order in zip(scores, found, strict=True)
    )
    assert reached == pytest.approx(best)
    heads = {tuple((order // (len(order) // 3)).view(3, -1)[:, 0].tolist()) for order in found}
    assert len(heads) == 1


def test_exchanged_as_one_family():
    groups = permutation_groups(Transformer(12, [Attention(12, 3)]), (TOKENS, 5))
    family = [unit for unit in units_of(groups) if unit[0].family]
    orders = random_permutations(groups, torch.Generator().manual_seed(0))
    for unit in family:
        heads = {tuple((orders[g.name] // (g.size // 3)).view(3, -1)[:, 0].tolist()) for g in unit}
        assert len(heads) == 1
