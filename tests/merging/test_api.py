"""The Python API: merging plain networks that others have trained."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import dimat
from dimat.merging.averaging.scale import normalized_layers, shrink
from dimat.models import Plain, ResNet20, Vgg16
from dimat.models.symmetry import UnsupportedOperation, permute
from dimat.tasks import Classification
from dimat.tasks.images import scores_of


def small_network():
    return nn.Sequential(nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(432, 10))


def plain_network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


@pytest.fixture(scope="module")
def trained(digits):
    """Three networks of each kind, trained apart on the digits."""
    pixels = digits.normalized(digits.train_images)
    found = {}
    for build in (small_network, plain_network):
        networks = []
        for seed in range(3):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = build()
            optimizer = torch.optim.Adam(network.parameters(), 0.01)
            generator = torch.Generator().manual_seed(seed)
            for _ in range(4):
                for part in torch.randperm(len(pixels), generator=generator).split(100):
                    loss = functional.cross_entropy(network(pixels[part]), digits.train_labels[part])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            networks.append(network.eval())
        found[build] = networks
    return found


@pytest.fixture(scope="module")
def images(digits):
    return digits.normalized(digits.train_images)[:500]


def accuracy(network, digits):
    return scores_of(Classification(), network, digits)["test_accuracy"]


@pytest.mark.parametrize("matcher", ["activation", "weight", {"name": "activation-weight", "weights": 0.3}])
@pytest.mark.parametrize("alignment", ["consistent", "per_edge", "universe"])
def test_matching_beats_the_naive_average(matcher, alignment, trained, images, digits):
    networks = trained[small_network]
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    merged = dimat.merge(networks, images, matcher=matcher, alignment=alignment)
    naive = dimat.merge(networks, images, matcher=None)
    assert naive.permutations == naive.groups == []
    assert min(accuracy(network, digits) for network in networks) > 0.85
    assert accuracy(merged.model, digits) > accuracy(naive.model, digits) + 0.05
    assert set(merged.objective) == {group.name for group in merged.groups}
    assert all(merged.objective[name] > merged.objective_in_place[name] for name in merged.objective)
    for network, state in zip(networks, before, strict=True):  # given networks are left alone
        assert not network.training
        assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("build", [small_network, plain_network])
@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair", "rescale", "least_squares"])
def test_shuffled_copies_of_one_network_merge_into_it(build, repair, trained, images):
    network = trained[build][0]
    merged = dimat.merge([network, network], images)  # to know its groups
    generator = torch.Generator().manual_seed(0)
    other = copy.deepcopy(network)
    shuffle = {g.name: torch.randperm(g.size, generator=generator) for g in merged.groups}
    other.load_state_dict(permute(network.state_dict(), merged.groups, shuffle))
    merged = dimat.merge([network, other], images, weights=[0.3, 0.7], matcher="weight", repair=repair)
    assert all(torch.equal(merged.permutations[1][name], order.argsort()) for name, order in shuffle.items())
    with torch.no_grad():
        expected, found = network(images), merged.model(images)
    close = (found - expected).abs().max() / expected.abs().max()
    assert close < (1e-4 if repair == "none" or build is plain_network else 0.2)  # statistics are new


def test_tuned_coefficients_are_accepted(trained, images, digits):
    networks = trained[small_network]
    merged = dimat.merge(networks, images, coefficients={"name": "entropy", "steps": 5})
    assert accuracy(merged.model, digits) > 0.3


def test_batches_may_come_from_a_loader(trained, images):
    networks = trained[small_network]
    labels = torch.zeros(len(images))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=100)
    one, other = dimat.merge(networks, loader), dimat.merge(networks, images, batch_size=100)
    for name, tensor in one.model.state_dict().items():  # equal but for round-off: the memory layout differs
        torch.testing.assert_close(tensor, other.model.state_dict()[name])


def test_mistakes_are_named(trained, images):
    networks = trained[small_network]
    with pytest.raises(ValueError, match="models: none are given"):
        dimat.merge([], images)
    with pytest.raises(ValueError, match=r"models: '.*' has shape .* in network 1"):
        dimat.merge([networks[0], plain_network()], images)
    with pytest.raises(ValueError, match=r"weights: expected 2 that sum to 1, found \[0.5, 0.4\]"):
        dimat.merge(networks[:2], images, weights=[0.5, 0.4])
    with pytest.raises(ValueError, match="can be gone through only once"):
        dimat.merge(networks, iter([images]))
    with pytest.raises(ValueError, match="images: no images"):
        dimat.merge(networks, [])
    with pytest.raises(ValueError, match="matcher"):
        dimat.merge(networks, images, matcher="telepathy")

    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.spare = nn.Linear(64, 10), nn.Linear(3, 3)

        def forward(self, pixels):
            return self.layer(pixels.flatten(1))

    with pytest.raises(UnsupportedOperation, match=r"Spare: 'spare.weight', 'spare.bias' took no part"):
        dimat.merge([Spare(), Spare()], images)


@pytest.mark.parametrize("spec", [Plain(), ResNet20(), Vgg16(width=0.125)])
def test_shrinking_leaves_the_function_alone(spec, randomize):
    model = randomize(spec.build(3, 5), 0).eval()
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    layers = normalized_layers(model)
    assert len(layers) == sum(isinstance(module, nn.Conv2d) for module in model.modules())
    with torch.no_grad():
        expected, before = model(pixels), [layer.weight.clone() for layer, _ in layers]
        shrink(model, 0.25)
        torch.testing.assert_close(model(pixels), expected, rtol=2e-3, atol=2e-3)
    for (layer, _), weight in zip(layers, before, strict=True):
        assert torch.equal(layer.weight, weight / 4)


def test_layers_with_a_scale_of_their_own_are_not_shrunk():
    shared = nn.Linear(4, 4)
    norm = nn.LayerNorm(4)
    twice = nn.Sequential(shared, norm, shared, nn.ReLU(), nn.Linear(4, 2))
    assert normalized_layers(twice) == []
    assert normalized_layers(plain_network()) == []
