"""Symmetries of attention: heads, channels inside of them, and what rotary positions leave of these."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.attention import TOKENS, Attention, Perceptron, Transformer, encoder
from torch import nn

from dimat.models.checking import check_symmetry
from dimat.models.groups import permute, random_permutations, units_of
from dimat.models.symmetry import permutation_groups


def exact(model):
    """The groups of a network, whose function is the same for any permutation of theirs."""
    model = model.double().eval()
    for tensor in model.parameters():
        with torch.no_grad():
            tensor.add_(0.3 * torch.randn_like(tensor))
    tokens = torch.randn(3, TOKENS, 5, dtype=torch.float64)
    groups = permutation_groups(model, (TOKENS, 5))
    check_symmetry(model, groups, [tokens])
    with torch.no_grad():
        before = model(tokens)
        for seed in range(3):
            orders = random_permutations(groups, torch.Generator().manual_seed(seed))
            moved = permute(model.state_dict(), groups, orders)
            after = torch.func.functional_call(model, moved, (tokens,))
            torch.testing.assert_close(after, before, rtol=1e-8, atol=1e-8)
    return groups


def inside(groups):
    """For each family: the heads, and channels inside of each head, in each group."""
    return [
        (unit[0].blocks, sorted(group.size // group.blocks for group in unit))
        for unit in units_of(groups)
        if unit[0].family
    ]


FORMS = {
    "fused": (lambda: Attention(12, 3), [(3, [4, 4])]),
    "separate": (lambda: Attention(12, 3, fused=False), [(3, [4, 4])]),
    "by hand, causal": (lambda: Attention(12, 3, by_hand=True, causal=True), [(3, [4, 4])]),
    "causal": (lambda: Attention(12, 3, causal=True), [(3, [4, 4])]),
    "norms of queries and keys": (lambda: Attention(12, 3, norms=True), [(3, [1, 4])]),
    "rotary": (lambda: Attention(12, 3, rotary=4), [(3, [1, 4])]),
    "partly rotary": (lambda: Attention(24, 3, rotary=4), [(3, [1, 4, 8])]),
    "grouped queries": (lambda: Attention(24, 4, fused=False, groups=2), [(2, [6, 6])]),
    "torch's, norms last": (lambda: encoder(12, 3), [(3, [4, 4]), (3, [4, 4])]),
    "torch's, norms first": (lambda: encoder(12, 3, norm_first=True, activation="gelu"), [(3, [4, 4])] * 2),
}


@pytest.mark.parametrize("form", FORMS)
def test_heads_and_channels_inside_of_them_can_be_exchanged(form):
    torch.manual_seed(0)
    build, expected = FORMS[form]
    block = build()
    width = block.output.in_features if isinstance(block, Attention) else 12
    found = inside(exact(Transformer(width, [block])))
    assert found == expected


def test_queries_of_one_group_share_keys():
    """With two queries heads for each head of keys, 6 channels of keys go with 12 of queries."""
    groups = exact(Transformer(24, [Attention(24, 4, fused=False, groups=2)]))
    (keys,) = [group for group in groups if group.family and "key.weight" in str(group)]
    sizes = {member.name: member.index(keys.size).numel() for member in keys.members if member.axis == 0}
    assert sizes["blocks.0.query.weight"] == 2 * sizes["blocks.0.key.weight"] == 24


def test_one_head_of_keys_for_all():
    exact(Transformer(12, [Attention(12, 3, fused=False, groups=3)]))


def test_the_residual_stream_is_one_group():
    groups = exact(Transformer(12, [Attention(12, 3), Perceptron(12, 20)]))
    stream = groups[0] if groups[0].size == 12 and not groups[0].family else groups[-1]
    names = {member.name for group in groups if not group.family for member in group.members}
    assert {"token", "positions", "embedding.weight", "norm.weight", "head.weight"} <= names
    assert stream.size == 12
    assert sorted(group.size for group in groups if not group.family) == [12, 20]


@given(
    heads=st.integers(1, 4),
    size=st.sampled_from([2, 4, 6]),
    blocks=st.lists(st.sampled_from(["attention", "perceptron", "encoder"]), min_size=1, max_size=3),
    options=st.fixed_dictionaries(
        {
            "fused": st.booleans(),
            "by_hand": st.booleans(),
            "causal": st.booleans(),
            "norms": st.booleans(),
            "bias": st.booleans(),
            "rotary": st.sampled_from([0, 2]),
        }
    ),
)
def test_random_transformers(heads, size, blocks, options):
    width = heads * size
    kinds = {
        "attention": lambda: Attention(width, heads, **options),
        "perceptron": lambda: Perceptron(width, 5),
        "encoder": lambda: nn.TransformerEncoderLayer(width, heads, 6, batch_first=True, norm_first=True),
    }
    groups = exact(Transformer(width, [kinds[kind]() for kind in blocks]))
    moving = {member.name for group in groups for member in group.members}
    assert {"head.weight", "token", "positions"} <= moving
    assert sum(kind != "perceptron" for kind in blocks) == len(inside(groups)) or heads == 1
