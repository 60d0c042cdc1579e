"""Networks that others wrote: whether their symmetry is found, and how much of them it can move."""

import gc
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from dimat.errors import InputError
from dimat.io.torchvision_import import torchvision_module
from dimat.models.checking import disturbed, outputs, put, tensors_of
from dimat.models.groups import Group, permute, random_permutations
from dimat.models.modes import evaluated
from dimat.models.symmetry import trace

TORCHVISION = {
    "alexnet": 64, "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64, "efficientnet_v2_s": 64,
    "googlenet": 64, "inception_v3": 299, "maxvit_t": 224, "mnasnet0_5": 64, "mobilenet_v2": 64,
    "mobilenet_v3_large": 64, "mobilenet_v3_small": 64, "regnet_x_400mf": 64, "regnet_y_400mf": 64,
    "resnet18": 64, "resnet50": 64, "resnext50_32x4d": 64, "shufflenet_v2_x0_5": 64, "squeezenet1_0": 64,
    "squeezenet1_1": 64, "swin_t": 64, "swin_v2_t": 64, "vgg11": 64, "vgg11_bn": 64, "vit_b_32": 64,
    "wide_resnet50_2": 64,
}  # fmt: skip
"""A network of each family, and the height and width of the images that it is tried on."""
TIMM = (
    "beit_base_patch16_224", "cait_xxs24_224", "coat_tiny", "convmixer_768_32", "convnextv2_atto",
    "crossvit_tiny_240", "deit_tiny_patch16_224", "dpn68", "edgenext_xx_small", "efficientvit_b0",
    "eva02_tiny_patch14_224", "fastvit_t8", "ghostnet_100", "gmlp_s16_224", "hrnet_w18_small", "inception_v4",
    "levit_128", "maxvit_nano_rw_256", "mixer_s32_224", "mobilevit_xxs", "nfnet_l0", "pit_ti_224",
    "poolformer_s12", "repvgg_a0", "resmlp_12_224", "resnetv2_50", "rexnet_100", "seresnet50",
    "swin_tiny_patch4_window7_224", "twins_pcpvt_small", "xcit_nano_12_p16_224",
)  # fmt: skip
"""Networks of timm, each tried on images of its own size."""
CORRECT = 1e-5
"""Greatest relative error of outputs with which a symmetry counts as one."""


@dataclass(frozen=True)
class NetworkRow:
    """What came out for one network.

    ``error`` is the greatest change of an output over the greatest output, when all groups are permuted at
    random, in double precision, and ``share`` that of the parameters which a permutation can move.
    ``attention`` counts layers whose heads can be exchanged, ``unknown`` operations without a rule.
    """

    source: str
    network: str
    size: int
    parameters: int
    groups: int
    attention: int
    share: float
    error: float
    unknown: int
    seconds: float
    problem: str


def measure(source: str, names: Sequence[str]) -> Iterator[NetworkRow]:
    """A row for each network, one network in memory at a time."""
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield row(source, name)
        gc.collect()


def row(source: str, name: str) -> NetworkRow:
    """What comes out for one network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, size = built(source, name)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    start = time.perf_counter()
    try:
        found = trace(model, [images])
        seconds = time.perf_counter() - start
        error = error_of(model, found.groups, images)
    except Exception as mistake:  # a table of what works has a line for what does not
        what = f"{type(mistake).__name__}: {str(mistake).splitlines()[0]}"
        return NetworkRow(source, name, size, parameters, 0, 0, 0.0, float("nan"), 0, 0.0, what)
    problem = f"not reached: {', '.join(found.unreached[:3])}" if found.unreached else ""
    families = len({group.family for group in found.groups if group.family})
    share = moving(model, found.groups) / parameters
    groups, unknown = len(found.groups), len(found.unknown)
    return NetworkRow(
        source, name, size, parameters, groups, families, share, error, unknown, seconds, problem
    )


def built(source: str, name: str) -> tuple[nn.Module, int]:
    """A network with random weights, evaluated, and the height and width of its images."""
    if source == "torchvision":
        options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        if name == "vit_b_32":
            options["image_size"] = TORCHVISION[name]
        return getattr(torchvision_module("models"), name)(**options).eval(), TORCHVISION[name]
    torchvision_module("models")
    try:
        timm = import_module("timm")
    except ImportError:
        raise InputError("--source: timm is not installed; expected torchvision, or timm installed") from None
    model = timm.create_model(name, pretrained=False).eval()
    return model, model.default_cfg["input_size"][-1]


@torch.no_grad()
def error_of(model: nn.Module, groups: Sequence[Group], images: torch.Tensor) -> float:
    """Greatest change of an output over the greatest output when channels are exchanged at random."""
    network, given = disturbed(model, [images])
    with evaluated(network):
        before = outputs(network, given)
        orders = random_permutations(groups, torch.Generator().manual_seed(0))
        put(network, permute(tensors_of(network), groups, orders))
        after = outputs(network, given)
    return float((after - before).abs().max() / before.abs().max())


def moving(model: nn.Module, groups: Sequence[Group]) -> int:
    """How many entries of parameters a permutation can move."""
    masks: dict[str, torch.Tensor] = {}
    parameters = dict(model.named_parameters())
    for group in groups:
        for member in group.members:
            if member.name in parameters:
                shape = parameters[member.name].shape
                mask = masks.setdefault(member.name, torch.zeros(shape, dtype=torch.bool))
                rows = member.rows_of(mask).movedim(member.axis, 0)
                rows[member.index(group.size).flatten()] = True
    return sum(int(mask.sum()) for mask in masks.values())
