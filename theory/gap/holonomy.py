"""What the permutations are that matching finds between real networks: readings of the gap, orbits, cycles.

The networks are those that all runs of a study start from, trained apart; what is measured is their first
merge, by the library itself.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas
import torch
from numpy import ndarray
from tqdm import tqdm

from dimat.agents.disagreement import disagreement
from dimat.agents.networks import Networks
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.cells import labelled
from dimat.experiment.runner import Runner
from dimat.experiment.runs import Run
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.models.symmetry import permute
from dimat.topology import second_eigenvalue
from theory.gap.lift import Lift
from theory.gap.permutations import of_group, of_parameters
from theory.gap.readings import from_mean, of_disagreement
from theory.gap.rows import gap_row, lower, upper
from theory.gap.verdicts import GapVerdict, slowest_verdict, spectral_verdict
from theory.report import read_table
from theory.rows import Row, exactly

ALL = "all parameters"
MOST_ENTRIES = 2**26
"""Of all permutations of all parameters: beyond (half a gibibyte), only layers are measured."""


@dataclass(frozen=True)
class MeasuredLift:
    """The merge operator on the ``size`` channels of one ``layer`` (a group that moves together), or on all.

    ``closed_share`` is the mean over fundamental cycles of the share of coordinates that return to
    themselves (`None` without cycles), ``orbits`` the number of orbits. Readings of sqrt(rho') are those of
    `theory.gap.readings`, and ``low`` and ``high`` enclose the first, or an eigenvalue of W that it is no
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


COLUMNS = ("run", *(field.name for field in fields(MeasuredLift)))
"""Of the table; ``run`` is one of the runs whose first merge it is."""


def holonomy_table(runs: list[Run], runner: Runner) -> pandas.DataFrame:
    """What `measure_merge` finds of the first merges of ``runs`` that have one start."""
    agents = runner.started(runs[0].pretrained)
    lines = []
    for run in tqdm(runs, "first merges", unit="merge", disable=None):
        assert run.graph and run.matching and run.calibration
        mixing = run.graph.mixing_matrix(run.agents)
        found = measure_merge(agents, mixing, run.matching, run.calibration)
        lines += [{"run": run.id, **asdict(row)} for row in found]
    return pandas.DataFrame(lines, columns=COLUMNS)


def read_holonomy(paths: Iterable[Path]) -> pandas.DataFrame:
    """The tables of several starts, joined; `InputError` if one is missing or damaged."""
    numbers = [name for name in COLUMNS if name not in ("run", "layer", "relation")]
    tables = [read_table(path, COLUMNS, numbers) for path in paths]
    return pandas.concat(tables or [pandas.DataFrame(columns=COLUMNS)], ignore_index=True)


def measure_merge(
    agents: Networks, mixing: ndarray, matching: Matching, calibration: Calibration
) -> list[MeasuredLift]:
    """Match neighbours as the first merge does, and measure every layer and the whole."""
    communicator = InProcess(mixing)
    permutations = match_neighbours(agents, communicator, matching, calibration, 1).permutations
    inverse = all(
        torch.equal(order[permutations[j, i][group]], torch.arange(len(order)))
        for (i, j), orders in permutations.items()
        for group, order in orders.items()
    )
    groups = agents.symmetry
    lifts = {group.name: of_group(mixing, permutations, group.name, inverse) for group in groups}
    layers = [measured(name, lift) for name, lift in lifts.items()]

    frames = [
        {name: torch.from_numpy(lift.frames[agent]) for name, lift in lifts.items()}
        for agent in range(agents.agents)
    ]
    parameters = [dict(model.named_parameters()) for model in agents.models]
    aligned = [permute(state, groups, frame) for state, frame in zip(parameters, frames, strict=True)]
    apart = [
        disagreement(torch.stack([torch.cat([t.detach().flatten() for t in s.values()]) for s in states]))
        for states in (parameters, aligned)
    ]
    size = sum(tensor.numel() for tensor in parameters[0].values())
    if size * len(permutations) > MOST_ENTRIES:
        whole = MeasuredLift(ALL, size, root=layers[0].root)
    else:
        whole = measured(ALL, of_parameters(mixing, permutations, groups, parameters[0], inverse))
    whole = replace(
        whole,
        disagreement_before=apart[0],
        disagreement_after=apart[1],
        links=len(permutations),
        network_bytes=sum(tensor.nbytes for tensor in agents.states()[0].values()),
    )
    return [*layers, whole]


def measured(layer: str, lift: Lift) -> MeasuredLift:
    """All that is measured of one operator; of all parameters, norms are left out, as they take minutes."""
    closures = list(lift.closures().values())
    found = MeasuredLift(
        layer,
        lift.size,
        root=second_eigenvalue(lift.mixing),
        orbits=lift.capacity,
        closed_share=sum(closures) / len(closures) if closures else None,
        eigenvalue=lift.second_modulus(),
        **enclosed(lift, slowest_verdict if layer == ALL or not lift.symmetric else spectral_verdict),
    )
    if layer == ALL:
        return found
    readings = {"from_mean": from_mean(lift), "of_disagreement": of_disagreement(lift)}
    return replace(found, **readings)


def enclosed(lift: Lift, judge: Callable[[Lift], GapVerdict]) -> dict[str, Any]:
    """The ball around the first reading and its relation to sqrt(rho), where weights are rational."""
    try:
        verdict = judge(lift)
    except InputError:
        return {}
    return {"low": lower(verdict.reading), "high": upper(verdict.reading), "relation": verdict.relation}


def measured_gap_rows(runs: pandas.DataFrame, holonomy: pandas.DataFrame) -> Iterator[Row]:
    """The claim of a larger gap on every layer that was measured, where it is decided in balls."""
    decided = holonomy[holonomy.relation.isin(["above", "equal", "below"])]
    if decided.empty:
        return
    labels = labelled(runs.loc[decided.run.unique()])
    for row in decided.join(labels, on="run").to_dict("records"):
        root, ends = row["root"], (row["eigenvalue"], row["low"], row["high"])
        numbers = exactly(root) if row["relation"] == "equal" else ends
        how = ", ".join(filter(None, [row["partition"], row["rival"], f"seed {row['seed']}"]))
        problem = f"{row['data']}, {row['model']}, {row['layer']}; {how}"
        said = ("eigenvalue, permutations found by matching", row["graph"], row["agents"])
        yield gap_row(*said, numbers, root, problem)
