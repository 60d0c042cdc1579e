"""REPAIR and RESCALE against statistics of stored features."""

import copy

import pytest
import torch
from torch import nn

from dimat.merging.averaging.average import weighted_average
from dimat.merging.calibration.recalibration import batch_statistics, recalibrate
from dimat.merging.calibration.renormalization import channel_moments, renormalize, repaired_layers
from dimat.models import Plain, ResNet20, Vit

SHAPE = (3, 8, 8)
WEIGHTS = (0.3, 0.7)

ARCHITECTURES = {
    "no normalization": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(128, 10), nn.ReLU(), nn.Linear(10, 4),
    ),
    "no bias": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
    ),
    "group norm": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
    ),
    "layer norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 9), nn.LayerNorm(9), nn.GELU(), nn.Linear(9, 4)
    ),
    "layer norm, each position": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.LayerNorm((6, 6, 6)), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
    ),
    "group norm, no weights": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6, affine=False), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
    ),
    "depthwise": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)
    ),
    "batch norm": lambda: Plain(widths=(6, 8)).build(3, 4),
    "residual": lambda: ResNet20().build(3, 4),
    "tokens": lambda: Vit(patch=4, width=6, heads=2, depth=1).build(3, 4, SHAPE[1:]),
}  # fmt: skip


def batches_of(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, *SHAPE, generator=generator) for size in sizes]


def random_network(architecture, seed, images):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ARCHITECTURES[architecture]()
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                nn.init.uniform_(parameter, *((0.5, 1.5) if "weight" in name else (-0.3, 0.3)))
    recalibrate(model, images)
    return model.eval()


def merged_from(parents):
    model = copy.deepcopy(parents[0])
    model.load_state_dict(weighted_average([parent.state_dict() for parent in parents], WEIGHTS))
    return model


def stored_moments(model, names, images):
    """Mean and deviation of each channel of the named layers, from stored outputs in double precision."""
    stored = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda layer, inputs, output, name=name: stored.setdefault(name, []).append(
                # Channels first, or, behind layers of tokens, last.
                output.double().transpose(1, -1 if isinstance(layer, nn.Linear | nn.LayerNorm) else 1)
            )
        )
        for name in names
    ]
    with torch.no_grad():
        for batch in images:
            model.eval()(batch)
    for hook in hooks:
        hook.remove()
    rows = {name: torch.cat(outputs).transpose(0, 1).flatten(1) for name, outputs in stored.items()}
    return {name: (row.mean(1), row.std(1, correction=0)) for name, row in rows.items()}


EXPECTED = {
    "no normalization": ["0", "2", "5"],
    "no bias": ["0"],
    "group norm": ["1"],
    "layer norm": ["2"],
    "layer norm, each position": ["0"],
    "group norm, no weights": ["0"],
    "depthwise": ["0", "2"],
    "batch norm": ["features.1", "features.4"],
    "tokens": [
        "patches",
        *(f"blocks.0.{layer}" for layer in ("norm1", "attention.qkv", "attention.output", "norm2")),
        *("blocks.0.perceptron.0", "blocks.0.perceptron.2", "norm"),
    ],
}


@pytest.mark.parametrize("architecture", EXPECTED)
def test_which_layers_are_repaired(architecture):
    assert repaired_layers(ARCHITECTURES[architecture](), SHAPE) == EXPECTED[architecture]


def test_every_normalization_of_a_residual_network_is_repaired():
    model = ARCHITECTURES["residual"]()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert repaired_layers(model, SHAPE) == names


def test_shared_layers_and_logits_stay_as_they_are():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(192, 5)
            self.twice = nn.Linear(5, 5)
            self.last = nn.Linear(5, 2)

        def forward(self, images):
            return self.last(torch.relu(self.twice(torch.relu(self.twice(self.first(images.flatten(1)))))))

    model = Shared()
    tied = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5)
    )
    tied[3].weight = tied[5].weight
    assert "twice" not in repaired_layers(model, SHAPE)
    assert repaired_layers(tied, SHAPE) == []  # tied to the logits, nothing hidden can move
    images = batches_of(20)
    before = copy.deepcopy(model.state_dict())
    renormalize(model, [model, Shared()], WEIGHTS, lambda: images, shift=True)
    for name in ("twice.weight", "twice.bias", "last.weight", "last.bias"):
        assert torch.equal(model.state_dict()[name], before[name])


