"""PLeaS: the weights of every layer, against those that numpy finds from stored activations."""

import copy

import numpy
import pytest
import torch
from torch import nn

import dimat
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.merged import with_state
from dimat.merging.calibration.least_squares import RIDGE, fit_layers, fitted_layers, observed
from dimat.models.groups import permute, random_permutations

WEIGHTS = [0.3, 0.7]
PIXELS = torch.randn(50, 2, 7, 6, generator=torch.Generator().manual_seed(0))


def parents_of(build, count=2):
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        model = build()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.normal_(module.running_mean)
        found.append(model.eval())
    return found


def merged_from(parents, weights):
    states = [parent.state_dict() for parent in parents]
    return with_state(parents[0], weighted_average(states, weights)).eval()


def stored(model, names):
    """What each named layer takes and puts out."""
    found = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda layer, inputs, output, name=name: found.update({name: (inputs[0], output)})
        )
        for name in names
    ]
    with torch.no_grad():
        model(PIXELS)
    for hook in hooks:
        hook.remove()
    return found


def batches():
    return PIXELS.split(17)


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), padding_mode="reflect"), nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding="same", groups=3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5), nn.ReLU(),
        nn.Linear(5, 3, bias=False),
    )  # fmt: skip


CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": (1, 3), "stride": (2, 1), "padding": (0, 2), "bias": False},
    {"kernel_size": 2, "dilation": 2, "padding": 1, "padding_mode": "circular"},
    {"kernel_size": 3, "padding": "same", "groups": 2},
    {"kernel_size": 3, "padding": "valid", "groups": 4, "padding_mode": "replicate"},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_what_an_output_is_made_of_gives_it(options):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, **options).double()
    images = torch.randn(3, 4, 7, 6, dtype=torch.float64)
    rows = observed(layer, images)
    parts = [layer.weight.flatten(1).view(layer.groups, 8 // layer.groups, -1).mT]
    if layer.bias is not None:
        parts.append(layer.bias.view(layer.groups, 1, -1))
    found = (rows @ torch.cat(parts, 1)).transpose(0, 1).flatten(1)
    expected = layer(images).movedim(1, -1).reshape(-1, 8)
    torch.testing.assert_close(found, expected)


def test_layers_have_the_weights_that_numpy_finds():
    parents = parents_of(convolutional)
    model = merged_from(parents, WEIGHTS)
    averages = copy.deepcopy(model)
    names = fitted_layers(model, PIXELS)
    assert names == ["0", "3", "5", "8", "10"]
    fit_layers(model, parents, WEIGHTS, batches)
    seen = [stored(parent, names) for parent in parents]
    for name in names:
        layer, average = model.get_submodule(name), averages.get_submodule(name)
        taken = sum(w * one[name][0].double() for w, one in zip(WEIGHTS, seen, strict=True))
        given = sum(w * one[name][1].double() for w, one in zip(WEIGHTS, seen, strict=True))
        outputs = layer.weight.shape[0]
        rows = [each.numpy() for each in observed(layer, taken)]
        given = given.movedim(1, -1).reshape(-1, len(rows), outputs // len(rows)).numpy()
        for group, matrix in enumerate(rows):
            mine = slice(group * outputs // len(rows), (group + 1) * outputs // len(rows))
            before, after = (
                numpy.hstack([
                    each.weight[mine].detach().flatten(1).double().numpy(),
                    *([] if each.bias is None else [each.bias[mine, None].detach().double().numpy()]),
                ]).T
                for each in (average, layer)
            )  # fmt: skip
            ridge = RIDGE * numpy.mean(numpy.square(matrix).sum(0))
            expected, *_ = numpy.linalg.lstsq(
                numpy.vstack([matrix, ridge**0.5 * numpy.eye(matrix.shape[1])]),
                numpy.vstack([given[:, group], ridge**0.5 * before]),
            )
            numpy.testing.assert_allclose(after, expected, rtol=2e-4, atol=2e-5)
            residual = numpy.square(matrix @ after - given[:, group]).sum()
            assert residual < 0.9 * numpy.square(matrix @ before - given[:, group]).sum()


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.0, 1.0]])
def test_the_merge_with_all_weight_on_one_parent_is_it(weights):
    parents = parents_of(convolutional)
    model = merged_from(parents, weights)
    expected = parents[weights.index(1)]
    fit_layers(model, parents, weights, batches)
    for name, tensor in expected.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), tensor, rtol=1e-3, atol=1e-4)


def test_what_no_image_shows_stays_the_average():
    """A pixel that is always 0, and a network that sees nothing but zeros."""
    parents = parents_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(84, 3, bias=False)))
    model, average = merged_from(parents, WEIGHTS), merged_from(parents, WEIGHTS)
    dark = PIXELS.clone()
    dark[:, 0, 0, 0] = 0
    fit_layers(model, parents, WEIGHTS, lambda: dark.split(20))
    torch.testing.assert_close(model[1].weight[:, 0], average[1].weight[:, 0])
    fit_layers(average, parents, WEIGHTS, lambda: [torch.zeros(4, 2, 7, 6)])
    torch.testing.assert_close(average[1].weight, merged_from(parents, WEIGHTS)[1].weight)


def test_shared_layers_and_those_used_twice_keep_their_averages():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(84, 5)
            self.twice = nn.Linear(5, 5)
            self.one, self.tied = nn.Linear(5, 5), nn.Linear(5, 5)
            self.tied.weight = self.one.weight
            self.last = nn.Linear(5, 3)

        def forward(self, images):
            hidden = self.twice(torch.relu(self.twice(torch.relu(self.first(images.flatten(1))))))
            return self.last(torch.relu(self.tied(torch.relu(self.one(hidden)))))

    parents = parents_of(Twice)
    model = merged_from(parents, WEIGHTS)
    before = copy.deepcopy(model.state_dict())
    fit_layers(model, parents, WEIGHTS, batches)
    changed = {
        name.split(".")[0] for name, each in model.state_dict().items() if not each.equal(before[name])
    }
    assert fitted_layers(model, PIXELS) == ["first", "last"] and changed == {"first", "last"}


def test_shuffled_copies_of_a_network_merge_into_it():
    (network,) = parents_of(convolutional, 1)
    merged = dimat.merge([network, network], PIXELS, repair="least_squares")
    generator = torch.Generator().manual_seed(0)
    other = copy.deepcopy(network)
    orders = random_permutations(merged.groups, generator)
    other.load_state_dict(permute(network.state_dict(), merged.groups, orders))
    again = dimat.merge([network, other], PIXELS, matcher="weight", repair="least_squares")
    for name, tensor in network.named_parameters():
        torch.testing.assert_close(again.model.get_parameter(name), tensor, rtol=1e-3, atol=1e-4)


def test_layers_inside_of_attention_blocks_are_fitted():
    """But for projections of attention, which are not called as layers."""

    def build():
        block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        return nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoder(block, 2, enable_nested_tensor=False))

    parents = parents_of(build)
    images = PIXELS[:, 0]
    model = merged_from(parents, WEIGHTS)
    names = fitted_layers(model, images)
    assert names == ["0", *(f"1.layers.{k}.linear{i}" for k in (0, 1) for i in (1, 2))]
    before = copy.deepcopy(model.state_dict())
    fit_layers(model, parents, WEIGHTS, lambda: images.split(20))
    changed = {name for name, each in model.state_dict().items() if not torch.allclose(each, before[name])}
    # Of the first layer all parents take the same: least squares give the average.
    assert changed == {f"{name}.{kind}" for name in names[1:] for kind in ("weight", "bias")}
