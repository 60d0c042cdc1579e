"""Operations and bytes a second, and seconds of a call, that explain how long networks take here."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy
import torch

from benchmarks.measuring import clock, in_fresh_process
from benchmarks.random_networks import random_networks
from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.data.augmentation import Augmentation
from dimat.experiment.devices import prepare_device
from dimat.experiment.network_cost import cost_of
from dimat.experiment.throughput import Device, Speed, name_of
from dimat.experiment.work import TOUCHED, Amount, gradient_steps, passes
from dimat.merging.calibration.recalibration import recalibrate
from dimat.models import AnyModel, Plain, ResNet20

PRECISIONS = ("float32", "bfloat16")
STEPS = {"cpu": 2, "cuda": 20}
"""Steps, and batches of a pass, that are timed together: on a GPU enough that steps are recorded, too."""
PRODUCT = {"cpu": (2**15, 64), "cuda": (2**17, 256)}
"""Observations and channels of the products of features that are timed."""
SQUARE = {"cpu": 512, "cuda": 8192}
"""Rows and columns of matrices whose product, and whose copy, no network's pass outruns."""


@dataclass(frozen=True)
class Sample:
    """A network whose steps and passes are timed: one in which something else dominates."""

    model: AnyModel
    size: int
    batch: int


SAMPLES = {
    "cpu": (
        Sample(Plain(widths=(4, 6)), 8, 10),
        Sample(Plain(), 8, 100),
        Sample(Plain(widths=(32, 64, 128)), 16, 25),
        Sample(ResNet20(), 16, 10),
        Sample(ResNet20(), 32, 10),
        Sample(ResNet20(width=4), 16, 15),
    ),
    "cuda": (
        Sample(Plain(widths=(4, 6)), 8, 10),
        Sample(Plain(), 32, 100),
        Sample(ResNet20(), 32, 100),
        Sample(ResNet20(width=4), 32, 100),
        Sample(ResNet20(width=8), 32, 100),
        Sample(ResNet20(width=8), 64, 200),
    ),
}
SMALL = SAMPLES["cpu"][:3]


@dataclass(frozen=True)
class Found:
    """A device as measured, and by which factor the worst sample is off, of steps and of passes."""

    device: Device
    worst: dict[str, float]


def measure(threads: int, device: str, repeats: int, samples: tuple[Sample, ...] | None = None) -> Found:
    """Time all samples in a fresh process, and fit the rates to their times."""
    samples = samples or SAMPLES[device]
    name, times, peaks, products = in_fresh_process(time_samples, threads, device, repeats, samples)
    rates: dict[str, dict[str, Speed]] = {"steps": {}, "passes": {}}
    worst = {}
    for kind, precision in times:
        amounts = [amount_of(kind, sample, STEPS[device]) for sample in samples]
        rate, off = fit(amounts, times[kind, precision], peaks[precision])
        rates[kind][precision] = rate
        worst[f"{kind} {precision}"] = off
    found = Device(name, threads * (device == "cpu"), rates["steps"], rates["passes"], products)
    return Found(found, worst)


def amount_of(kind: str, sample: Sample, steps: int) -> Amount:
    """What is computed in what is timed: so many steps, or batches of a pass."""
    cost = cost_of(sample.model, 3, sample.size)  # pyright: ignore[reportArgumentType]  # hashable, as frozen
    if kind == "steps":
        return gradient_steps(cost, steps * sample.batch, steps, steps * TOUCHED)
    return passes(cost, steps * sample.batch, steps)


def fit(amounts: list[Amount], seconds: list[float], peaks: tuple[float, float]) -> tuple[Speed, float]:
    """The rates that explain the ``seconds`` best, in relative terms, and the factor of the worst.

    ``peaks`` are the operations and bytes a second that no rate exceeds.
    """
    from scipy.optimize import nnls

    parts = numpy.array([[each.operations, each.bytes, each.calls] for each in amounts])
    relative = parts / numpy.array(seconds)[:, None]
    scale = relative.max(axis=0)
    least = numpy.array([1 / peaks[0], 1 / peaks[1], 1e-9])
    more, _ = nnls(relative / scale, numpy.maximum(1 - relative @ least, 0))
    costs = least + more / scale
    off = relative @ costs
    flops, bandwidth, call = (float(f"{each:.3g}") for each in (1 / costs[0], 1 / costs[1], costs[2]))
    return Speed(flops, bandwidth, call), float(max(off.max(), 1 / off.min()))


