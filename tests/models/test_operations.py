"""Operations of all kinds: channels are followed through them, and the function stays the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from dimat.models.checking import check_symmetry
from dimat.models.groups import permute, random_permutations
from dimat.models.symmetry import permutation_groups


class Does(nn.Module):
    """What a function of the layers and the input says."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, nn.Parameter):
                self.register_parameter(name, layer)
            else:
                self.add_module(name, layer)

    def forward(self, inputs):
        return self.function(self, inputs)


class Scaled(nn.Conv2d):
    """A subclass with a weight of its own making, as in networks with standardized weights."""

    def forward(self, inputs):
        weight = functional.batch_norm(self.weight.flatten(1)[None], None, None, training=True)
        return functional.conv2d(inputs, weight.view_as(self.weight), self.bias, self.stride, self.padding)


def shuffled(inputs, groups):
    batch, channels, height, width = inputs.shape
    return inputs.view(batch, groups, channels // groups, height, width).transpose(1, 2).flatten(1, 2)


def dropped(inputs, share, training):
    """Stochastic depth of whole images."""
    if not training:
        return inputs
    noise = inputs.new_empty(len(inputs), 1, 1, 1).bernoulli_(1 - share)
    return inputs * noise / (1 - share)


CONV = nn.Conv2d
IMAGES, TOKENS, SERIES = (3, 8, 8), (6, 5), (5, 4)

CASES = {
    "padding": (
        lambda n, x: n.b(functional.pad(n.a(x).relu(), (1, 2, 0, 1)) + 0.5),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 3)},
        IMAGES,
        6,
    ),
    "reflected": (
        lambda n, x: n.b(n.pad(n.a(x)).tanh()),
        {"a": lambda: CONV(3, 6, 3), "pad": lambda: nn.ReflectionPad2d(2), "b": lambda: CONV(6, 2, 3)},
        IMAGES,
        6,
    ),
    "zeros beside channels": (
        lambda n, x: n.c(functional.pad(n.a(x), (0, 0, 0, 0, 2, 2)) + n.b(x)),
        {"a": lambda: CONV(3, 4, 3), "b": lambda: CONV(3, 8, 3), "c": lambda: CONV(8, 2, 1)},
        IMAGES,
        4 + 4,  # those with a partner, and those without
    ),
    "up again": (
        lambda n, x: n.d(
            torch.cat([n.c(n.b(n.a(x).relu())), functional.interpolate(n.a(x), scale_factor=1)], 1)
        ),
        {
            "a": lambda: CONV(3, 6, 3, padding=1),
            "b": lambda: CONV(6, 8, 2, 2),
            "c": lambda: nn.ConvTranspose2d(8, 5, 2, 2),
            "d": lambda: CONV(11, 2, 1),
        },
        IMAGES,
        6 + 8 + 5,
    ),
    "each channel transposed": (
        lambda n, x: n.c(n.b(n.a(x).relu()).relu()),
        {
            "a": lambda: CONV(3, 6, 3),
            "b": lambda: nn.ConvTranspose2d(6, 6, 2, 2, groups=6),
            "c": lambda: CONV(6, 2, 1),
        },
        IMAGES,
        6,
    ),
    "pixels from channels": (
        lambda n, x: n.b(functional.pixel_shuffle(n.a(x), 2).relu()),
        {"a": lambda: CONV(3, 12, 3), "b": lambda: CONV(3, 2, 1)},
        IMAGES,
        3,
    ),
    "channels from pixels": (
        lambda n, x: n.b(functional.pixel_unshuffle(n.a(x).relu(), 2)),
        {"a": lambda: CONV(3, 5, 3), "b": lambda: CONV(20, 2, 1)},
        IMAGES,
        5,
    ),
    "shuffled": (
        lambda n, x: n.c(shuffled(n.b(shuffled(n.a(x).relu(), 2)), 3)),
        {"a": lambda: CONV(3, 12, 3), "b": lambda: CONV(12, 12, 3, groups=3), "c": lambda: CONV(12, 2, 1)},
        IMAGES,
        24,
    ),
    "dropped at random": (
        lambda n, x: n.b(n.first(x) + dropped(n.norm(n.a(n.first(x))), 0.2, n.training)),
        {
            "first": lambda: CONV(3, 6, 3),
            "a": lambda: CONV(6, 6, 3, padding=1),
            "norm": lambda: nn.BatchNorm2d(6),
            "b": lambda: CONV(6, 2, 1),
        },
        IMAGES,
        6,
    ),
    "activations": (
        lambda n, x: n.b(functional.mish(n.prelu(n.a(x)).clamp(-1, 2)) + functional.softplus(n.a(x)) ** 2),
        {"a": lambda: CONV(3, 6, 3), "prelu": lambda: nn.PReLU(6), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    "a function with a layer's weight": (
        lambda n, x: functional.conv2d(
            functional.batch_norm(
                functional.conv2d(x, n.a.weight), n.norm.running_mean, n.norm.running_var, n.norm.weight
            ),
            n.b.weight,
        ),
        {
            "a": lambda: CONV(3, 6, 3, bias=False),
            "norm": lambda: nn.BatchNorm2d(6),
            "b": lambda: CONV(6, 2, 1),
        },
        IMAGES,
        6,
    ),
    "weights of a subclass": (
        lambda n, x: n.c(n.b(n.a(x).relu()).relu()),
        {"a": lambda: Scaled(3, 6, 3), "b": lambda: Scaled(6, 5, 3), "c": lambda: CONV(5, 2, 1)},
        IMAGES,
        11,
    ),
    "channels last": (
        lambda n, x: n.b(n.norm(n.a(x).permute(0, 2, 3, 1)).relu() * n.scale).mean((1, 2)),
        {
            "a": lambda: CONV(3, 6, 3),
            "norm": lambda: nn.LayerNorm(6),
            "scale": lambda: nn.Parameter(torch.randn(6)),
            "b": lambda: nn.Linear(6, 2),
        },
        IMAGES,
        6,
    ),
    "gated halves": (
        lambda n, x: n.b(functional.glu(n.a(x), 1)),
        {"a": lambda: CONV(3, 12, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    "gated halves, shuffled": (
        lambda n, x: n.b(functional.glu(shuffled(n.a(x), 4), 1)),
        {"a": lambda: CONV(3, 12, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    "halves that fare differently": (
        lambda n, x: n.b(torch.cat([(halves := n.a(x).chunk(2, 1))[1].tanh(), halves[0]], 1)),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        3 + 3,
    ),
    "mean over deviation": (
        lambda n, x: n.b((y := n.a(x)) / (y.square().mean(1, keepdim=True) + 1e-3).sqrt()),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    "shares over channels": (
        lambda n, x: n.b(n.a(x).softmax(1) * n.a(x).amax(1, keepdim=True)),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    "sums by letters": (
        lambda n, x: torch.einsum("bnc,oc->bno", n.a(x).relu(), n.w).mean(1),
        {"a": lambda: nn.Linear(5, 6), "w": lambda: nn.Parameter(torch.randn(2, 6))},
        TOKENS,
        6,
    ),
    "tokens mixed": (
        lambda n, x: n.c(n.b(n.a(x.transpose(1, 2)).relu()).transpose(1, 2)).mean(1),
        {"a": lambda: nn.Linear(6, 7), "b": lambda: nn.Linear(7, 6), "c": lambda: nn.Linear(5, 2)},
        TOKENS,
        7 + 6,  # tokens are averaged in the end
    ),
    "words": (
        lambda n, x: n.b(functional.gelu(n.a(n.e(x.argmax(-1))))).mean(1),
        {"e": lambda: nn.Embedding(5, 8), "a": lambda: nn.Linear(8, 7), "b": lambda: nn.Linear(7, 2)},
        TOKENS,
        8 + 7,
    ),
    "long memory": (
        lambda n, x: n.b(n.a(x)[0][:, -1]),
        {"a": lambda: nn.LSTM(4, 6, 2, batch_first=True), "b": lambda: nn.Linear(6, 2)},
        SERIES,
        6,
    ),
    "gates": (
        lambda n, x: n.b(n.a(x)[0][:, -1]),
        {"a": lambda: nn.GRU(4, 6, batch_first=True), "b": lambda: nn.Linear(6, 2)},
        SERIES,
        6,
    ),
    "whole cosine": (
        lambda n, x: functional.linear(
            functional.normalize(n.a(x).relu().mean((2, 3))), functional.normalize(n.w)
        ),
        {"a": lambda: CONV(3, 6, 3), "w": lambda: nn.Parameter(torch.randn(2, 6))},
        IMAGES,
        6,
    ),
    "in place": (
        lambda n, x: n.b(n.a(x).add_(n.c(x)).mul_(0.5).relu_()),
        {"a": lambda: CONV(3, 6, 3), "c": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    "control flow that hangs on values": (
        lambda n, x: n.b(n.a(x).relu()) if float(x.sum()) > -1e9 else n.a(x),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        6,
    ),
    # What cannot be exchanged stays, and the rest does not mind.
    "written into a part": (
        lambda n, x: n.c(written(n.a(x)) + n.b(x)),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(3, 6, 3), "c": lambda: CONV(6, 2, 1)},
        IMAGES,
        0,
    ),
    "one for all": (
        lambda n, x: n.b(n.a(x) * n.a(x)[:, 2:3]),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        5,
    ),
    "weights that differ": (
        lambda n, x: n.b(n.a(x) * torch.tensor([1.0, 1, 1, 2, 2, 3]).view(6, 1, 1).to(x)),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        3 + 2,
    ),
    "in turn": (
        lambda n, x: n.b(n.a(x).cumsum(1)),
        {"a": lambda: CONV(3, 6, 3), "b": lambda: CONV(6, 2, 1)},
        IMAGES,
        0,
    ),
    "beside the image": (
        lambda n, x: n.b(torch.cat([n.a(x).relu(), x], 1)),
        {"a": lambda: CONV(3, 6, 3, padding=1), "b": lambda: CONV(9, 2, 1)},
        IMAGES,
        6,
    ),
}


def written(features):
    made = torch.zeros_like(features)
    made[:, :3] += features[:, 3:]
    made[:, 3:] += features[:, :3]
    return made


@pytest.mark.parametrize("case", CASES)
def test_channels_can_be_exchanged(case):
    torch.manual_seed(0)
    function, layers, shape, channels = CASES[case]
    network = Does(function, **{name: build() for name, build in layers.items()}).double().eval()
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    groups = permutation_groups(network, shape)
    assert sum(group.size for group in groups) == channels
    inputs = torch.randn(3, *shape, dtype=torch.float64)
    check_symmetry(network, groups, [inputs])
    with torch.no_grad():
        before = network(inputs)
        for seed in range(2):
            orders = random_permutations(groups, torch.Generator().manual_seed(seed))
            network.load_state_dict(permute(network.state_dict(), groups, orders))
            torch.testing.assert_close(network(inputs), before, rtol=1e-9, atol=1e-9)
