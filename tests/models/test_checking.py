"""Networks in which a symmetry could be wrong without a word: understood, or refused by name."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from dimat.merging.api import merge
from dimat.models.checking import check_members, check_reached, check_symmetry
from dimat.models.following import follow, unreached
from dimat.models.groups import Group, Member, permute, random_permutations
from dimat.models.symmetry import UnsupportedOperation, permutation_groups
from dimat.models.wiring.found import groups_of

SHAPE = (3, 8, 8)


def convolutions(middle=None, **layers):
    """Two convolutions, with something in between, and a classifier."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), middle or nn.Identity(), nn.Conv2d(6, 4, 3), nn.ReLU()
    )
    network.append(nn.Flatten())
    network.append(nn.Linear(64, 3))
    return network


def exact(model, expected, shape=SHAPE, modes=("eval", "train")):
    """The function stays the same when ``expected`` channels are exchanged, in either mode."""
    model = model.double()
    images = torch.randn(3, *shape, dtype=torch.float64)
    groups = permutation_groups(model, shape)
    assert sum(group.size for group in groups) == expected
    check_symmetry(model, groups, [images])
    orders = random_permutations(groups, torch.Generator().manual_seed(1))
    assert not expected or any(not torch.equal(order, order.sort()[0]) for order in orders.values())
    other = copy.deepcopy(model)
    other.load_state_dict(permute(model.state_dict(), groups, orders))
    for mode in modes:
        for network in (model, other):
            network.train(mode == "train")
        torch.testing.assert_close(other(images), model(images), rtol=1e-9, atol=1e-9)
    return groups


class TwoNames(nn.Module):
    """A layer that is registered by itself and in a list."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3)
        self.layers = nn.ModuleList([self.first, nn.Conv2d(5, 4, 3)])
        self.classifier = nn.Linear(64, 2)

    def forward(self, images):
        for layer in self.layers:
            images = layer(images).relu()
        return self.classifier(images.flatten(1))


def test_a_layer_with_two_names_moves_under_both():
    groups = exact(TwoNames(), 9)
    names = {member.name for member in groups[0].members}
    assert {"first.weight", "layers.0.weight", "first.bias", "layers.0.bias"} <= names


@pytest.mark.parametrize(
    ("reparametrize", "channels"),
    [
        (parametrizations.weight_norm, 10),
        (nn.utils.weight_norm, 10),
        (parametrizations.spectral_norm, 10),
        (nn.utils.spectral_norm, 10),
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.3), 10),
        (lambda layer: prune.ln_structured(layer, "weight", 0.5, 2, 0), 10),
        (parametrizations.orthogonal, 0),  # of a matrix's exponential, nothing is known: all stay
    ],
    ids=[
        "weight_norm",
        "old weight_norm",
        "spectral_norm",
        "old spectral_norm",
        "pruned",
        "cut",
        "orthogonal",
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_reparametrized_weights_move_with_what_they_are_made_of(reparametrize, channels):
    torch.manual_seed(0)
    network = convolutions()
    reparametrize(network[3])
    # Spectral norms take a step in training, so that the two would differ.
    exact(network, channels, modes=("eval",))


class Training(nn.Module):
    """A head that is used in training alone, and one that is never used."""

    def __init__(self, unused=False):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(180, 7), nn.ReLU(), nn.Linear(7, 2))
        self.classifier = nn.Linear(180, 2)
        if unused:
            self.spare = nn.Linear(5, 5)

    def forward(self, images):
        features = self.norm(self.first(images)).relu()
        main = self.classifier(features.flatten(1))
        return (main, self.head(features)) if self.training else main


def test_heads_for_training_alone_move_along():
    model = Training().double()
    running = model.norm.running_mean.clone()
    groups = permutation_groups(model, SHAPE)
    assert torch.equal(model.norm.running_mean, running)
    assert [group.size for group in groups] == [5, 7]
    assert "head.2.weight" in {member.name for member in groups[0].members}
    check_symmetry(model, groups, [torch.randn(4, *SHAPE)])
    missing = [Group("first", 5, groups[0].members[:5], groups[0].node)]
    with pytest.raises(UnsupportedOperation, match=r"Training, evaluated: .*'first'"):
        check_symmetry(model, missing, [torch.randn(4, *SHAPE)])
    kept = tuple(member for member in groups[0].members if not member.name.startswith("head"))
    with pytest.raises(UnsupportedOperation, match="Training, in training mode"):
        check_symmetry(model, [Group("first", 5, kept, groups[0].node)], [torch.randn(4, *SHAPE)])


def test_parameters_that_take_no_part_are_named():
    model = Training(unused=True)
    flow = follow(model, [torch.zeros(2, *SHAPE)])
    assert unreached(model, flow) == ["spare.weight", "spare.bias"]
    with pytest.raises(UnsupportedOperation, match=r"Training: 'spare.weight', 'spare.bias' took no part"):
        check_reached(model, unreached(model, flow))


def test_members_outside_of_the_state_are_named():
    with pytest.raises(UnsupportedOperation, match=r"elsewhere.weight: .* not in the state dict"):
        check_members(convolutions(), [Group("g", 6, (Member("elsewhere.weight", 0),), "_0")])


@pytest.mark.parametrize(("scales", "channels"), [([1, 1, 2, 2, 2, 3], 4 + 5), ([1, 2, 3, 4, 5, 6], 4)])
def test_channels_that_a_hook_weighs_stay_apart(scales, channels):
    """Only those of equal weights can be exchanged."""
    network = convolutions()
    weights = torch.tensor(scales, dtype=torch.float64).view(-1, 1, 1)
    network[0].register_forward_hook(lambda layer, inputs, output: output * weights)
    exact(network, channels)


class Picks(nn.Module):
    """Channels in the order of a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("order", torch.tensor([5, 0, 3, 3, 1, 2]))

    def forward(self, features):
        return features[:, self.order]


