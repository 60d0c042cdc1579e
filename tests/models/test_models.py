"""Architectures, their initialization, and the permutation symmetries found by tracing them."""

from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small import features_of
from torch import nn
from torch.nn import functional

from dimat.models import Plain, ResNet20
from dimat.models.symmetry import Group, permutation_groups, permute
from dimat.randomness import Randomness

IMAGE = (3, 16, 16)
MODELS = [
    Plain(widths=(5, 6, 7)),
    ResNet20(width=1),
    ResNet20(width=2),
]
RESNET = ResNet20(width=1)


def images(count=4, shape=IMAGE, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def random_permutations(groups, seed):
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.randperm(group.size, generator=generator) for group in groups}


def outputs(model, state, batch):
    with torch.no_grad():
        return torch.func.functional_call(model, state, (batch,))


def greatest_difference(model, groups, permutations, batch):
    """How much the function changes when the hidden channels are permuted."""
    state = model.state_dict()
    before = outputs(model, state, batch)
    after = outputs(model, permute(state, groups, permutations), batch)
    return float((before - after).abs().max())


# Sizes, from the published experiments.


@pytest.mark.parametrize(
    ("width", "classes", "parameters"),
    [
        (1, 10, 292_954),
        (2, 10, 1_166_506),
        (4, 10, 4_655_434),
        (8, 10, 18_600_586),
        (8, 100, 18_646_756),
        (8, 200, 18_698_056),
    ],
)
def test_resnet20_has_the_published_number_of_parameters(width, classes, parameters):
    with torch.device("meta"):
        model = ResNet20(width=width).build(3, classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_resnet20_of_width_8_has_the_published_tensors():
    with torch.device("meta"):
        model = ResNet20(width=8).build(3, 10)
    assert sum(buffer.numel() for buffer in model.buffers()) == 12_565
    assert len(list(model.parameters())) == 65
    assert len(model.state_dict()) == 128


@pytest.mark.parametrize("size", [8, 32, 64])
@pytest.mark.parametrize("spec", MODELS[:2], ids=str)
def test_logits_for_images_of_several_sizes(spec, size):
    assert spec.build(3, 10)(images(2, (3, size, size))).shape == (2, 10)


# Permutation symmetries.


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("spec", MODELS, ids=str)
def test_permuting_hidden_channels_leaves_the_function_unchanged(spec, seed, randomize):
    model = randomize(spec.build(3, 10), seed).eval()
    groups = permutation_groups(model, IMAGE)
    model.double()  # so that only a wrong permutation, not round-off, makes a difference
    assert greatest_difference(model, groups, random_permutations(groups, seed), images().double()) < 1e-9


@pytest.mark.parametrize("spec", MODELS[:2], ids=str)
def test_no_member_of_a_group_is_idle(spec, randomize):
    """Leaving out one member changes the function: the test above can fail, and no member is superfluous."""
    model, batch = randomize(spec.build(3, 10), 0).eval(), images(1, (3, 8, 8))
    for group in permutation_groups(model, (3, 8, 8)):
        rolled = {group.name: torch.arange(group.size).roll(1)}
        for left_out in group.members:
            rest = tuple(member for member in group.members if member != left_out)
            broken = Group(group.name, group.size, rest, group.node)
            assert greatest_difference(model, [broken], rolled, batch) > 1e-4, left_out


def test_permute_puts_old_channel_p_b_in_place_b():
    model = Plain(widths=(3,)).build(1, 2)
    groups = permutation_groups(model, (1, 4, 4))
    order = torch.tensor([2, 0, 1])
    old = model.state_dict()
    new = permute(old, groups, {groups[0].name: order})
    assert torch.equal(new["features.0.weight"], old["features.0.weight"][order])
    assert torch.equal(new["features.1.running_var"], old["features.1.running_var"][order])
    assert torch.equal(new["classifier.weight"], old["classifier.weight"][:, order])
    assert torch.equal(new["classifier.bias"], old["classifier.bias"])


def test_permuting_twice_is_permuting_by_the_product(randomize):
    model = randomize(RESNET.build(3, 10), 0)
    groups = permutation_groups(model, IMAGE)
    first, second = random_permutations(groups, 1), random_permutations(groups, 2)
    product = {name: first[name][second[name]] for name in first}
    twice = permute(permute(model.state_dict(), groups, first), groups, second)
    once = permute(model.state_dict(), groups, product)
    assert all(torch.equal(twice[name], once[name]) for name in once)


def test_resnet20_has_nine_inner_groups_and_three_streams():
    groups = permutation_groups(RESNET.build(3, 10), IMAGE)
    inner = [f"layer{stage}_{block}_relu" for stage in (1, 2, 3) for block in (0, 1, 2)]
    streams = [f"layer{stage}_2_relu_1" for stage in (1, 2, 3)]
    assert sorted(group.node for group in groups) == sorted(inner + streams)
    sizes = {group.node: group.size for group in groups}
    assert [sizes[node] for node in streams] == [16, 32, 64]


@pytest.mark.parametrize("spec", MODELS[:2], ids=str)
def test_inputs_and_logits_are_never_permuted(spec):
    model = spec.build(3, 10)
    members = {
        (member.name, member.axis) for group in permutation_groups(model, IMAGE) for member in group.members
    }
    first = next(name for name, _ in model.named_parameters())
    assert (first, 0) in members
    assert ("classifier.weight", 1) in members
    assert not members & {(first, 1), ("classifier.weight", 0), ("classifier.bias", 0)}


def test_tracing_changes_neither_mode_nor_state(randomize):
    model = randomize(RESNET.build(3, 10), 0).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    permutation_groups(model, IMAGE)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# Symmetries of random architectures.


class Residual(nn.Module):
    """A block of two convolutions around a shortcut, which projects if it must."""

    def __init__(self, before, inner, after, stride, functional_relu):
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 3, stride, padding=1, bias=True)
        self.bn = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, after, 1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after))
        self.functional_relu = functional_relu
        self.relu = nn.ReLU()

    def forward(self, features):
        inner = self.relu(self.bn(self.conv1(features)))
        total = self.shortcut(features) + self.conv2(inner)
        return functional.relu(total) if self.functional_relu else total


