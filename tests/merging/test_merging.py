"""Statistics, assignment, averaging, repair, and one whole merge."""

import copy
from itertools import permutations as all_permutations

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small import features_of
from torch import nn

from dimat.data.augmentation import Augmentation
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.activation import Activation
from dimat.merging.matching.assignment import best_permutation, inverse
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.statistics import correlations
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import Plain, ResNet20
from dimat.models.symmetry import permutation_groups, permute
from dimat.topology import Complete, Ring, TwoHub

SHAPE = (1, 8, 8)
RING, COMPLETE = Ring(), Complete()
AVERAGING = Merging(None, Calibration(repair="none"))


def batches_of(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, *SHAPE, generator=generator) for size in sizes]


def stored_features(model, groups, batches):
    """Every observation of every channel in float64: {group: (channels, observations)}."""
    parts = {group.name: [] for group in groups}
    with torch.no_grad():
        for batch in batches:
            for group, features in zip(groups, features_of(model.eval(), groups, batch), strict=True):
                parts[group.name].append(features.double().transpose(0, 1).flatten(1).numpy())
    return {name: numpy.concatenate(part, axis=1) for name, part in parts.items()}


def random_permutations(groups, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.randperm(group.size, generator=generator) for group in groups}


def logits(model, batch):
    with torch.no_grad():
        return model.eval()(batch)


# Correlations.


@pytest.mark.parametrize("spec", [Plain(widths=(4, 6, 5)), ResNet20(width=1)], ids=str)
def test_correlations_equal_numpy_on_stored_features(spec, randomize):
    models = {agent: randomize(spec.build(1, 3), agent) for agent in (0, 3, 4)}
    groups = permutation_groups(models[0], SHAPE)
    batches = batches_of(7, 1, 20, 4)
    found = correlations(models, groups, [(0, 3), (4, 3)], batches)
    features = {agent: stored_features(model, groups, batches) for agent, model in models.items()}
    assert set(found) == {(0, 3), (4, 3)}
    for (i, j), by_group in found.items():
        for group in groups:
            with numpy.errstate(invalid="ignore", divide="ignore"):
                whole = numpy.corrcoef(features[i][group.name], features[j][group.name])
            expected = numpy.nan_to_num(whole[: group.size, group.size :])  # a dead channel has 0
            numpy.testing.assert_allclose(by_group[group.name].numpy(), expected, atol=1e-5)


def network_with_channels(*channels):
    """A network whose hidden channels are ``weight * pixel + offset`` of an image of one pixel."""
    model = nn.Sequential(
        nn.Conv2d(1, len(channels), 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(len(channels), 2)
    )
    with torch.no_grad():
        weights, offsets = (torch.tensor(column) for column in zip(*channels, strict=True))
        model[0].weight.copy_(weights.view(-1, 1, 1, 1))
        model[0].bias.copy_(offsets)
    return model.eval()


@pytest.mark.parametrize("offset", [0.0, 100.0, -1000.0])
def test_large_means_do_not_spoil_correlations(offset):
    model = network_with_channels((1.0, offset), (-1.0, offset), (0.5, 3 * offset))
    groups = permutation_groups(model, SHAPE)
    # The mean drifts from batch to batch: sums shifted by the first one alone must still be exact.
    batches = [batch + step for step, batch in enumerate(batches_of(50, 3, 40))]
    (found,) = correlations({0: model}, groups, [(0, 0)], batches)[0, 0].values()
    sign = torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(found, torch.outer(sign, sign).double(), atol=1e-4, rtol=0)


def test_channels_that_never_vary_correlate_with_nothing():
    constants = (0.0, 0.1, 0.7, -3.3, 1e4)
    model = network_with_channels((1.0, 0.0), *((0.0, value) for value in constants))
    groups = permutation_groups(model, SHAPE)
    (found,) = correlations({0: model, 1: model}, groups, [(0, 1)], batches_of(3, 10, 8))[0, 1].values()
    assert float(found[0, 0]) == pytest.approx(1)
    assert torch.count_nonzero(found) == 1  # also rules out NaN, which is not zero
    assert sorted(best_permutation(found).tolist()) == list(range(len(found)))


def test_correlations_do_not_depend_on_the_batches(randomize):
    models = {agent: randomize(Plain(widths=(4, 5)).build(1, 3), agent) for agent in (0, 1)}
    groups = permutation_groups(models[0], SHAPE)
    images = torch.cat(batches_of(30))
    one, other = (correlations(models, groups, [(0, 1)], images.split(size))[0, 1] for size in (30, 7))
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=0)


# Assignment.


