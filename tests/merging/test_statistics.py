"""Correlations against stored features: accuracy, networks of all kinds, normalization in the same pass."""

import copy

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small import features_of
from torch import nn

from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching import statistics
from dimat.merging.matching.assignment import best_permutation
from dimat.merging.matching.statistics import correlations, tiles
from dimat.models import Plain, ResNet20
from dimat.models.symmetry import permutation_groups

SHAPE = (1, 8, 8)


def batches_of(*sizes, shape=SHAPE):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, *shape, generator=generator) for size in sizes]


def stored(model, groups, batches):
    """Every observation of every channel in float64: {group: (channels, observations)}."""
    parts = {group.name: [] for group in groups}
    with torch.no_grad():
        for batch in batches:
            for group, features in zip(groups, features_of(model, groups, batch), strict=True):
                parts[group.name].append(features.double().transpose(0, 1).flatten(1).numpy())
    return {name: numpy.concatenate(part, axis=1) for name, part in parts.items()}


def reference(one, other):
    """Correlations of all rows of two arrays, 0 for constant ones."""
    with numpy.errstate(invalid="ignore", divide="ignore"):
        return numpy.nan_to_num(numpy.corrcoef(one, other)[: len(one), len(one) :])


def check_against_stored(found, models, groups, features):
    for (i, j), by_group in found.items():
        assert list(by_group) == [group.name for group in groups]
        for group in groups:
            expected = reference(features[i][group.name], features[j][group.name])
            assert by_group[group.name].dtype == torch.float64
            numpy.testing.assert_allclose(by_group[group.name].numpy(), expected, atol=1e-5)


class OneByOne(nn.Module):
    """Channels ``weight * pixel + offset + noise * other pixel`` of images of two channels."""

    def __init__(self, weights, offsets):
        super().__init__()
        self.conv = nn.Conv2d(2, len(offsets), 1)
        self.linear = nn.Linear(len(offsets), 2)
        with torch.no_grad():
            self.conv.weight.copy_(weights.view(-1, 2, 1, 1))
            self.conv.bias.copy_(offsets)

    def forward(self, images):
        return self.linear(torch.relu(self.conv(images)).mean((2, 3)))


def test_many_observations_large_means_and_silent_channels_give_the_assignment_of_double_precision():
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(24, 2, generator=generator)
    offsets = 3 + torch.rand(24, generator=generator)
    offsets[:6] = torch.tensor([1e3, 2e3, -1e3, -1e3, 5e2, 300.0])  # rows 2 and 3 are dead after the ReLU
    weights[4:6] = 0  # constant
    models = {}
    for agent, order in enumerate((torch.arange(24), torch.randperm(24, generator=generator))):
        noise = 0.1 * torch.randn(24, 2, generator=generator)
        noise[4:6] = 0
        models[agent] = OneByOne((weights + noise)[order], offsets[order]).eval()
    groups = permutation_groups(models[0], (2, 8, 8))
    # 50,000 images of 8x8, drifting, with a batch of one in between.
    batches = [batch + step / 100 for step, batch in enumerate(batches_of(*[1000] * 50, 1, shape=(2, 8, 8)))]

    (found,) = correlations(models, groups, [(0, 1)], batches)[0, 1].values()
    moments = torch.zeros(49, 49, dtype=torch.float64)
    with torch.no_grad():
        for images in batches:
            columns = [torch.relu(model.conv(images)).double() for model in models.values()]
            rows = torch.cat([torch.ones_like(columns[0][:, :1]), *columns], dim=1).transpose(0, 1).flatten(1)
            rows[1:] -= torch.cat([model.conv.bias.double() for model in models.values()]).clamp(0)[:, None]
            moments += rows @ rows.T
    mean = moments[0] / moments[0, 0]
    covariance = moments / moments[0, 0] - torch.outer(mean, mean)
    scale = torch.where(covariance.diag() > 1e-9, covariance.diag(), torch.inf).sqrt()
    expected = (covariance / torch.outer(scale, scale))[1:25, 25:]

    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert torch.count_nonzero(found.abs().sum(1)) == torch.count_nonzero(found.abs().sum(0)) == 20
    assert torch.equal(best_permutation(found), best_permutation(expected))