def test_a_layer_with_another_name_or_a_shared_bias_is_left_alone():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 6),
        nn.ReLU(), nn.Linear(6, 4),
    )  # fmt: skip
    model[3].bias = model[1].bias
    assert repaired_layers(model, SHAPE) == ["5"]
    model[5].copy_of_weight = model[5].weight
    assert repaired_layers(model, SHAPE) == []


def test_in_front_of_a_normalization_used_twice_layers_are_repaired():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.last = nn.Linear(192, 5), nn.Linear(5, 5), nn.Linear(5, 2)
            self.norm = nn.BatchNorm1d(5)

        def forward(self, images):
            hidden = torch.relu(self.norm(self.one(images.flatten(1))))
            return self.last(torch.relu(self.norm(self.other(hidden))))

    assert repaired_layers(Twice(), SHAPE) == ["one", "other"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_moments_equal_those_of_stored_outputs(architecture):
    images = batches_of(9, 4, 1)
    model = random_network(architecture, 0, batches_of(20))
    names = repaired_layers(model, SHAPE)
    expected = stored_moments(model, names, images)
    for name, moments in channel_moments(model, names, lambda: images).items():
        for found, wanted in zip(moments, expected[name], strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shift", [True, False])
def test_channels_get_the_interpolated_statistics(architecture, shift):
    """On one batch, exactly: what the layer puts out has the parents' moments, averaged."""
    images = batches_of(40)
    parents = [random_network(architecture, seed, images) for seed in (0, 1)]
    model = merged_from(parents)
    names = repaired_layers(model, SHAPE)
    wanted = [stored_moments(parent, names, images) for parent in parents]
    renormalize(model, parents, WEIGHTS, lambda: images, shift=shift)
    found = stored_moments(model, names, images)
    for name in names:
        mean, deviation = (
            sum(w * moments[name][k] for w, moments in zip(WEIGHTS, wanted, strict=True)) for k in (0, 1)
        )
        # Batch normalization keeps the unbiased variance, so its output is off by one part in 2 n.
        tolerance = 2e-2 if architecture in ("batch norm", "residual") else 1e-4
        torch.testing.assert_close(found[name][1], deviation, rtol=tolerance, atol=1e-5)
        if shift and model.get_submodule(name).bias is not None:
            torch.testing.assert_close(found[name][0], mean, rtol=tolerance, atol=2 * tolerance)


@pytest.mark.parametrize("architecture", ["no normalization", "layer norm", "group norm", "depthwise"])
def test_rescaling_keeps_the_mean_that_a_layer_has_behind_the_rescaled_ones(architecture):
    images = batches_of(40)
    parents = [random_network(architecture, seed, images) for seed in (0, 1)]
    model, plain = merged_from(parents), merged_from(parents)
    names = repaired_layers(model, SHAPE)
    targets = [channel_moments(parent, names, lambda: images) for parent in parents]
    renormalize(model, parents, WEIGHTS, lambda: images, shift=False)
    furthest = 0.0
    for name in names:
        with torch.no_grad():
            inputs = model[: int(name)](images[0])
            found, kept = (
                network[int(name)](inputs).transpose(0, 1).flatten(1) for network in (model, plain)
            )
        torch.testing.assert_close(found.mean(1), kept.mean(1), rtol=1e-4, atol=1e-5)
        target = sum(w * moments[name][0] for w, moments in zip(WEIGHTS, targets, strict=True))
        furthest = max(furthest, float((kept.mean(1) - target).abs().max()))
    assert furthest > 0.01  # REPAIR would have moved some mean


def test_variance_collapse_is_undone():
    """Networks that have nothing in common average to one that hardly varies, and repaired vary again."""
    images = batches_of(50, 50)
    parents = [random_network("no normalization", seed, images) for seed in (0, 1)]
    model = merged_from(parents)
    names = repaired_layers(model, SHAPE)

    def spread(network):
        return float(stored_moments(network, names[-1:], images)[names[-1]][1].mean())

    collapsed, usual = spread(model), min(spread(parent) for parent in parents)
    assert collapsed < 0.7 * usual
    renormalize(model, parents, WEIGHTS, lambda: images, shift=True)
    assert spread(model) > 0.9 * usual


def test_over_many_batches_the_first_layer_is_exact_and_the_others_nearly():
    images = [batch + step for step, batch in enumerate(batches_of(60, 17, 3))]  # of different statistics
    parents = [random_network("no normalization", seed, images) for seed in (0, 1)]
    model = merged_from(parents)
    names = repaired_layers(model, SHAPE)
    wanted = [stored_moments(parent, names, images) for parent in parents]
    renormalize(model, parents, WEIGHTS, lambda: iter(images), shift=True)
    found = stored_moments(model, names, images)
    for name, tolerance in zip(names, (1e-5, 0.15, 0.15), strict=True):
        for kind in (0, 1):
            expected = sum(w * moments[name][kind] for w, moments in zip(WEIGHTS, wanted, strict=True))
            scale = float(expected.abs().max())
            assert float((found[name][kind] - expected).abs().max()) < tolerance * scale


@pytest.mark.parametrize("architecture", ["no normalization", "layer norm", "group norm", "depthwise"])
@pytest.mark.parametrize("shift", [True, False])
def test_a_network_merged_with_itself_stays_as_it_is(architecture, shift):
    images = batches_of(30)
    parent = random_network(architecture, 0, images)
    model = merged_from([parent, parent])
    renormalize(model, [parent, parent], WEIGHTS, lambda: images, shift=shift)
    with torch.no_grad():
        torch.testing.assert_close(model(images[0]), parent(images[0]), rtol=1e-3, atol=1e-4)


def test_dead_channels_give_no_nan():
    images = batches_of(20, 10)
    parents = [random_network("no normalization", seed, images) for seed in (0, 1)]
    with torch.no_grad():
        for parent in parents:
            parent[0].weight[2] = 0  # never varies
            parent[2].weight[1], parent[2].bias[1] = 0, 0  # nor does this, at zero
        parents[1][2].weight[3] = 0  # one parent varies, the other does not
    model = merged_from(parents)
    renormalize(model, parents, WEIGHTS, lambda: images, shift=True)
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    mean = sum(w * float(parent[0].bias[2].detach()) for w, parent in zip(WEIGHTS, parents, strict=True))
    assert float(model[0].bias[2].detach()) == pytest.approx(mean, abs=1e-5)


def test_modes_and_momenta_return_even_after_an_error():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), nn.Dropout(), nn.Flatten()
    )
    model.train()
    model[3].eval()
    images = batches_of(8, 4)
    with batch_statistics(model) as count:
        assert [module.training for module in model] == [False, True, False, False, False]
        count(8)
        model(images[0])
        assert model[1].momentum == 1
        count(4)
        assert model[1].momentum == pytest.approx(1 / 3)
    assert [module.training for module in model] == [True, True, True, False, True]
    assert model[1].momentum == 0.3
    network = nn.Sequential(model, nn.Linear(144, 2))
    with pytest.raises(RuntimeError):
        renormalize(network, [network], [1.0], lambda: iter([images[0], torch.zeros(2, 5, 8, 8)]), shift=True)
    assert [module.training for module in model] == [True, True, True, False, True]
    assert model[1].momentum == 0.3
    assert not any(module._forward_hooks for module in network.modules())


