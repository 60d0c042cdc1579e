"""What the runs of a study cost: hours and energy by device, and operations as counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.outlines import data_outline
from dimat.experiment.runs import Pretrained, Run
from dimat.experiment.work import Images, Work, images_in, run_work, start_work
from dimat.io.files import read_json

GPU_WATTS = 700.0
"""Thermal design power of an H100 or H200 SXM, by NVIDIA's data sheets."""
CPU_WATTS = 280 / 64
"""Of a thread: that of an AMD EPYC 7763 over its cores, by AMD's data sheet."""
POWER_FROM = (
    f"{GPU_WATTS:g} W of a GPU, the thermal design power of an H100 or H200 SXM by NVIDIA's data sheets, and "
    f"{CPU_WATTS:.3g} W of a thread of a CPU, that of an AMD EPYC 7763 over its cores by AMD's"
)
"""Both, as the paper names them."""


@dataclass(frozen=True)
class Spent:
    """Of a job: seconds and watt-seconds by device; a start does not record its time."""

    operations: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    joules: float = 0.0


def costs_of(study: Study, layout: Layout) -> dict[str, Spent]:
    """By id, of every run, trial and start; what several studies share is in each of them."""
    images = {id: images_in(data_outline(layout, id)["shapes"]) for id in study.prepared}

    def counted(job: Pretrained) -> float:
        seen: Images = images[job.partitioned.prepared.id]
        work, _ = run_work(job, seen) if isinstance(job, Run) else start_work(job, seen)
        return operations(work)

    found = {id: Spent(counted(start)) for id, start in study.pretrained.items()}
    trials = [trial for tuned in study.tuned.values() for trial in tuned.trials().values()]
    for run in (*study.runs.values(), *trials):
        made = layout.run_provenance(run.id)
        if made.exists():  # a trial that diverged has none
            found[run.id] = _recorded(counted(run), read_json(made))
    return found


def _recorded(counted: float, made: Mapping[str, Any]) -> Spent:
    """Each machine's seconds are those until the next one took over."""
    machines = made["made_on"]
    starts = [machine.get("after_seconds", 0.0) for machine in machines]
    seconds: dict[str, float] = {}
    joules = 0.0
    for machine, start, end in zip(machines, starts, [*starts[1:], made["seconds"]], strict=True):
        seconds[machine["device"]] = seconds.get(machine["device"], 0.0) + end - start
        joules += (end - start) * watts(machine)
    return Spent(counted, seconds, joules)


def watts(machine: Mapping[str, Any]) -> float:
    """The power of a device at work, at most."""
    return CPU_WATTS * machine["threads"] if machine["device"].startswith("cpu") else GPU_WATTS


def operations(work: Work) -> float:
    """Floating-point operations of some work, a multiplication and an addition being two."""
    passed = (work.steps, work.evaluated, work.merged, work.fitted)
    return sum(each.operations for each in passed) + work.products + work.cubes


def total(costs: Iterable[Spent]) -> dict[str, Any]:
    """The sum: hours by device, operations, kilowatt-hours."""
    costs = list(costs)
    hours: dict[str, float] = {}
    for each in costs:
        for device, seconds in each.seconds.items():
            hours[device] = hours.get(device, 0.0) + seconds / 3600
    return {
        "hours": hours,
        "operations": sum(each.operations for each in costs),
        "kilowatt_hours": sum(each.joules for each in costs) / 3.6e6,
    }
