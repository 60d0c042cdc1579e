"""The Vision Transformer: what it computes, its size, its symmetry, and how it starts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from dimat.errors import InputError
from dimat.models import Vit
from dimat.models.groups import Group, permute, random_permutations, units_of
from dimat.models.symmetry import permutation_groups
from dimat.models.tracing import layers_called
from dimat.randomness import Randomness

SMALL = Vit(patch=2, width=12, depth=2, heads=3)
SIZE = (4, 6)
SHAPE = (3, *SIZE)


def lively(spec, channels=3, classes=10, size=SIZE, seed=0):
    """A network in double precision, none of whose entries is special."""
    network = spec.build(channels, classes, size).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return network


def images(count=4, shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


@torch.no_grad()
def outputs(network, state, batch):
    return torch.func.functional_call(network, dict(state), (batch,))


# What it computes.


def with_torchs_own(network, spec, batch):
    """Logits by torch's own encoder, with the same weights, of tokens cut out by hand."""
    n, patch = len(batch), spec.patch
    cut = batch.unfold(2, patch, patch).unfold(3, patch, patch)  # (n, channels, rows, columns, patch, patch)
    tokens = cut.permute(0, 2, 3, 1, 4, 5).reshape(n, -1, cut.shape[1] * patch**2)
    weight = network.patches.weight.flatten(1)
    tokens = tokens @ weight.T + network.patches.bias + network.positions.learnt
    for block in network.blocks:
        theirs = nn.TransformerEncoderLayer(
            spec.width, spec.heads, spec.mlp * spec.width, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True, dtype=torch.float64,
        ).eval()  # fmt: skip
        theirs.load_state_dict(
            {
                "self_attn.in_proj_weight": block.attention.qkv.weight,
                "self_attn.in_proj_bias": block.attention.qkv.bias,
                "self_attn.out_proj.weight": block.attention.output.weight,
                "self_attn.out_proj.bias": block.attention.output.bias,
                "linear1.weight": block.perceptron[0].weight,
                "linear1.bias": block.perceptron[0].bias,
                "linear2.weight": block.perceptron[2].weight,
                "linear2.bias": block.perceptron[2].bias,
                **{f"norm{k}.{name}": each for k in (1, 2) for name, each in
                   block.get_submodule(f"norm{k}").state_dict().items()},
            }
        )  # fmt: skip
        tokens = theirs(tokens)
    return network.classifier(network.norm(tokens).mean(1))


@pytest.mark.parametrize("spec", [SMALL, Vit(patch=1, width=8, depth=1, heads=1, mlp=3)], ids=str)
def test_logits_are_those_of_torchs_own_encoder(spec):
    network, batch = lively(spec), images()
    with torch.no_grad():
        torch.testing.assert_close(network(batch), with_torchs_own(network, spec, batch))


@given(
    patch=st.integers(1, 4), rows=st.integers(1, 3), columns=st.integers(1, 3), heads=st.integers(1, 4),
    inside=st.integers(1, 5), depth=st.integers(1, 3), mlp=st.integers(1, 3), channels=st.integers(1, 3),
)  # fmt: skip
def test_number_of_parameters(patch, rows, columns, heads, inside, depth, mlp, channels):
    width = heads * inside
    spec = Vit(patch=patch, width=width, depth=depth, heads=heads, mlp=mlp)
    network = spec.build(channels, 7, (rows * patch, columns * patch))
    embedding = (channels * patch**2 + 1) * width + rows * columns * width
    block = 4 * (width + 1) * width + (2 * mlp * width + mlp + 1) * width + 4 * width
    expected = embedding + depth * block + 2 * width + (width + 1) * 7
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_it_tells_places_apart():
    network, batch = lively(SMALL), images()
    turned = batch.flip(2)
    with torch.no_grad():
        assert not torch.allclose(network(batch), network(turned))
        network.positions.learnt.zero_()
        moved = batch.reshape(4, 3, 2, 2, 6).flip(2).reshape(batch.shape)  # rows of patches, as wholes
        torch.testing.assert_close(network(batch), network(moved))


def test_torch_fx_finds_its_layers():
    called = [str(node.target) for node in layers_called(SMALL.build(3, 10, SIZE))]
    assert called[0] == "patches" and called[-1] == "classifier"
    assert {f"blocks.{block}.attention.qkv" for block in range(2)} < set(called)


# Its symmetry.