class Networks:
    """Random small networks: convolutions, residual blocks, pooling, linear layers behind a flattening."""

    @staticmethod
    @st.composite
    def build(draw):
        channels = width = draw(st.integers(1, 3))
        size, layers = 8, []
        if draw(st.booleans()):
            layers.append(nn.BatchNorm2d(width))
        for kind in draw(st.lists(st.sampled_from(["conv", "residual", "pool"]), min_size=1, max_size=4)):
            stride = draw(st.sampled_from([1, 2])) if size > 2 else 1
            after = draw(st.sampled_from([1, 2, 3, 4, width]))
            if kind == "conv":
                bias, affine = draw(st.booleans()), draw(st.booleans())
                layers.append(nn.Conv2d(width, after, 3, stride, padding=1, bias=bias))
                if draw(st.booleans()):
                    layers.append(nn.BatchNorm2d(after, affine=affine))
                layers.append(draw(st.sampled_from([nn.ReLU, nn.GELU, nn.Identity]))())
            elif kind == "residual":
                layers.append(Residual(width, draw(st.integers(1, 4)), after, stride, draw(st.booleans())))
            else:
                after, stride = width, 2 if size > 2 else 1
                layers.append(draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))(stride))
            width, size = after, (size + stride - 1) // stride
        if draw(st.booleans()):
            size = draw(st.sampled_from([1, 2]))
            layers.append(nn.AdaptiveAvgPool2d(size))
        layers.append(nn.Flatten())
        if draw(st.booleans()):
            layers.append(nn.Dropout())
        features = width * size**2
        if draw(st.booleans()):
            layers += [nn.Linear(features, 5), nn.ReLU()]
            features = 5
        return nn.Sequential(*layers, nn.Linear(features, 3)), (channels, 8, 8)


@given(Networks.build(), st.integers(0, 100))
def test_symmetry_of_random_architectures(randomize, network, seed):
    model, shape = network
    randomize(model, seed).eval()
    groups = permutation_groups(model, shape)
    model.double()
    batch = images(3, shape, seed).double()
    assert greatest_difference(model, groups, random_permutations(groups, seed), batch) < 1e-9
    for group, features in zip(groups, features_of(model, groups, batch), strict=True):
        assert features.shape[1] == group.size


# What is not understood stays in place.


class Network(nn.Module):
    """A convolution, whatever ``middle`` says, and a classifier."""

    def __init__(self, middle, **layers):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.classifier = nn.Linear(4, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.middle = middle
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, batch):
        return self.classifier(self.pool(self.middle(self, self.conv(batch))).flatten(1))


