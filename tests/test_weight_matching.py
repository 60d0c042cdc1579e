"""Weight matching: what was permuted is found, and the objective never falls."""

from itertools import permutations as orders

import pytest
import torch
from torch import nn

from dimat.merging.options import Merge
from dimat.merging.weight import Weight, match_weights, similarities
from dimat.models import Plain, ResNet20
from dimat.models.symmetry import permutation_groups, permute
from dimat.randomness import Randomness

IMAGE = (3, 16, 16)


def network(spec, seed=0):
    return spec.initialized(3, 10, Randomness("test", seed), 0).double()


def objective(one, other, groups, permutations):
    """Inner product of a network's parameters with another's, permuted as a whole."""
    moved = permute(other.state_dict(), groups, permutations)
    return float(sum((tensor * moved[name]).sum() for name, tensor in parameters(one).items()))


def parameters(model):
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


@pytest.mark.parametrize(
    "spec", [Plain(name="plain"), ResNet20(name="resnet20", width=1), ResNet20(name="resnet20", width=2)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_permutation_is_recovered(spec, seed):
    model = network(spec, seed)
    groups = permutation_groups(model.float(), IMAGE)
    generator = torch.Generator().manual_seed(seed)
    planted = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
    other = network(spec, seed)
    noisy = permute(model.state_dict(), groups, planted)
    other.load_state_dict(noisy)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor += 0.01 * tensor.std(correction=0) * torch.randn(tensor.shape, generator=generator)
    found = Weight(name="weight").match({3: model, 7: other}, groups, [(3, 7)], [])[3, 7]
    for group in groups:
        assert torch.equal(planted[group.name][found[group.name]], torch.arange(group.size)), group.name


def test_one_hidden_layer_is_solved_exactly():
    """With a single group the assignment is the whole problem: compare with every permutation."""
    model, other = (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3)) for _ in range(2)
    )
    groups = permutation_groups(model, (3, 2, 2))
    ones, others = parameters(model), parameters(other)
    found = match_weights(ones, others, groups, sweeps=5)
    values = [
        objective(model, other, groups, {groups[0].name: torch.tensor(order)}) for order in orders(range(5))
    ]
    assert objective(model, other, groups, found) == pytest.approx(max(values), rel=1e-6)


def test_similarities_are_the_change_of_the_objective():
    """Swapping two channels of one group changes the objective by what the similarities say."""
    model, other = network(ResNet20(name="resnet20", width=1)), network(ResNet20(name="resnet20", width=1), 1)
    groups = permutation_groups(model.float(), IMAGE)
    model.double()
    ones, others = parameters(model), parameters(other)
    generator = torch.Generator().manual_seed(2)
    current = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
    for group in groups:
        scores = similarities(ones, others, group, groups, current)
        swapped = current[group.name].clone()
        swapped[[0, 1]] = swapped[[1, 0]]
        rows = torch.arange(group.size)
        expected = scores[rows, swapped].sum() - scores[rows, current[group.name]].sum()
        change = objective(model, other, groups, current | {group.name: swapped}) - objective(
            model, other, groups, current
        )
        assert change == pytest.approx(float(expected), abs=1e-9), group.name


def test_more_sweeps_never_lower_the_objective():
    model, other = network(ResNet20(name="resnet20", width=1)), network(ResNet20(name="resnet20", width=1), 1)
    groups = permutation_groups(model.float(), IMAGE)
    model.double()
    ones, others = parameters(model), parameters(other)
    values = [objective(model, other, groups, match_weights(ones, others, groups, n)) for n in (1, 2, 3, 20)]
    unmatched = objective(model, other, groups, {group.name: torch.arange(group.size) for group in groups})
    assert values == sorted(values) and values[0] > unmatched


def test_running_statistics_do_not_matter():
    model, other = network(Plain(name="plain")), network(Plain(name="plain"), 1)
    groups = permutation_groups(model.float(), IMAGE)
    match = Weight(name="weight").match
    before = match({0: model, 1: other}, groups, [(0, 1)], [])[0, 1]
    other.features[1].running_var.copy_(torch.rand(16))
    after = match({0: model, 1: other}, groups, [(0, 1)], [])[0, 1]
    assert all(torch.equal(before[group.name], after[group.name]) for group in groups)


def test_matchers_have_labels_of_their_own():
    weight = Weight(name="weight")
    assert Merge(matcher=weight).label() == "weight matching, pooled images"
    assert Merge(matcher=weight, repair="none").label() == "weight matching, no repair"