@given(st.integers(1, 6), st.integers(0, 1000))
def test_best_permutation_against_all_permutations(size, seed):
    scores = numpy.random.default_rng(seed).normal(size=(size, size))
    found = best_permutation(torch.from_numpy(scores)).tolist()
    assert sorted(found) == list(range(size))
    total = sum(scores[row, column] for row, column in enumerate(found))
    best = max(sum(scores[range(size), order]) for order in all_permutations(range(size)))
    assert total == pytest.approx(best, abs=1e-12)


@given(st.permutations(list(range(7))))
def test_inverse_undoes_a_permutation(order):
    permutation = torch.tensor(order)
    back = inverse({"group": permutation})["group"]
    assert permutation[back].tolist() == back[permutation].tolist() == list(range(7))


@pytest.mark.parametrize("spec", [Plain(widths=(6, 8)), ResNet20(width=1)], ids=str)
def test_a_planted_permutation_is_recovered(spec, randomize):
    """Network B is network A with its neurons shuffled: matching undoes it, and merging gives A back."""
    one = randomize(spec.build(1, 3), 0)
    groups = permutation_groups(one, SHAPE)
    planted = random_permutations(groups)
    other = copy.deepcopy(one)
    other.load_state_dict(permute(one.state_dict(), groups, planted))

    batches = batches_of(30, 30)
    similarity = Activation().compare({0: one, 1: other}, groups, [(0, 1)], batches)[0, 1]
    found = matched_pair(similarity, groups, Reward())
    features = stored_features(one, groups, batches)
    for group in groups:
        # Channels that a ReLU silences everywhere look alike; any order of those is right.
        alive = torch.from_numpy(features[group.name].std(axis=1) > 0)
        assert alive.sum() > group.size / 2
        expected = inverse(planted)[group.name]
        assert torch.equal(found[group.name][alive], expected[alive])

    aligned = permute(other.state_dict(), groups, inverse(planted))
    merged = copy.deepcopy(one)
    merged.load_state_dict(weighted_average([one.state_dict(), aligned], [0.25, 0.75]))
    batch = torch.cat(batches_of(5, seed=1))
    torch.testing.assert_close(logits(merged, batch), logits(one, batch), atol=1e-4, rtol=1e-4)
    unaligned = copy.deepcopy(one)
    unaligned.load_state_dict(weighted_average([one.state_dict(), other.state_dict()], [0.25, 0.75]))
    assert float((logits(unaligned, batch) - logits(one, batch)).abs().max()) > 0.01


# Averaging.


@given(st.integers(1, 4), st.integers(0, 100))
def test_weighted_average_is_plain_arithmetic(count, seed):
    generator = numpy.random.default_rng(seed)
    weights = generator.dirichlet(numpy.ones(count)).tolist()
    values, counters = generator.normal(size=(count, 3)), generator.integers(0, 10**6, count)
    states = [
        {"value": torch.tensor(value, dtype=torch.float32), "counter": torch.tensor(int(counter))}
        for value, counter in zip(values, counters, strict=True)
    ]
    merged = weighted_average(states, weights)
    numpy.testing.assert_allclose(merged["value"].numpy(), weights @ values, atol=1e-6)
    assert merged["value"].dtype == torch.float32
    assert merged["counter"].dtype == torch.int64
    assert abs(int(merged["counter"]) - weights @ counters) <= 0.5 + 1e-6


def test_averaging_changes_no_parent():
    states = [{"value": torch.zeros(3)}, {"value": torch.ones(3)}]
    weighted_average(states, [0.5, 0.5])["value"].fill_(9)
    assert states[0]["value"].tolist() == [0, 0, 0]
    assert states[1]["value"].tolist() == [1, 1, 1]


# Recalibration.