def test_an_error_while_the_merged_network_is_corrected_leaves_no_trace_of_the_correction():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )
    model.train()
    model[2].eval()
    parameters = [parameter.clone() for parameter in model.parameters()]
    passes = iter([batches_of(8), batches_of(8), [*batches_of(8), torch.zeros(2, 5, 8, 8)]])
    with pytest.raises(RuntimeError):  # the first two passes look at the shape and at the parent
        renormalize(model, [copy.deepcopy(model)], [1.0], lambda: next(passes), shift=True)
    assert next(passes, None) is None
    assert [module.training for module in model] == [True, True, False, True, True]
    assert model[1].momentum == 0.3
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(*pair) for pair in zip(parameters, model.parameters(), strict=True))


def test_dropout_takes_no_part():
    def network():
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.Dropout(), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5), nn.Dropout(),
            nn.ReLU(), nn.Flatten(), nn.Linear(80, 4),
        )  # fmt: skip

    images = batches_of(20, 10)
    parents = [network().train() for _ in WEIGHTS]
    models = [merged_from(parents).train() for _ in range(2)]
    for model in models:
        renormalize(model, parents, WEIGHTS, lambda: images, shift=True)
    for one, other in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(one, other)
    assert all(module.training for model in (*models, *parents) for module in model.modules())
