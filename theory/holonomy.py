"""What the permutations are that matching finds between real networks: readings of the gap, orbits, cycles.

The networks are those that all runs of a study start from, trained apart; what is measured is their first
merge, by the merging engine itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas
import torch
from numpy import ndarray
from tqdm import tqdm

from dimat.agents.networks import Fleet
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.config import Run
from dimat.experiment.records import identity
from dimat.experiment.runner import Driver
from dimat.merging.merge import match_neighbours
from dimat.merging.options import Merge
from dimat.models.symmetry import permute
from dimat.tasks.evaluation import disagreement
from dimat.topology import second_eigenvalue
from theory.checks import Row
from theory.gap import gap_row, lower, upper
from theory.lift import Lift
from theory.permutations import of_group, of_parameters
from theory.readings import from_mean, of_disagreement
from theory.report import read_table
from theory.verdicts import spectral_verdict

ALL = "all parameters"
MOST_ENTRIES = 2**26
"""Of all permutations of all parameters: beyond (half a gibibyte), only layers are measured."""


@dataclass(frozen=True)
class Measured:
    """The merge operator on the ``size`` channels of one ``layer`` (a group that moves together), or on all.

    ``closed_share`` is the mean over fundamental cycles of the share of coordinates that return to
    themselves (`None` without cycles), ``orbits`` the number of orbits. Readings of sqrt(rho') are those of
    `theory.readings`, and ``low`` and ``high`` enclose the first of them, or an eigenvalue of W that it is no
    smaller than; ``relation`` is what that shows. ``disagreement_before`` and ``disagreement_after`` are
    (1/N) sum_i |x_i - xbar|^2 of all parameters as they stand, and in frames along a spanning tree. ``links``
    are counted in both directions, ``network_bytes`` are those of one network as it is sent.
    """

    layer: str
    size: int
    root: float
    orbits: int | None = None
    closed_share: float | None = None
    eigenvalue: float | None = None
    low: float | None = None
    high: float | None = None
    relation: str = ""
    from_mean: float | None = None
    of_disagreement: float | None = None
    disagreement_before: float | None = None
    disagreement_after: float | None = None
    links: int | None = None
    network_bytes: int | None = None


IDENTITY = ("start", "data", "model", "partition", "graph", "agents", "matching", "merge", "seed")
"""Columns that say whose first merge it is; see `dimat.experiment.records`."""
COLUMNS = tuple(field.name for field in fields(Measured))


def holonomy_table(runs: list[Run], driver: Driver) -> pandas.DataFrame:
    """What `measure` finds of the first merges of ``runs`` that have one start."""
    fleet = driver.started(runs[0].start)
    lines = []
    for run in tqdm(runs, "first merges", unit="merge", disable=None):
        about = identity(run, fleet.data.description) | {"start": run.start.id}
        for row in measure(fleet, run.graph.mixing_matrix(run.agents), run.merge):
            lines.append({name: about[name] for name in IDENTITY} | asdict(row))
    return pandas.DataFrame(lines, columns=[*IDENTITY, *COLUMNS])


def read_holonomy(paths: Iterable[Path]) -> pandas.DataFrame:
    """The tables of several starts, joined; `InputError` if one is missing or damaged."""
    text = {*IDENTITY, "layer", "relation"} - {"agents", "seed"}
    names = [*IDENTITY, *COLUMNS]
    numbers = [name for name in names if name not in text]
    tables = [read_table(path, names, numbers) for path in paths]
    return pandas.concat(tables or [pandas.DataFrame(columns=names)], ignore_index=True)


def measure(fleet: Fleet, mixing: ndarray, merge: Merge) -> list[Measured]:
    """Match the neighbours in ``fleet`` as the first merge does, and measure every layer and the whole."""
    network = InProcess(mixing)
    permutations = match_neighbours(fleet, network, merge, 1).permutations
    inverse = all(
        torch.equal(order[permutations[j, i][group]], torch.arange(len(order)))
        for (i, j), orders in permutations.items()
        for group, order in orders.items()
    )
    lifts = {group.name: of_group(mixing, permutations, group.name, inverse) for group in fleet.groups}
    layers = [measured(name, lift) for name, lift in lifts.items()]

    frames = [
        {name: torch.from_numpy(lift.frames[agent]) for name, lift in lifts.items()}
        for agent in range(fleet.agents)
    ]
    parameters = [dict(model.named_parameters()) for model in fleet.models]
    aligned = [permute(state, fleet.groups, frame) for state, frame in zip(parameters, frames, strict=True)]
    apart = [
        disagreement(torch.stack([torch.cat([t.detach().flatten() for t in s.values()]) for s in states]))
        for states in (parameters, aligned)
    ]
    about = {
        "disagreement_before": apart[0],
        "disagreement_after": apart[1],
        "links": len(permutations),
        "network_bytes": sum(tensor.nbytes for tensor in fleet.states()[0].values()),
    }
    size = sum(tensor.numel() for tensor in parameters[0].values())
    if size * len(permutations) > MOST_ENTRIES:
        return [*layers, Measured(ALL, size, root=layers[0].root, **about)]
    lift = of_parameters(mixing, permutations, fleet.groups, parameters[0], inverse)
    return [*layers, measured(ALL, lift, **about)]


def measured(layer: str, lift: Lift, **about: float) -> Measured:
    """All that is measured of one operator; of all parameters, what takes minutes is left out.

    That are balls and norms, and the eigenvalue unless W = W^T; it is no smaller than that of any layer.
    """
    closures = list(lift.closures().values())
    found = {
        "orbits": lift.capacity,
        "closed_share": sum(closures) / len(closures) if closures else None,
        "eigenvalue": lift.second_modulus() if layer != ALL or lift.symmetric else None,
    }
    if layer != ALL:
        found |= {"from_mean": from_mean(lift), "of_disagreement": of_disagreement(lift), **enclosed(lift)}
    return Measured(layer, lift.size, root=second_eigenvalue(lift.mixing), **found, **about)


def enclosed(lift: Lift) -> dict[str, float | str]:
    """The ball around the first reading and its relation to sqrt(rho), where W = W^T has rational weights."""
    try:
        verdict = spectral_verdict(lift)
    except InputError:
        return {}
    return {"low": lower(verdict.reading), "high": upper(verdict.reading), "relation": verdict.relation}


def measured_gap_rows(holonomy: pandas.DataFrame) -> Iterator[Row]:
    """The claim of a larger gap on every layer that was measured, where it is decided in balls.

    ``holonomy`` has the identity of starts and merges, and `COLUMNS`.
    """
    for row in holonomy[holonomy.relation.isin(["above", "equal", "below"])].itertuples():
        numbers = (row.eigenvalue, row.low, row.high)
        if row.relation == "equal":
            numbers = (row.root, row.root, row.root)
        how = ", ".join(filter(None, [row.partition, row.matching, row.merge, f"seed {row.seed}"]))
        statement = "eigenvalue, permutations found by matching"
        problem = f"{row.data}, {row.model}, {row.layer}; {how}"
        yield gap_row(statement, row.graph, row.agents, numbers, row.root, problem)
