"""Images per second of training, next to a plain loop and to the steps that training cannot do without."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks.measuring import clock, in_fresh_process
from benchmarks.plain_training import CROP, PlainTraining
from benchmarks.random_networks import random_networks
from benchmarks.side_by_side import train_by_vmap, train_in_turns
from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.data.augmentation import Augmentation
from dimat.experiment.devices import prepare_device
from dimat.models import Plain, ResNet20
from dimat.tasks.images import Batch, ImageTask

MODELS = {"resnet20": ResNet20(width=1), "resnet20x8": ResNet20(width=8), "plain": Plain()}
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
PLAIN, BARE, NETWORKS = "plain loop", "bare step", "networks"
RECORDED, VMAP, STREAMS = "recorded", "vmap", "streams"
Method = tuple[str, Precision]
"""How agents are trained, and in which precision."""


@dataclass(frozen=True)
class TrainingCase:
    """What is trained, on which images, and on what; ``images`` are those of all agents.

    With ``cpu_time``, seconds are those that the process got from the CPU; ``deterministic`` is the setting
    of configurations.
    """

    model: str
    agents: int
    images: int
    size: int
    batch: int
    threads: int
    device: str
    cpu_time: bool = False
    deterministic: bool = True


@dataclass(frozen=True)
class TrainingRow:
    """One line of the table; ratios are of speeds, to the plain loop and to bare steps of this precision."""

    case: TrainingCase
    precision: str
    method: str
    images_per_second: float
    to_plain: float
    to_bare: float


def measure(case: TrainingCase, repeats: int) -> list[TrainingRow]:
    """Every method on the same networks and images."""
    seconds = in_fresh_process(time_methods, case, repeats)
    return [
        TrainingRow(
            case,
            precision,
            method,
            case.images / least,
            seconds[PLAIN, "float32"] / least,
            seconds[BARE, precision] / least,
        )
        for (method, precision), least in seconds.items()
    ]


def methods(case: TrainingCase) -> list[Method]:
    """All that is measured."""
    found: list[Method] = [(PLAIN, "float32")]
    for precision in PRECISIONS:
        found.extend([(BARE, precision), (NETWORKS, precision)])
        if case.device == "cuda":
            found.append((RECORDED, precision))
        if case.agents > 1 and precision == "float32":
            found.append((VMAP, precision))
        if case.agents > 1 and case.device == "cuda":
            found.append((STREAMS, precision))
    return found


def time_methods(case: TrainingCase, repeats: int) -> dict[Method, float]:
    """Seconds of an epoch of all agents, the least of ``repeats``; methods take turns, as machines drift."""
    device = torch.device(case.device)
    prepare_device(device, case.deterministic)
    epochs = {method: prepare(case, *method) for method in methods(case)}
    now = time.process_time if case.cpu_time else lambda: clock(device)
    for epoch in epochs.values():
        epoch()  # libraries load and choose their kernels
    least = dict.fromkeys(epochs, math.inf)
    for _ in range(repeats):
        for method, epoch in epochs.items():
            started = now()
            epoch()
            least[method] = min(now() - started, least[method])
    return least


def prepare(case: TrainingCase, method: str, precision: Precision) -> Callable[[], None]:
    """A function that trains all agents for one epoch."""
    networks = build(case, precision, recorded=method == RECORDED)
    if method == PLAIN:
        return PlainTraining(networks, MODELS[case.model]).epoch
    if method == BARE:
        return bare_steps(networks)
    train = {VMAP: train_by_vmap, STREAMS: train_in_turns}.get(method, Networks.train)
    return lambda: train(networks, round=1)


def build(case: TrainingCase, precision: Precision, *, recorded: bool = False) -> Networks:
    """Random networks with random images."""
    torch.set_num_threads(case.threads)
    return random_networks(
        MODELS[case.model],
        case.agents,
        case.images,
        case.size,
        torch.device(case.device),
        Training(batch_size=case.batch, epochs=1, precision=precision),
        Augmentation(flip=True, crop=CROP),
        recorded=recorded,
    )


def bare_steps(networks: Networks) -> Callable[[], None]:
    """Forward, backward and optimizer step, as many as in an epoch, on one batch that is ready in memory."""
    task = networks.task
    assert isinstance(task, ImageTask)
    held = task.holdings[0][: task.batch_size]
    batch = Batch(task.data.normalized(task.data.train_images[held]), task.data.train_labels[held])

    def epoch() -> None:
        for network, optimizer, share in zip(
            networks.models, networks.optimizers, task.holdings, strict=True
        ):
            network.train()
            for _ in range(len(share) // task.batch_size):
                loss = task.loss(network, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return epoch