UNUSUAL = {
    "an activation of its own": (Network(lambda net, x: torch.sin(x)), 4),
    "groups": (Network(lambda net, x: net.grouped(x), grouped=nn.Conv2d(4, 4, 3, groups=2)), 8),
    "centred": (Network(lambda net, x: x - x.mean(1, keepdim=True)), 4),
    "a map for all channels": (Network(lambda net, x: x + net.single(x), single=nn.Conv2d(4, 1, 1)), 4),
    "a constant": (Network(lambda net, x: x + 1.0), 4),
    "a linear layer over the width": (
        Network(lambda net, x: net.over_width(x), over_width=nn.Linear(16, 16)),
        4 + 16,  # positions that are averaged later can be exchanged as well
    ),
    "keywords": (Network(lambda net, x: torch.add(net.drop(input=x), other=x), drop=nn.Dropout()), 4),
    "twice side by side": (
        Network(lambda net, x: net.less(torch.cat(tensors=[x, x], dim=1)), less=nn.Conv2d(8, 4, 1)),
        8,
    ),
    "sorted channels": (Network(lambda net, x: x.sort(1).values), 0),
    "one channel for all": (Network(lambda net, x: x * x[:, :1]), 3),
    "a convolution used twice": (
        Network(lambda net, x: net.twice(net.twice(x)), twice=nn.Conv2d(4, 4, 3, padding=1)),
        4,
    ),
    "a normalization used twice": (
        Network(
            lambda net, x: net.norm(net.next(net.norm(x))), norm=nn.BatchNorm2d(4), next=nn.Conv2d(4, 4, 1)
        ),
        4,
    ),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_networks_are_understood_or_stay(case, randomize):
    """As many channels as are said can be exchanged; the function is unchanged."""
    network, channels = UNUSUAL[case]
    randomize(network, 0).eval()
    groups = permutation_groups(network, IMAGE)
    assert sum(group.size for group in groups) == channels
    network.double()
    for seed in range(3):
        orders = random_permutations(groups, seed)
        assert greatest_difference(network, groups, orders, images().double()) < 1e-9


@pytest.mark.parametrize(
    "middle",
    [
        lambda net, x: functional.max_pool2d(torch.relu(x), 2),
        lambda net, x: functional.avg_pool2d(functional.gelu(x), 2),
        lambda net, x: functional.adaptive_avg_pool2d(torch.tanh(x), 2),
        lambda net, x: torch.add(x, x.relu(), alpha=2),
        lambda net, x: net.other(x) + net.drop(torch.sigmoid(net.other2(x))),
    ],
)
def test_functional_operations_are_understood(middle, randomize):
    network = Network(
        middle, other=nn.Conv2d(4, 4, 3), other2=nn.Conv2d(4, 4, 3, bias=False), drop=nn.Dropout2d()
    )
    randomize(network, 0).eval()
    groups = permutation_groups(network, IMAGE)
    network.double()
    assert groups
    for seed in range(3):
        permutations = random_permutations(groups, seed)
        assert greatest_difference(network, groups, permutations, images().double()) < 1e-9


class AddedVectors(nn.Module):
    """Two feature maps that are added when they are flattened already."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.other = nn.Conv2d(3, 4, 3, padding=1)
        self.classifier = nn.Linear(4 * 16 * 16, 2)

    def forward(self, batch):
        return self.classifier((self.one(batch).flatten(1) + self.other(batch).flatten(1)).relu())


def test_flattened_feature_maps_can_be_added(randomize):
    network = randomize(AddedVectors(), 0).eval()
    (group,) = groups = permutation_groups(network, IMAGE)
    network.double()
    batch = images().double()
    assert greatest_difference(network, groups, random_permutations(groups, 0), batch) < 1e-9
    (features,) = features_of(network, groups, batch)
    assert features.shape[1] == group.size == 4


# Observed features.


def test_observed_features_equal_those_of_forward_hooks(randomize):
    model = randomize(RESNET.build(3, 10), 0).eval()
    groups = permutation_groups(model, IMAGE)
    calls = defaultdict(list)
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: calls[name].append(output.clone()))
    with torch.no_grad():
        model(images())
        features = features_of(model, groups, images())
    for group, found in zip(groups, features, strict=True):
        block, call = group.node.split("_relu")
        expected = calls[f"{block.replace('_', '.')}.relu"][1 if call else 0]
        assert torch.equal(found, expected), group.node


def test_observed_permuted_features_are_permuted(randomize):
    model = randomize(RESNET.build(3, 10), 0).eval()
    groups = permutation_groups(model, IMAGE)
    permutations = random_permutations(groups, 0)
    batch = images().double()
    model.double()
    with torch.no_grad():
        before = features_of(model, groups, batch)
        model.load_state_dict(permute(model.state_dict(), groups, permutations))
        after = features_of(model, groups, batch)
    for group, old, new in zip(groups, before, after, strict=True):
        torch.testing.assert_close(new, old[:, permutations[group.name]], atol=1e-9, rtol=1e-9)


# Initialization.


def initial_weights(seed=0, agent=0, spec=RESNET):
    return nn.utils.parameters_to_vector(
        spec.initialized(3, 10, Randomness("test", seed), agent).parameters()
    )


def test_same_seed_and_agent_same_weights():
    initial_weights(seed=5, agent=3)  # what was drawn before does not matter
    assert torch.equal(initial_weights(), initial_weights())
    assert torch.equal(initial_weights(agent=None), initial_weights(agent=None))


def test_other_agent_or_seed_other_weights():
    drawn = [initial_weights(seed, agent) for seed in (0, 1) for agent in (None, 0, 1)]
    for position, one in enumerate(drawn):
        assert not any(torch.equal(one, other) for other in drawn[:position])


def test_weights_are_kaiming_normal():
    model = ResNet20(width=2).initialized(3, 10, Randomness("test", 0), 0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000:
            fan_in = module.weight[0].numel()
            assert float(module.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert float(model.classifier.bias.detach().abs().max()) <= 128**-0.5


def test_initialization_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    initial_weights()
    assert torch.equal(torch.random.get_rng_state(), before)