@pytest.mark.parametrize("links", ["both_ways", "itself", "complete", "star", "gaps"])
def test_any_set_of_pairs(links, randomize):
    agents = (7, 2, 5, 0)  # the order of the models, not of their numbers
    pairs = {
        "both_ways": [(7, 2), (2, 7), (0, 5)],
        "itself": [(5, 5), (0, 0), (0, 2)],
        "complete": [(i, j) for i in agents for j in agents if i != j],
        "star": [(5, 0), (5, 2), (5, 7)],
        "gaps": [(7, 5), (7, 0), (2, 0)],
    }[links]
    models = {agent: randomize(Plain(widths=(4, 6)).build(1, 3), agent) for agent in agents}
    groups = permutation_groups(models[7], SHAPE)
    batches = batches_of(9, 4)
    found = correlations(models, groups, pairs, batches)
    assert list(found) == pairs
    features = {agent: stored(model.eval(), groups, batches) for agent, model in models.items()}
    check_against_stored(found, models, groups, features)


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda ends: tuple(sorted(ends)))))
def test_every_link_is_in_one_product(links):
    links = sorted(links)
    found, entries = [], 0
    for tile in tiles(links):
        inside = [(tile.rows[row], tile.columns[column]) for row, column in zip(*tile.which, strict=True)]
        assert inside == links[tile.links]
        found += inside
        entries += len(tile.rows) * len(tile.columns)
    assert found == links
    assert entries <= statistics.WASTE * len(links)


@pytest.mark.parametrize(("agents", "most"), [(5, 2), (20, 4)])
def test_a_complete_graph_needs_few_products_and_a_ring_one_for_each_run_of_links(agents, most):
    assert len(tiles([(i, j) for i in range(agents) for j in range(i + 1, agents)])) <= most
    ring = sorted(tuple(sorted((i, (i + 1) % agents))) for i in range(agents))
    assert len(tiles(ring)) == agents


def test_observations_are_folded_in_blocks(monkeypatch, randomize):
    monkeypatch.setattr(statistics, "BLOCK_VALUES", 1)
    monkeypatch.setattr(statistics, "BLOCK_OBSERVATIONS", 37)
    models = {agent: randomize(Plain(widths=(4, 6)).build(1, 3), agent) for agent in (0, 1, 2)}
    groups = permutation_groups(models[0], SHAPE)
    batches = batches_of(9, 1, 4)
    found = correlations(models, groups, [(0, 1), (0, 2)], batches)
    features = {agent: stored(model.eval(), groups, batches) for agent, model in models.items()}
    check_against_stored(found, models, groups, features)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_any_memory_layout(layout, randomize):
    models = {
        agent: randomize(ResNet20(width=1).build(1, 3), agent).to(memory_format=layout) for agent in (0, 1)
    }
    groups = permutation_groups(models[0], SHAPE)
    batches = [batch.contiguous(memory_format=layout) for batch in batches_of(6, 5)]
    found = correlations(models, groups, [(0, 1)], batches)
    features = {agent: stored(model.eval(), groups, batches) for agent, model in models.items()}
    check_against_stored(found, models, groups, features)


def test_features_without_positions_and_groups_that_share_a_node(randomize):
    """A linear layer after flattening; group normalization splits one layer's channels into two groups."""
    models = {
        agent: randomize(
            nn.Sequential(
                nn.Conv2d(1, 6, 3), nn.GroupNorm(2, 6), nn.ReLU(), nn.Flatten(),
                nn.Linear(216, 5), nn.ReLU(), nn.Linear(5, 2),
            ),
            agent,
        )
        for agent in (0, 1)
    }  # fmt: skip
    groups = permutation_groups(models[0], SHAPE)
    assert sorted(group.size for group in groups) == [3, 3, 5]
    batches = batches_of(30, 30)
    found = correlations(models, groups, [(0, 1)], batches)
    features = {agent: stored(model.eval(), groups, batches) for agent, model in models.items()}
    check_against_stored(found, models, groups, features)


