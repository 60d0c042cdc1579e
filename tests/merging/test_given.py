"""What others give to `dimat.merge`: networks of any kind and in any wrapper, images as loaders have them."""

import copy

import numpy
import pytest
import torch
from torch import nn

import dimat
from dimat.merging.given import images_of, unwrapped
from dimat.models.symmetry import UnsupportedOperation, permute


def network(activation=nn.ReLU, stride=1, classes=4, width=6):
    return nn.Sequential(
        nn.Conv2d(2, width, 3, stride),
        nn.BatchNorm2d(width),
        activation(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def pair(build=network, seed=0):
    torch.manual_seed(seed)
    return [build().eval(), build().eval()]


def pixels(count=24, *shape):
    return torch.randn(count, *(shape or (2, 6, 6)), generator=torch.Generator().manual_seed(0))


def shuffled(model, merged, seed=0):
    """A network with the same function, its channels in another order."""
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(model)
    orders = {group.name: torch.randperm(group.size, generator=generator) for group in merged.groups}
    other.load_state_dict(permute(model.state_dict(), merged.groups, orders))
    return other


def same(one, other):
    """Whether two merged networks have equal states."""
    states = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# Images


def test_images_may_be_arrays_mappings_and_pairs():
    models, images = pair(), pixels()
    expected = dimat.merge(models, images, batch_size=12)
    batches = images.split(12)
    for given in (
        images.numpy(),
        list(batches),
        [batch.numpy() for batch in batches],
        [(batch, torch.zeros(12)) for batch in batches],
        [{"label": torch.zeros(12), "pixel_values": batch} for batch in batches],
        [{"pictures": batch} for batch in batches],
        [batches[0][:0], *batches, batches[0][:1]],  # an empty batch, and one of a single image
    ):
        assert same(dimat.merge(models, given, batch_size=12), expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(4, 2, 6, 6, dtype=torch.uint8), r"images: bytes \(uint8\); expected numbers"),
        ([{"a": torch.zeros(4), "b": torch.zeros(4)}], r"images: batches have \['a', 'b'\]; expected one of"),
        (torch.full((4, 2, 6, 6), torch.nan), "images: hold values that are not finite"),
        ([["no", "image"]], "images: a batch of type str"),
        (torch.zeros(4), r"images: shape \(4,\); expected shape \(n, channels, height, width\)"),
        (torch.zeros(0, 2, 6, 6), "images: no images"),
        (numpy.zeros((0, 2, 6, 6)), "images: no images"),
        (3, "images: of type int; expected a tensor, a list or a DataLoader"),
    ],
)
def test_images_that_cannot_be_looked_at_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        dimat.merge(pair(), images)


def test_the_usual_name_is_taken():
    assert images_of({"labels": torch.zeros(3), "image": torch.ones(2)}).sum() == 2


class Masked(nn.Module):
    """A forward pass with a required argument, or more."""

    def __init__(self, forward):
        super().__init__()
        self.layers = network()
        self.forward = forward.__get__(self)


@pytest.mark.parametrize(
    ("forward", "named"),
    [
        (lambda self, images, mask: self.layers(images * mask), "Masked, requires 'mask' beside the images"),
        (lambda self, images, *, mask, size: None, "requires 'mask', 'size' beside"),
        (lambda self, images, scale=1, *rest, mask, **more: None, "requires 'mask' beside"),
    ],
)
@pytest.mark.parametrize("matcher", ["weight", None])
def test_arguments_that_nobody_gives_are_named(forward, named, matcher):
    with pytest.raises(ValueError, match=r"models: forward of network 0, .*" + named):
        dimat.merge([Masked(forward), Masked(forward)], pixels(), matcher=matcher)


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, images: self.layers(images),
        lambda self, images, mask=None, **more: self.layers(images if mask is None else images * mask),
        lambda self, *images: self.layers(images[0]),
    ],
)
def test_arguments_that_can_be_left_out_are(forward):
    assert dimat.merge([Masked(forward), Masked(forward)], pixels(), matcher=None).model


def test_one_image_is_enough_to_match():
    models = pair()
    assert dimat.merge(models, pixels(1), repair="none").groups


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)), (5,)),
        (
            lambda: nn.Sequential(
                nn.Conv1d(2, 7, 3), nn.BatchNorm1d(7), nn.ReLU(), nn.Flatten(), nn.Linear(28, 3)
            ),
            (2, 6),
        ),
        (lambda: nn.Sequential(nn.Conv3d(1, 7, 2), nn.ReLU(), nn.Flatten(), nn.Linear(56, 3)), (1, 3, 3, 3)),
    ],
    ids=["vectors", "signals", "volumes"],
)
@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair", "rescale", "least_squares"])
def test_inputs_of_any_shape(build, shape, repair):
    first, _ = pair(build)
    images = pixels(40, *shape)
    merged = dimat.merge([first, first], images)
    found = dimat.merge([first, shuffled(first, merged)], images, repair=repair)
    assert [group.size for group in merged.groups] == [7]
    with torch.no_grad():
        expected = dimat.merge([first, first], images, repair=repair).model(images)
        torch.testing.assert_close(found.model(images), expected, rtol=1e-4, atol=1e-4)


