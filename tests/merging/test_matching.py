"""Matchers: what was permuted is found, on every architecture; objectives are what they claim to be."""

import copy
from itertools import permutations as orders

import pytest
import torch
from support.small import features_of
from torch import nn

from dimat.io.torchvision_import import torchvision_module
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.activation import Activation
from dimat.merging.matching.activation_weight import ActivationWeight
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.options import Matching
from dimat.merging.matching.reached import objectives
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.weight import Weight
from dimat.merging.options import Merging
from dimat.models import Plain, ResNet20, ResNet50, Vgg16
from dimat.models.symmetry import permutation_groups, permute
from dimat.randomness import Randomness

zoo = torchvision_module("models")
IMAGE = (3, 16, 16)

MATCHERS = [Activation(), Weight(), ActivationWeight()]
ARCHITECTURES = {
    "plain": lambda: Plain().build(3, 10),
    "resnet20": lambda: ResNet20().build(3, 10),
    "resnet20, width 2": lambda: ResNet20(width=2).build(3, 10),
    "resnet50": lambda: ResNet50(stem="small").build(3, 10),
    "vgg16": lambda: Vgg16(width=0.25).build(3, 10),
    "plain vgg": lambda: nn.Sequential(
        zoo.vgg.make_layers([16, "M", 32, "M", 64, 64, "M", 64, 64, "M", 64, 64, "M"]),
        *(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    ),
    "bottlenecks": lambda: zoo.ResNet(zoo.resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, width_per_group=8),
    "group norm": lambda: with_group_norm(ResNet20(width=2).build(3, 10)),
    "dense": lambda: zoo.DenseNet(8, (2, 2, 2, 2), 16, num_classes=10),
    "resnet18, group norm": lambda: zoo.resnet18(norm_layer=lambda c: nn.GroupNorm(8, c)),
    "densenet121": lambda: zoo.densenet121(num_classes=10),
    "mobilenet v2": lambda: zoo.mobilenet_v2(num_classes=10, width_mult=0.5),
    "perceptron": lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(768, 40),
        nn.LayerNorm(40),
        nn.GELU(),
        nn.Linear(40, 30),
        nn.ReLU(),
        nn.Linear(30, 5),
    ),
}


def with_group_norm(model):
    """The same network with groups of channels normalized instead of batches."""
    for name, module in model.named_children():
        if isinstance(module, nn.BatchNorm2d):
            setattr(model, name, nn.GroupNorm(8, module.num_features))
        else:
            with_group_norm(module)
    return model


LARGE = {"resnet50", "resnet18, group norm", "densenet121"}
"""Those that take a minute; each has a small sibling."""


def size_of(architecture):
    """Image size: VGG-16 halves images five times, MobileNet and ResNet-18 start with halving."""
    return (
        (3, 32, 32) if architecture not in ("plain", "resnet20", "resnet20, width 2", "perceptron") else IMAGE
    )