# Batch statistics: normalization is recalibrated in the same pass.


@pytest.fixture
def normalized_networks(randomize):
    """Two networks with batch normalization also after the last group, and dropout, which must stay off."""

    def build():
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(),
            nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(5, 3), nn.BatchNorm1d(3),
        )  # fmt: skip

    return {agent: randomize(build(), agent) for agent in (0, 1)}


def normalized(layer, features):
    """Features normalized by their own mean and deviation."""
    mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3), unbiased=False)
    shape = (1, -1, 1, 1)
    unit = (features - mean.view(shape)) / (variance.view(shape) + layer.eps).sqrt()
    return unit * layer.weight.view(shape) + layer.bias.view(shape)


def test_batch_statistics_normalize_by_each_batch(normalized_networks):
    models, batches = normalized_networks, batches_of(12, 3, 40)
    groups = permutation_groups(models[0], SHAPE)
    found = correlations(models, groups, [(0, 1)], batches, batch_statistics=True)
    features = {agent: {group.name: [] for group in groups} for agent in models}
    for agent, model in models.items():
        first, second = features[agent].values()
        for batch in batches:
            with torch.no_grad():
                inner = model[2](normalized(model[1], model[0](batch)))
                outer = model[5](normalized(model[4], model[3](inner)))
            first.append(inner.transpose(0, 1).flatten(1).numpy())
            second.append(outer.transpose(0, 1).flatten(1).numpy())
        features[agent] = {name: numpy.concatenate(parts, axis=1) for name, parts in features[agent].items()}
    check_against_stored(found, models, groups, features)
    in_evaluation = correlations(models, groups, [(0, 1)], batches)[0, 1]
    assert any(
        not torch.allclose(found[0, 1][name], in_evaluation[name], atol=1e-3) for name in in_evaluation
    )


def test_batch_statistics_recalibrate_in_the_same_pass(normalized_networks):
    models, batches = normalized_networks, batches_of(12, 3, 40)
    groups = permutation_groups(models[0], SHAPE)
    recalibrated = copy.deepcopy(models)
    for model in recalibrated.values():
        # Only normalization in training mode: dropout would disturb the layers after it.
        model[8].p = 0.0
        recalibrate(model, batches)
    correlations(models, groups, [(0, 1)], batches, batch_statistics=True)
    for agent, model in models.items():
        expected = recalibrated[agent].state_dict()
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-5)


def test_without_batch_statistics_nothing_of_a_network_changes(normalized_networks):
    models = normalized_networks
    before = copy.deepcopy({agent: model.state_dict() for agent, model in models.items()})
    correlations(models, permutation_groups(models[0], SHAPE), [(0, 1)], batches_of(5))
    for agent, model in models.items():
        assert all(torch.equal(tensor, before[agent][name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_statistics", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_modes_and_momenta_are_restored(training, batch_statistics, fails, normalized_networks):
    models = normalized_networks
    groups = permutation_groups(models[0], SHAPE)
    for model in models.values():
        model.train(training)
        model[1].train(not training)  # a network of mixed modes stays one

    def measure(batches):
        correlations(models, groups, [(0, 1)], batches, batch_statistics=batch_statistics)

    batches = batches_of(6, 4)
    if fails:
        with pytest.raises(RuntimeError):
            measure([*batches, torch.zeros(2, 7, 8, 8)])
    else:
        measure(batches)
    for model in models.values():
        modes = [module.training for module in model]
        assert modes == [not training if place == 1 else training for place in range(len(model))]
        assert [model[place].momentum for place in (1, 4, 10)] == [0.3, 0.1, 0.1]