@given(
    heads=st.integers(1, 4), inside=st.integers(1, 5), depth=st.integers(1, 3), patch=st.integers(1, 3),
    mlp=st.integers(1, 3), places=st.integers(1, 3), channels=st.integers(1, 3), seed=st.integers(0, 100),
)  # fmt: skip
def test_random_elements_of_the_group_leave_the_function_as_it_is(
    heads, inside, depth, patch, mlp, places, channels, seed
):
    """One stream, and in each block heads, what is inside of them, and a perceptron."""
    width = heads * inside
    spec, size = Vit(patch=patch, width=width, depth=depth, heads=heads, mlp=mlp), (patch, places * patch)
    network, batch = lively(spec, channels, 5, size, seed), images(3, (channels, *size), seed)
    groups = permutation_groups(network, (channels, *size))
    alone = sorted(group.size for group in groups if not group.family)
    families = [
        (unit[0].blocks, [group.size for group in unit]) for unit in units_of(groups) if unit[0].family
    ]
    if width > 1 and heads > 1 and inside > 1:
        assert alone == sorted([width] + [mlp * width] * depth)
        assert families == [(heads, [width, width])] * depth
    before = outputs(network, network.state_dict(), batch)
    orders = random_permutations(groups, torch.Generator().manual_seed(seed))
    after = outputs(network, permute(network.state_dict(), groups, orders), batch)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


def test_everything_may_move_but_the_biases_of_logits():
    network = lively(SMALL)
    moving = set()
    for group in permutation_groups(network, SHAPE):
        moving |= {(member.name, member.axis) for member in group.members}
    expected = {("patches.weight", 0), ("patches.bias", 0), ("positions.learnt", 1), ("classifier.weight", 1)}
    expected |= {("norm.weight", 0), ("norm.bias", 0)}
    for block in range(2):
        for layer in ("attention.qkv", "attention.output", "perceptron.0", "perceptron.2"):
            name = f"blocks.{block}.{layer}"
            expected |= {(f"{name}.weight", 0), (f"{name}.weight", 1), (f"{name}.bias", 0)}
        for norm in ("norm1", "norm2"):
            expected |= {(f"blocks.{block}.{norm}.{kind}", 0) for kind in ("weight", "bias")}
    assert moving == expected
    names = {name for name, _ in network.named_parameters()}
    assert names - {name for name, _ in moving} == {"classifier.bias"}


def test_the_share_of_entries_that_a_random_element_moves():
    """In a stream of 60 channels and six heads of ten, one entry in dozens stays by chance."""
    network = lively(Vit(patch=2, width=60, depth=1, heads=6))
    groups = permutation_groups(network, SHAPE)
    orders = random_permutations(groups, torch.Generator().manual_seed(0))
    state = network.state_dict()
    moved = permute(state, groups, orders)
    stays = sum(int((moved[name] == tensor).sum()) for name, tensor in state.items())
    everything = sum(tensor.numel() for tensor in state.values())
    assert 10 <= stays < everything / 30  # the ten biases of logits never move


def test_no_member_is_idle():
    network, batch = lively(SMALL), images(2)
    before = outputs(network, network.state_dict(), batch)
    for group in permutation_groups(network, SHAPE):
        size = group.size // (group.blocks or 1)
        rolled = torch.arange(group.size).view(-1, size).roll(1, 1).flatten()
        for left_out in group.members:
            rest = tuple(member for member in group.members if member != left_out)
            broken = Group(group.name, group.size, rest, group.node)
            moved = permute(network.state_dict(), [broken], {group.name: rolled})
            assert (outputs(network, moved, batch) - before).abs().max() > 1e-6, left_out


# How it starts.


def test_how_it_starts():
    network = Vit(width=96, heads=4).initialized(3, 10, Randomness("test", 0), 0, (32, 32))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            receives, gives = module.weight[0].numel(), module.weight[:, 0].numel()
            bound = (6 / (receives + gives)) ** 0.5
            assert 0.98 * bound < float(module.weight.detach().abs().max()) <= bound
            assert not module.bias.any()
        elif isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all() and not module.bias.any()
    positions = network.positions.learnt.detach()
    assert positions.shape == (64, 96)
    assert float(positions.std()) == pytest.approx(0.02, rel=0.05)


def test_agents_start_apart_and_always_alike():
    def start(seed, agent):
        network = SMALL.initialized(3, 10, Randomness("test", seed), agent, SIZE)
        return nn.utils.parameters_to_vector(network.parameters())

    assert torch.equal(start(0, 1), start(0, 1))
    assert not torch.equal(start(0, 1), start(0, 2)) and not torch.equal(start(0, 1), start(1, 1))


# What is refused.


def test_a_width_that_heads_do_not_divide():
    with pytest.raises(ValidationError, match="width: 30 channels are not dealt out evenly among 4 heads"):
        Vit(width=30, heads=4)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 8), (9, 10), (1, 1)])
def test_images_that_are_no_whole_patches(height, width):
    with pytest.raises(InputError, match=rf"whole patches of 3x3 pixels, got {width}x{height}; expected a"):
        Vit(patch=3).check_size(height, width)
    Vit(patch=3).check_size(3 * height, 3 * width)