def lively(model):
    """A network in which nearly all channels vary: no value is special, signals neither die nor explode."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, 0, 0.3, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, 0, 0.5, generator=generator)
    return model


def batches_of(shape, count=3, size=16):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(size, *shape, generator=generator) for _ in range(count)]


def calibrated(model, batches):
    """Running statistics that fit, so that activations keep their scale in evaluation."""
    recalibrate(model, batches)
    return model.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_planted_permutation_is_recovered(architecture, long):
    """B is A, re-ordered, plus a little noise: every matcher puts every channel back, and says so."""
    if architecture in LARGE and not long:
        pytest.skip("a case of make test-studies")
    shape = size_of(architecture)
    batches = batches_of(shape)
    model = calibrated(lively(ARCHITECTURES[architecture]()), batches)
    groups = permutation_groups(model, shape)
    generator = torch.Generator().manual_seed(1)
    planted = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
    other = copy.deepcopy(model)
    other.load_state_dict(permute(model.state_dict(), groups, planted))
    with torch.no_grad():
        for tensor in other.parameters():
            tensor += 1e-4 * tensor.std(correction=0) * torch.randn(tensor.shape, generator=generator)
        deviations = [
            torch.cat(parts).transpose(0, 1).flatten(1).std(1)
            for parts in zip(*(features_of(model, groups, batch) for batch in batches), strict=True)
        ]
    for matcher in MATCHERS:
        similarity = matcher.compare({3: model, 7: other}, groups, [(3, 7)], batches)[3, 7]
        found = matched_pair(similarity, groups, Reward())
        for group, deviation in zip(groups, deviations, strict=True):
            expected = planted[group.name].argsort()
            # What a ReLU silences everywhere has no activations to go by.
            alive = deviation > 1e-6
            visible = alive if matcher.name == "activation" else torch.ones(group.size, dtype=bool)
            assert visible.float().mean() > 0.5
            assert torch.equal(found[group.name][visible], expected[visible]), (matcher.name, group.name)
            reached, in_place = objectives([group], {(3, 7): found}, {(3, 7): similarity})[group.name, (3, 7)]
            least = 1.0 if matcher.name == "weight" else float(alive.float().mean())
            assert least - 0.03 < reached < 1.01
            assert reached > in_place


def network(spec, seed=0):
    return spec.initialized(3, 10, Randomness("test", seed), 0).double()


def two_networks():
    model, other = network(ResNet20(width=1)), network(ResNet20(width=1), 1)
    groups = permutation_groups(model.float(), IMAGE)
    model.double()
    return model, other, groups


def parameters(model):
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def inner_product(one, other, groups, permutations):
    """Inner product of a network's parameters with another's, permuted as a whole."""
    moved = permute(other.state_dict(), groups, permutations)
    return float(sum((tensor * moved[name]).sum() for name, tensor in parameters(one).items()))


def mean_cosine(one, other, groups, permutations):
    """Sum over parameters of the cosine between two networks, the other one permuted as a whole."""
    moved = permute(other.state_dict(), groups, permutations)
    return sum(
        float((tensor * moved[name]).sum() / (tensor.norm() * moved[name].norm()).clamp_min(1e-300))
        for name, tensor in parameters(one).items()
    )


def in_place(groups):
    return {group.name: torch.arange(group.size) for group in groups}


def test_one_hidden_layer_is_solved_exactly():
    """With a single group the assignment is the whole problem: compare with every permutation."""
    model, other = (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3)) for _ in range(2)
    )
    groups = permutation_groups(model, (3, 2, 2))
    similarity = Weight().compare({0: model, 1: other}, groups, [(0, 1)], [])[0, 1]
    found = matched_pair(similarity, groups, Reward())
    values = [
        inner_product(model, other, groups, {groups[0].name: torch.tensor(order)})
        for order in orders(range(5))
    ]
    assert inner_product(model, other, groups, found) == pytest.approx(max(values), rel=1e-6)


@pytest.mark.parametrize("matcher", MATCHERS[1:], ids=lambda matcher: matcher.name)
def test_scores_are_the_change_of_the_objective(matcher):
    """Swapping two channels of one group changes the objective by what the scores say."""
    model, other, groups = two_networks()
    batches = [batch.double() for batch in batches_of(IMAGE, 1, 8)]
    similarity = matcher.compare({0: model, 1: other}, groups, [(0, 1)], batches)[0, 1]
    activations = Activation().compare({0: model, 1: other}, groups, [(0, 1)], batches)[0, 1]

    def objective(permutations):
        if matcher.name == "weight":
            return inner_product(model, other, groups, permutations)
        correlation = sum(
            float(activations.scores(group, {})[torch.arange(group.size), permutations[group.name]].mean())
            for group in groups
        )
        cosine = mean_cosine(model, other, groups, permutations)
        return (1 - matcher.weights) * correlation + matcher.weights * cosine

    generator = torch.Generator().manual_seed(2)
    current = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
    for group in groups:
        scores = similarity.scores(group, current)
        swapped = current[group.name].clone()
        swapped[[0, 1]] = swapped[[1, 0]]
        rows = torch.arange(group.size)
        expected = scores[rows, swapped].sum() - scores[rows, current[group.name]].sum()
        change = objective(current | {group.name: swapped}) - objective(current)
        assert change == pytest.approx(float(expected), abs=1e-7), group.name


def test_matching_raises_the_inner_product():
    model, other, groups = two_networks()
    similarity = Weight().compare({0: model, 1: other}, groups, [(0, 1)], [])[0, 1]
    found = matched_pair(similarity, groups, Reward())
    assert inner_product(model, other, groups, found) > inner_product(model, other, groups, in_place(groups))
    for group in groups:  # no group can be improved alone
        scores = similarity.scores(group, found)
        rows = torch.arange(group.size)
        best = max(float(scores[rows, torch.randperm(group.size)].sum()) for _ in range(50))
        assert float(scores[rows, found[group.name]].sum()) >= best


def test_the_scale_is_the_score_of_a_network_with_itself():
    model, _, groups = two_networks()
    batches = batches_of(IMAGE, 2, 8)
    calibrated(lively(model.float()), batches)
    for matcher in MATCHERS:
        similarity = matcher.compare({0: model, 1: model}, groups, [(0, 1)], batches)[0, 1]
        for group in groups:
            own = float(similarity.scores(group, in_place(groups)).trace()) / group.size
            assert own == pytest.approx(similarity.scale(group), rel=0.1 if matcher.looks_at_images else 1e-9)


def test_running_statistics_do_not_matter_to_weights():
    model, other = network(Plain()), network(Plain(), 1)
    groups = permutation_groups(model.float(), IMAGE)

    def matched():
        similarity = Weight().compare({0: model, 1: other}, groups, [(0, 1)], [])[0, 1]
        return matched_pair(similarity, groups, Reward())

    before = matched()
    other.features[1].running_var.copy_(torch.rand(16))
    after = matched()
    assert all(torch.equal(before[group.name], after[group.name]) for group in groups)


@pytest.mark.parametrize(
    ("matching", "common"),
    [
        ({}, False),
        ({"alignment": "consistent"}, True),
        ({"rematch": "first_meeting"}, True),
        ({"rematch": {"name": "sticky", "bonus": 0.1}, "passes": 2}, True),
        ({"rematch": "margin", "matcher": "weight"}, True),
        ({"rematch": "lowers_disagreement", "alignment": "consistent"}, True),
    ],
    ids=str,
)
def test_what_holds_its_places_has_a_common_frame(matching, common):
    assert Matching.model_validate(matching).common_frame is common


@pytest.mark.parametrize(
    ("matching", "repair", "looks"),
    [
        (None, None, False),
        (None, "none", False),
        (None, "repair", True),
        ("weight", "none", False),
        ("weight", "recalibrate", True),
        ("activation", "none", True),
        ("activation-weight", None, True),
    ],
)
def test_images_are_looked_at_by_matchers_of_activations_and_by_repair(matching, repair, looks):
    merging = Merging(
        None if matching is None else Matching.model_validate({"matcher": matching}),
        None if repair is None else Calibration(repair=repair),
    )
    assert merging.looks_at_images is looks


def test_without_images_only_repair_tells_calibrations_apart():
    assert Calibration(repair="none", images="own", limit=7).without_images() == Calibration(repair="none")
    assert Calibration(images="own", limit=7).without_images() == Calibration(images="own", limit=7)