def test_recalibration_is_the_weighted_mean_of_batch_statistics(randomize):
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.Flatten(), nn.Linear(144, 2)
    )
    randomize(model, 0).eval()
    batches = batches_of(8, 8, 3)
    mean, variance, total = torch.zeros(4), torch.zeros(4), 0
    for batch in batches:
        features = model[0](batch).detach().transpose(0, 1).flatten(1)
        mean += len(batch) * features.mean(1)
        variance += len(batch) * features.var(1, unbiased=True)
        total += len(batch)
    parameters = [parameter.clone() for parameter in model.parameters()]

    recalibrate(model, batches)
    torch.testing.assert_close(model[1].running_mean, mean / total)
    torch.testing.assert_close(model[1].running_var, variance / total)
    assert model[1].momentum == 0.3
    assert not model.training
    assert all(torch.equal(*pair) for pair in zip(parameters, model.parameters(), strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_recalibration_restores_the_mode_even_after_an_error(training):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).train(training)
    recalibrate(model, batches_of(4))
    assert model.training is training
    with pytest.raises(RuntimeError):
        recalibrate(model, [torch.zeros(2, 7, 8, 8)])
    assert model.training is training
    assert model[1].momentum == 0.1


def test_recalibration_leaves_a_network_without_normalization_alone():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(), nn.Flatten(), nn.Linear(144, 2)).eval()
    before = copy.deepcopy(model.state_dict())
    recalibrate(model, batches_of(4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# A whole merge.


def parameters_of(agents):
    return torch.stack(
        [torch.cat([tensor.detach().flatten() for tensor in model.parameters()]) for model in agents.models]
    )


@pytest.mark.parametrize("graph", [COMPLETE, RING, TwoHub()], ids=str)
def test_averaging_without_matching_multiplies_by_the_mixing_matrix(graph, make_agents, make_communicator):
    agents, communicator = make_agents(agents=5), make_communicator(graph, 5)
    before = parameters_of(agents)
    merge_with_neighbours(agents, communicator, AVERAGING, Averaging(), round=1)
    expected = torch.from_numpy(communicator.mixing) @ before.double()
    torch.testing.assert_close(parameters_of(agents).double(), expected, atol=1e-6, rtol=0)
    if graph is COMPLETE:
        torch.testing.assert_close(parameters_of(agents), before.mean(0).expand(5, -1), atol=1e-6, rtol=0)


def test_shuffled_copies_merge_into_one_function(make_agents, make_communicator, digits):
    """Agents that differ by a permutation alone: a merge must change no agent's function."""
    agents, communicator = make_agents(agents=3, start="same"), make_communicator(COMPLETE, 3)
    for agent, model in enumerate(agents.models):
        shuffled = permute(model.state_dict(), agents.symmetry, random_permutations(agents.symmetry, agent))
        model.load_state_dict(shuffled)
        recalibrate(model, agents.task.inputs(range(3), None, False, torch.Generator())())
    batch = agents.task.data.normalized(digits.test_images)
    before = [logits(model, batch) for model in agents.models]
    merge_with_neighbours(agents, communicator, Merging(Matching(), Calibration()), Averaging(), round=1)
    for model, expected in zip(agents.models, before, strict=True):
        torch.testing.assert_close(logits(model, batch), expected, atol=1e-3, rtol=1e-3)


def test_on_pooled_images_both_ends_of_a_link_agree(make_agents, make_communicator):
    agents, communicator = make_agents(agents=4), make_communicator(RING, 4)
    found = match_neighbours(agents, communicator, Matching(), Calibration(), round=1).permutations
    assert set(found) == {(i, j) for i in range(4) for j in ((i - 1) % 4, (i + 1) % 4)}
    for (i, j), permutations in found.items():
        for name, permutation in permutations.items():
            assert permutation[found[j, i][name]].tolist() == list(range(len(permutation)))
    assert any(
        permutation.tolist() != sorted(permutation.tolist())
        for permutations in found.values()
        for permutation in permutations.values()
    )


def test_matching_leaves_the_networks_as_they_are(make_agents, make_communicator):
    agents, communicator = make_agents(agents=3), make_communicator(RING, 3)
    before = copy.deepcopy(agents.states())
    for images in ("own", "neighbours", "pooled"):
        match_neighbours(agents, communicator, Matching(), Calibration(images=images), round=1)
    for state, old in zip(agents.states(), before, strict=True):
        assert all(torch.equal(tensor, old[name]) for name, tensor in state.items())


@pytest.mark.parametrize("images", ["own", "neighbours", "pooled"])
def test_a_merge_repairs_on_the_images_it_may_look_at(images, make_agents, make_communicator):
    agents, communicator = make_agents(agents=4), make_communicator(RING, 4)
    merging = Merging(Matching(), Calibration(images=images))
    merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
    visible = {"own": [2], "neighbours": [1, 2, 3], "pooled": [0, 1, 2, 3]}[images]
    pixels = agents.task.data.normalized(
        agents.task.data.train_images[torch.cat([agents.task.holdings[agent] for agent in visible])]
    )
    conv, norm = agents.models[2].features[0], agents.models[2].features[1]
    features = conv(pixels).detach().transpose(0, 1).flatten(1)
    torch.testing.assert_close(norm.running_mean, features.mean(1), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(norm.running_var, features.var(1), atol=0, rtol=0.05)


def test_which_images_an_agent_may_look_at(make_agents, make_communicator):
    agents, communicator = make_agents(agents=5), make_communicator(RING, 5)
    holders = {"own": [1], "neighbours": [0, 1, 2], "pooled": range(5)}
    for images, holding in holders.items():
        expected = sum(len(agents.task.holdings[agent]) for agent in holding)
        batches = list(visible_images(agents, communicator, Calibration(images=images), 1, round=1)())
        assert sum(map(len, batches)) == expected
        # The sum over all pixels identifies the set of images whatever its order.
        pixels = agents.task.data.train_images[torch.cat([agents.task.holdings[agent] for agent in holding])]
        total = agents.task.data.normalized(pixels).double().sum()
        assert float(torch.cat(batches).double().sum()) == pytest.approx(float(total), abs=1e-2)
        limited = visible_images(agents, communicator, Calibration(images=images, limit=7), 1, round=1)
        assert sum(map(len, limited())) == 7


def test_limited_images_are_drawn_anew_every_round_but_not_every_pass(make_agents, make_communicator):
    agents, communicator = make_agents(agents=3), make_communicator(RING, 3)
    calibration = Calibration(limit=20)
    drawn = [visible_images(agents, communicator, calibration, None, round) for round in (1, 2)]
    first, again, second = (torch.cat(list(images())) for images in (drawn[0], drawn[0], drawn[1]))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_augmented_images_are_only_used_if_asked_for(make_agents, make_communicator):
    agents = make_agents(agents=3, augmentation=Augmentation(flip=True, crop=2))
    communicator = make_communicator(RING, 3)
    plain, augmented = (
        torch.cat(list(visible_images(agents, communicator, Calibration(augmented=augmented), None, 1)()))
        for augmented in (False, True)
    )
    assert not torch.equal(plain, augmented)
    own = agents.task.data.normalized(agents.task.data.train_images).sum((1, 2, 3)).sort().values
    torch.testing.assert_close(plain.sum((1, 2, 3)).sort().values, own, atol=1e-3, rtol=0)


# What is sent.


def sent(communicator, kind):
    return [communicator.bytes_sent[agent, kind] for agent in range(communicator.agents)]


@pytest.mark.parametrize("graph", [RING, COMPLETE, TwoHub()], ids=str)
def test_bytes_of_models_are_state_times_degree(graph, make_agents, make_communicator):
    agents, communicator = make_agents(agents=6), make_communicator(graph, 6)
    for round in (1, 2, 3):
        merge_with_neighbours(agents, communicator, AVERAGING, Averaging(), round)
    # widths 4 and 5 on one channel, ten classes: float32 parameters, two statistics, and counters of 8 bytes
    parameters = 9 * 4 + 9 * 4 * 5 + 2 * (4 + 5) + 5 * 10 + 10
    size = 4 * (parameters + 2 * (4 + 5)) + 8 * 2
    degrees = {"ring": [2] * 6, "complete": [5] * 6, "two_hub": [2] * 4 + [4] * 2}[graph.name]
    assert sent(communicator, "models") == [3 * size * degree for degree in degrees]


@pytest.mark.parametrize(("images", "receivers"), [("own", 0), ("neighbours", 2), ("pooled", 4)])
def test_bytes_of_images_are_counted_once(images, receivers, make_agents, make_communicator):
    agents, communicator = make_agents(agents=5), make_communicator(RING, 5)
    for round in (1, 2, 3):
        merge_with_neighbours(
            agents,
            communicator,
            Merging(Matching(), Calibration(images=images, limit=50)),
            Averaging(),
            round,
        )
    assert sent(communicator, "images") == [64 * len(own) * receivers for own in agents.task.holdings]


def test_what_uses_no_images_sends_none(make_agents, make_communicator):
    agents, communicator = make_agents(agents=3), make_communicator(RING, 3)
    merge_with_neighbours(agents, communicator, AVERAGING, Averaging(), round=1)
    assert sent(communicator, "images") == [0, 0, 0]


def test_two_passes_do_nearly_what_three_do(make_agents, make_communicator):
    """Statistics of normalization and correlations from one pass: most assignments and the accuracy agree."""
    agents, communicator = make_agents(agents=3, model=Plain(), batch_size=50), make_communicator(RING, 3)
    for epoch in range(4):
        agents.pretrain(epoch)
    found = {
        passes: match_neighbours(
            agents, communicator, Matching(passes=passes), Calibration(), round=1
        ).permutations
        for passes in (2, 3)
    }
    agreement = [
        float((order == found[3][pair][name]).double().mean())
        for pair, orders in found[2].items()
        for name, order in orders.items()
    ]
    assert numpy.mean(agreement) > 0.8
    accuracies = {}
    for passes in (2, 3):
        merged = copy.deepcopy(agents)
        merge_with_neighbours(
            merged, communicator, Merging(Matching(passes=passes), Calibration()), Averaging(), round=1
        )
        accuracies[passes] = numpy.mean([merged.evaluate(row)["test_accuracy"] for row in range(3)])
    assert abs(accuracies[2] - accuracies[3]) < 0.05