def test_channels_picked_by_a_buffer_are_followed():
    """The fourth is not picked at all, the third twice: they stay, or rather, are alone of their kind."""
    exact(convolutions(Picks()), 4 + 4)


def test_what_was_found_wrongly_is_named():
    """A group that lacks one of its tensors."""
    network = convolutions(nn.BatchNorm2d(6))
    groups = permutation_groups(network, SHAPE)
    images = torch.randn(4, *SHAPE)
    check_symmetry(network, groups, [images])
    for left_out in range(len(groups[0].members)):
        members = groups[0].members[:left_out] + groups[0].members[left_out + 1 :]
        wrong = [Group(groups[0].name, 6, members, groups[0].node), *groups[1:]]
        with pytest.raises(UnsupportedOperation, match=f"channels of '{groups[0].name}' are exchanged"):
            check_symmetry(network, wrong, [images])


def test_checking_leaves_the_network_alone():
    network = convolutions(nn.BatchNorm2d(6)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    groups = groups_of_network(network)
    check_symmetry(network, groups, [torch.randn(4, *SHAPE)])
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


class Keeps(nn.Module):
    """Keeps in evaluation what it computed from a weight, until it is trained again."""

    def __init__(self):
        super().__init__()
        self.scale, self.kept = nn.Parameter(torch.rand(6)), None

    def train(self, mode=True):
        if mode:
            self.kept = None
        return super().train(mode)

    def forward(self, features):
        if self.kept is None or self.training:
            self.kept = self.scale.exp()
        return features * self.kept.view(-1, 1, 1)


def test_what_is_kept_of_weights_is_forgotten():
    network = convolutions(Keeps()).eval()
    images = torch.randn(4, *SHAPE)
    with torch.no_grad():
        network(images)
    groups = permutation_groups(network, SHAPE)
    assert "2.scale" in {member.name for member in groups[0].members}
    check_symmetry(network, groups, [images])
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[2].scale.mul_(3)
        merged = merge([network, other], images, matcher="weight", repair="none").model
        expected = copy.deepcopy(merged).train().eval()
        torch.testing.assert_close(merged(images), expected(images))


def test_finding_and_checking_draw_no_numbers():
    """Those of the process are drawn for training alone, and must be the same whether neurons are matched."""
    network = nn.Sequential(convolutions(), Drops())
    torch.manual_seed(0)
    before = torch.get_rng_state()
    groups = permutation_groups(network, SHAPE)
    check_symmetry(network, groups, [torch.ones(4, *SHAPE)])
    assert torch.equal(torch.get_rng_state(), before)


class Drops(nn.Module):
    """Drops in training, in all the ways in which others write it, and has a parameter for training alone."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, outputs):
        if self.training:
            kept = outputs.new_empty(len(outputs), 1).bernoulli_(0.9)
            outputs = nn.functional.dropout(outputs * self.scale * kept, 0.5) + torch.rand_like(outputs)
        return outputs


def groups_of_network(network):
    flow = follow(network, [torch.zeros(2, *SHAPE)])
    return groups_of(flow.wires, flow.features)
