"""Permutation symmetries of architectures that others wrote: traced, and exact to round-off."""

import pytest
import torch
from support.small import features_of
from torch import nn

from dimat.io.torchvision_import import torchvision_module
from dimat.models import ResNet50, Vgg16
from dimat.models.symmetry import permutation_groups, permute

zoo = torchvision_module("models")

ARCHITECTURES = {
    "vgg16, 32x32": lambda: (Vgg16().build(3, 10), (3, 32, 32), 13),
    "vgg16, 64x64": lambda: (Vgg16().build(3, 10), (3, 64, 64), 13),
    "resnet50, published stem": lambda: (ResNet50().build(3, 10), (3, 32, 32), 37),
    "resnet50, small stem": lambda: (
        ResNet50(stem="small").build(1, 10),
        (1, 16, 16),
        37,
    ),
    "resnet50, narrow": lambda: (ResNet50(width=0.25).build(3, 10), (3, 32, 32), 37),
    "resnet18": lambda: (zoo.resnet18(), (3, 64, 64), 12),
    "resnet18, group norm": lambda: (zoo.resnet18(norm_layer=lambda c: nn.GroupNorm(8, c)), (3, 64, 64), 96),
    "resnet18, layer-like norm": lambda: (
        zoo.resnet18(norm_layer=lambda c: nn.GroupNorm(1, c)),
        (3, 64, 64),
        12,
    ),
    "resnet18, instance-like norm": lambda: (
        zoo.resnet18(norm_layer=lambda c: nn.GroupNorm(c, c)),
        (3, 64, 64),
        12,
    ),
    "plain vgg": lambda: (narrow_vgg11(), (3, 32, 32), 10),
    "densenet: concatenation": lambda: (zoo.densenet121(num_classes=10), (3, 32, 32), 120),
    "mobilenet v2: depthwise": lambda: (zoo.mobilenet_v2(num_classes=10), (3, 32, 32), 25),
    "mobilenet v3: gates": lambda: (zoo.mobilenet_v3_small(num_classes=10), (3, 32, 32), 27),
    "shufflenet v2: shuffled channels": lambda: (zoo.shufflenet_v2_x0_5(), (3, 64, 64), 80),
    "resnext: groups": lambda: (small_resnext(), (3, 32, 32), 5 + 4 * 8),
    "perceptron": lambda: (
        nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.LayerNorm(9), nn.GELU(), nn.Linear(9, 5)),
        (3, 4, 4),
        1,
    ),
    "widening depthwise": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.ReLU(),
            nn.Conv2d(6, 18, 3, groups=6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(288, 4),
        ),
        (3, 8, 8),
        1,
    ),
}


def small_resnext():
    """One block a stage, four groups in each."""
    return zoo.ResNet(zoo.resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, groups=4, width_per_group=8)


def narrow_vgg11():
    """torchvision's VGG-11 with an eighth of its channels."""
    model = zoo.VGG(
        zoo.vgg.make_layers([8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"]), num_classes=10
    )
    model.classifier[0], model.classifier[3] = nn.Linear(64 * 7 * 7, 128), nn.Linear(128, 128)
    model.classifier[6] = nn.Linear(128, 10)
    return model


def randomize(model):
    """No tensor keeps a value, such as 0 or 1, at which a wrong permutation would go unnoticed."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var") or ("weight" in name and tensor.ndim == 1):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            tensor.normal_(0, 0.3, generator=generator)
    return model.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_permuted_channels_leave_the_function_unchanged(architecture):
    model, shape, expected = ARCHITECTURES[architecture]()
    groups = permutation_groups(randomize(model), shape)
    assert len(groups) == expected
    model.double()
    images = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    permutations = {group.name: torch.randperm(group.size) for group in groups}
    with torch.no_grad():
        before, features = model(images), features_of(model, groups, images)
        model.load_state_dict(permute(model.state_dict(), groups, permutations))
        after, permuted = model(images), features_of(model, groups, images)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)
    for group, old, new in zip(groups, features, permuted, strict=True):
        assert old.shape[1] == group.size
        torch.testing.assert_close(new, old[:, permutations[group.name]], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "architecture", ["vgg16, 32x32", "densenet: concatenation", "mobilenet v2: depthwise"]
)
def test_every_member_matters(architecture):
    """Leaving any one kind of tensor behind changes the function."""
    model, shape, _ = ARCHITECTURES[architecture]()
    groups = permutation_groups(randomize(model), shape)
    images = torch.randn(2, *shape)
    permutations = {group.name: torch.arange(group.size).roll(1) for group in groups}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moved = permute(state, groups, permutations)
    with torch.no_grad():
        before = model(images)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            left_behind = {name: state[name] if name.endswith(kind) else moved[name] for name in state}
            after = torch.func.functional_call(model, left_behind, (images,))
            assert (after - before).abs().max() > 1e-3 * before.abs().max(), kind


def test_groups_can_be_printed():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    (group,) = permutation_groups(model, (3, 4, 4))
    assert str(group).splitlines() == [
        "_1: 4 channels",
        "  0.weight, axis 0",
        "  0.bias, axis 0",
        "  3.weight, axis 1, 4 entries each",
    ]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (Vgg16(), {10: 14_728_266, 100: 14_774_436, 200: 14_825_736}),
        (ResNet50(), {10: 23_528_522, 100: 23_712_932, 200: 23_917_832}),
    ],
)
def test_published_numbers_of_parameters(model, parameters):
    for classes, count in parameters.items():
        assert sum(parameter.numel() for parameter in model.build(3, classes).parameters()) == count


def test_a_wide_resnet50_is_that_of_its_authors():
    """torchvision's Wide ResNet-50-2: twice the channels inside blocks."""
    shapes = [
        [tuple(each.shape) for each in network.parameters()]
        for network in (ResNet50(width=2).build(3, 1000), zoo.wide_resnet50_2())
    ]
    assert shapes[0] == shapes[1]


def test_networks_of_double_precision_are_traced():
    network = Vgg16(width=1 / 8).build(3, 10)
    single = permutation_groups(network, (3, 32, 32))
    assert permutation_groups(network.double(), (3, 32, 32)) == single
