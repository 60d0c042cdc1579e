"""How fast devices are: measured by `dimat bench throughput`, and kept in throughput.json beside this file.

A pass of a network takes operations / `flops` + bytes / `bandwidth` + calls of layers x `call` seconds (see
`work`). Which of the three dominates depends on the network: large ones compute, small ones move features,
and the smallest wait for their layers to be called.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from dimat.errors import InputError
from dimat.experiment.provenance import device_name
from dimat.experiment.work import Amount
from dimat.io import files

TABLE = Path(__file__).with_name("throughput.json")


@dataclass(frozen=True)
class Speed:
    """Operations a second, bytes a second, and seconds that a call of a layer takes."""

    flops: float
    bandwidth: float
    call: float

    def seconds(self, amount: Amount) -> float:
        """How long an amount of work takes."""
        return amount.operations / self.flops + amount.bytes / self.bandwidth + amount.calls * self.call

    def times(self, factor: float) -> "Speed":
        """So many times the operations and bytes a second."""
        return Speed(self.flops * factor, self.bandwidth * factor, self.call)


@dataclass(frozen=True)
class Device:
    """What is known of a device; ``threads`` are those of a CPU, 0 for a GPU.

    ``steps`` and ``passes`` are the rates of gradient steps and of forward passes in each precision,
    ``products`` operations a second in products of features, always float32. ``measured`` says when, with
    which ``command`` and what else went on; of a device that was not measured it is empty.
    """

    name: str
    threads: int
    steps: Mapping[str, Speed]
    passes: Mapping[str, Speed]
    products: float
    measured: str = ""
    command: str = ""

    def with_threads(self, threads: int) -> "Device":
        """The same CPU with another number of threads."""
        if not self.threads or threads == self.threads:
            return self
        factor = threads / self.threads
        steps, passes = (
            {precision: rate.times(factor) for precision, rate in rates.items()}
            for rates in (self.steps, self.passes)
        )
        return replace(self, threads=threads, steps=steps, passes=passes, products=self.products * factor)


def _guessed(name: str, threads: int, rate: Speed, products: float) -> Device:
    rates = {"float32": rate, "bfloat16": rate}
    return Device(name, threads, rates, rates, products)


GUESSES = {
    "cpu": _guessed("a CPU that is not in the table", 1, Speed(1e10, 1e9, 5e-5), 5e9),
    "cuda": _guessed("a GPU that is not in the table", 0, Speed(5e13, 5e11, 1e-4), 1e13),
}
"""Conservative guesses, by the kind of device: an old CPU core, a GPU for data centres of some years ago."""


@cache
def known_devices(table: Path = TABLE) -> dict[str, Device]:
    """The devices in the table, by name."""
    found = {}
    for about in files.read_json(table)["devices"] if table.is_file() else ():
        for key in ("steps", "passes"):
            about[key] = {precision: Speed(**rate) for precision, rate in about[key].items()}
        found[about["name"]] = Device(**about)
    return found


def write_device(device: Device, table: Path = TABLE) -> None:
    """Add a device to the table, or measure it anew."""
    devices = dict(known_devices(table))
    devices[device.name] = device
    files.write_json(table, {"devices": [asdict(devices[name]) for name in sorted(devices)]})
    known_devices.cache_clear()


def named_device(name: str) -> Device:
    """The device of the table with this name, or a part of it; `cpu` and `cuda` are the guesses."""
    if name in GUESSES:
        return GUESSES[name]
    found = [known for known in known_devices() if name.lower() in known.lower()]
    if len(found) != 1:
        expected = ", ".join([*known_devices(), *GUESSES])
        raise InputError(f"--device: {name!r} is no device of the table; expected one of {expected}")
    return known_devices()[found[0]]


def this_device(device: torch.device) -> Device:
    """What is known of a device of this machine: measured, or guessed."""
    return known_devices().get(name_of(device), GUESSES[device.type])


def slowest(kind: Literal["cpu", "cuda"]) -> Device:
    """The slowest measured device of a kind, for jobs that run who knows where; else the guess."""
    known = [device for device in known_devices().values() if (device.threads == 0) == (kind == "cuda")]
    if not known:
        return GUESSES[kind]
    return min((device.with_threads(1) for device in known), key=lambda each: each.steps["float32"].flops)


def name_of(device: torch.device) -> str:
    """The name of a device as the table has it: of a CPU, its model."""
    if device.type == "cuda":
        return device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{device_name(device)} {models[0]}" if models else device_name(device)