def time_samples(
    threads: int, device: str, repeats: int, samples: tuple[Sample, ...]
) -> tuple[str, dict[tuple[str, str], list[float]], dict[str, tuple[float, float]], float]:
    """The device's name, seconds of each sample, peaks by precision, and products of features a second.

    Seconds are the least of ``repeats``. Repetitions go through everything in turn, as machines drift and
    other work comes and goes.
    """
    torch.set_num_threads(threads)
    on = torch.device(device)
    prepare_device(on, deterministic=True)
    work: dict[tuple[str, str, int], Callable[[], object]] = {}
    for precision in PRECISIONS:
        for place, sample in enumerate(samples):
            networks = build(sample, precision, on)
            work["steps", precision, place] = lambda networks=networks: networks.train(1)
            work["passes", precision, place] = lambda networks=networks, low=precision: look(networks, low)
        work["square", precision, 0] = square_of(on, precision)
    work["copy", "", 0] = copy_of(on)
    work["products", "", 0] = products_of(on)
    least = dict.fromkeys(work, math.inf)
    for repeat in range(repeats + 1):
        for key, call in work.items():
            began = clock(on)
            call()
            if repeat:  # in the first, libraries load and choose their kernels
                least[key] = min(least[key], clock(on) - began)
    times = {
        (kind, precision): [least[kind, precision, place] for place in range(len(samples))]
        for kind in ("steps", "passes")
        for precision in PRECISIONS
    }
    rows = SQUARE[device]
    bandwidth = 2 * 4 * rows**2 / least["copy", "", 0]
    flops = {precision: 2 * rows**3 / least["square", precision, 0] for precision in PRECISIONS}
    # CPUs without arithmetic of their own for bfloat16 compute convolutions in float32 instead.
    peaks = {precision: (max(each, flops["float32"]), bandwidth) for precision, each in flops.items()}
    observations, channels = PRODUCT[device]
    operations = 2 * observations * channels**2
    return name_of(on), times, peaks, float(f"{operations / least['products', '', 0]:.3g}")


def build(sample: Sample, precision: str, device: torch.device) -> Networks:
    """One agent with random images, enough for the steps that are timed."""
    training = Training.model_validate(
        {"batch_size": sample.batch, "epochs": 1, "precision": precision, "optimizer": {"name": "adam"}}
    )
    return random_networks(
        sample.model,
        1,
        STEPS[device.type] * sample.batch,
        sample.size,
        device,
        training,
        Augmentation(flip=True, crop=2),
        recorded=device.type == "cuda",
    )


def look(networks: Networks, precision: str) -> None:
    """A pass of merging: images are drawn, normalized, and looked at."""
    images = networks.task.inputs([0], None, False, torch.Generator().manual_seed(0))
    with torch.autocast(networks.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        recalibrate(networks.models[0], images())


def products_of(device: torch.device) -> Callable[[], torch.Tensor]:
    """The product of two networks' features, shifted as they are for their statistics."""
    shape = PRODUCT[device.type]
    features, shift = torch.rand(shape, device=device), torch.rand(shape[1], device=device)
    shifted = torch.empty_like(features)

    def multiply() -> torch.Tensor:
        torch.sub(features, shift, out=shifted)
        return shifted.T @ shifted

    return multiply


def square_of(device: torch.device, precision: str) -> Callable[[], torch.Tensor]:
    """The product of two large matrices."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    matrix = torch.rand(SQUARE[device.type], SQUARE[device.type], device=device).to(kind)
    return lambda: matrix @ matrix


def copy_of(device: torch.device) -> Callable[[], torch.Tensor]:
    """The copy of a large matrix."""
    matrix = torch.rand(SQUARE[device.type], SQUARE[device.type], device=device)
    other = torch.empty_like(matrix)
    return lambda: other.copy_(matrix)