# Networks


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_result_has_the_types_of_its_parents(dtype):
    first, second = (each.to(dtype) for each in pair())
    merged = dimat.merge([first, second], pixels())
    for name, tensor in merged.model.state_dict().items():
        assert tensor.dtype == first.state_dict()[name].dtype
        assert torch.isfinite(tensor).all()
    again = dimat.merge([first, shuffled(first, merged)], pixels(), repair="none").model.state_dict()
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(again[name], tensor)


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        torch.optim.swa_utils.AveragedModel,
        lambda model: nn.DataParallel(nn.DataParallel(model)),
    ],
    ids=["parallel", "averaged", "twice"],
)
def test_wrappers_are_taken_off(wrap):
    models = pair()
    expected = dimat.merge(models, pixels())
    found = dimat.merge([wrap(copy.deepcopy(model)) for model in models], pixels())
    assert type(found.model) is nn.Sequential
    assert same(found, expected)


def test_compiled_and_distributed_networks_are_taken_out(tmp_path):
    model = network()
    assert unwrapped(torch.compile(model)) is model
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        assert unwrapped(nn.parallel.DistributedDataParallel(model)) is model
    finally:
        torch.distributed.destroy_process_group()


class Optional(nn.Module):
    """A forward pass with arguments that it can do without, and more than tensors in its state."""

    _version = 3

    def __init__(self):
        super().__init__()
        self.body = network()

    def forward(self, images, mask=None, *, scale=2.0, features=False):
        if mask is not None:
            images = images * mask
        found = self.body(images) * scale
        return (found, images) if features else found

    def get_extra_state(self):
        return {"labels": ["a", "b"]}

    def set_extra_state(self, state):
        self.labels = state["labels"]

    def _load_from_state_dict(self, state, prefix, metadata, *arguments):
        assert metadata.get("version") == 3
        super()._load_from_state_dict(state, prefix, metadata, *arguments)


def test_optional_arguments_and_extra_state():
    merged = dimat.merge(pair(Optional), pixels())
    assert [group.size for group in merged.groups] == [6]
    assert merged.model.labels == ["a", "b"]
    assert merged.model.state_dict()._metadata[""]["version"] == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: network(nn.Tanh),
            r"network 1 computes aten.tanh.* in '2' where .* aten.relu",
        ),
        (lambda: network(stride=2), "network 1 computes aten.convolution.* in '0' where"),
        (lambda: network(classes=5), r"'5.weight' has shape \(5, 6\) in network 1 and \(4, 6\) in network 0"),
        (lambda: network(width=8), r"'0.weight' has shape \(8, 2, 3, 3\) in network 1"),
        (lambda: {"0.weight": torch.zeros(3)}, "network 1 is of type dict; expected nn.Module"),
        (lambda: nn.Sequential(nn.LazyLinear(3)), "network 1 has parameters without a shape"),
    ],
)
def test_networks_of_other_architectures_are_refused(other, message):
    first = network().eval()
    second = other()
    with pytest.raises((ValueError, UnsupportedOperation), match=message):
        dimat.merge([first, second.eval() if isinstance(second, nn.Module) else second], pixels())


class Skips(nn.Module):
    """A skip that is a matter of an attribute that is no plain value."""

    def __init__(self, choices):
        super().__init__()
        self.choices = choices
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, vectors):
        inner = self.second(self.first(vectors).relu())
        return inner + vectors if self.choices["skip"] else inner


def test_a_skip_that_only_one_network_has_is_found():
    with pytest.raises(UnsupportedOperation, match=r"network 1 computes nothing .* computes aten.add"):
        dimat.merge([Skips({"skip": True}), Skips({"skip": False})], pixels(8, 4))
    assert dimat.merge([Skips({"skip": True}), Skips({"skip": True})], pixels(8, 4)).groups


def test_values_that_are_not_finite_are_named():
    first, second = pair()
    second[1].running_mean[2] = torch.inf
    with pytest.raises(ValueError, match=r"models: '1.running_mean' of network 1 holds values"):
        dimat.merge([first, second], pixels())


def test_places_that_differ_are_refused():
    models = [nn.Sequential(nn.Conv2d(2, 3, 3), Places(order)) for order in ([0, 1, 2], [2, 1, 0])]
    with pytest.raises(ValueError, match=r"models: '1.order' holds whole numbers, such as places"):
        dimat.merge(models, pixels())
    assert dimat.merge([models[0], copy.deepcopy(models[0])], pixels()).groups == []


class Places(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.register_buffer("order", torch.tensor(order))

    def forward(self, features):
        return features[:, self.order].mean((2, 3))


class Broken(nn.Module):
    def forward(self, images):
        raise KeyError("a secret")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Broken, r"module '1': a first batch ended with KeyError \('a secret'\); expected a network"),
        (lambda: nn.Linear(7, 3), r"module '1': a first batch ended with RuntimeError \(mat1 and"),
    ],
)
def test_failures_of_networks_are_named(layer, message):
    models = [nn.Sequential(nn.Conv2d(2, 3, 3), layer()) for _ in range(2)]
    with pytest.raises(UnsupportedOperation, match=f"Sequential, {message}"):
        dimat.merge(models, pixels())


def test_what_is_not_known_stays_and_is_said():
    merged = dimat.merge(pair(Spectrum), pixels())
    assert [group.size for group in merged.groups] == [5]
    assert merged.unknown == {"aten._fft_r2c.default": "fft_fft"}


class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 5, 1), nn.Linear(5, 2)

    def forward(self, images):
        features = torch.fft.fft(self.first(images), dim=1).abs()
        return self.last(self.second(features).relu().mean((2, 3)))
