"""What a matching did, layer by layer: how much moved, what it gained, and whether cycles close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx
import numpy
import torch
from torch import Tensor, nn

from dimat.communication.communicator import Communicator
from dimat.merging.matching.assignment import inverse
from dimat.merging.matching.frames import spanning_tree
from dimat.merging.matching.neighbours import Matched
from dimat.merging.matching.reached import numbers_of, objectives
from dimat.merging.matching.statistics import Pair
from dimat.models.symmetry import Group, Permutations, permute

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Diagnostic:
    """One number about one group of channels (``layer``) in one merge."""

    layer: str
    metric: str
    value: float


def diagnose(
    known: Mapping[int, Mapping[int, nn.Module]],
    groups: list[Group],
    matched: Matched,
    communicator: Communicator,
) -> list[Diagnostic]:
    """All diagnostics of one merge, as means over links.

    ``matched`` is what was found for the agents of this process, between the networks that each has ``known``
    before the merge, its own and those it received. What other processes know of their links is collected
    from them. For each group:

    - ``moved_share``: channels of a neighbour that are moved.
    - ``closed_share``: channels that return to themselves around a fundamental cycle, if there is any.
    - ``orbit_share``: orbits of channels under products of permutations along closed walks, over the number
      of channels: 1 if and only if all cycles close (see the audit: repeated merging averages what shares
      an orbit).
    - ``distance_before``, ``distance_after``: ||x_i - x_j||^2 and ||x_i - P_ij x_j||^2 over
      ||x_i||^2 + ||x_j||^2, on the parameters that put out these channels, for i < j, with x_j as i knows it.
    - ``matched_share``: of soft maps, how much of each channel goes where the permutation has it. All else is
      said of permutations.
    - ``objective``, ``objective_gain``: mean score of matched channels over its scale, and how much more
      that is than in place.
    """
    permutations, similarities = matched.permutations, matched.similarities
    everywhere = communicator.collect(permutations)
    # Where links have one direction only, the other way round is as good for what is said of cycles.
    back = {(j, i): inverse(by_group) for (i, j), by_group in everywhere.items() if (j, i) not in everywhere}
    parts = networkx.number_connected_components(networkx.Graph(list(everywhere)))
    values: dict[tuple[str, str, Pair], float] = {}
    once = {pair: order for pair, order in permutations.items() if pair[0] < pair[1] or pair[::-1] in back}
    for metric, moved in {"distance_before": False, "distance_after": True}.items():
        for models in {id(models): models for models in known.values()}.values():  # some may share theirs
            states = {end: model.state_dict() for end, model in models.items()}
            own = {pair: order for pair, order in once.items() if known[pair[0]] is models}
            for (name, pair), distance in distances(states, groups, own, moved=moved).items():
                values[name, metric, pair] = distance
    compared = {pair: similarities[pair] for pair in permutations if pair in similarities}
    for (name, pair), (reached, standing) in objectives(groups, permutations, compared).items():
        values[name, "objective", pair] = reached
        values[name, "objective_gain", pair] = reached - standing
    for pair, by_group in permutations.items():
        for group in groups:
            values[group.name, "moved_share", pair] = _moved(by_group[group.name])
    for pair, shares in matched.shares.items():
        for name, soft in shares.items():
            order = permutations[pair][name]
            values[name, "matched_share", pair] = float(soft[torch.arange(len(order)), order].mean())
    for group in groups if everywhere else ():
        of_group = {pair: by_group[group.name] for pair, by_group in sorted((everywhere | back).items())}
        anyone = min(everywhere)
        if anyone in permutations:  # what is said of all links together is said once
            alone = communicator.agents - len({agent for pair in of_group for agent in pair})
            of_channels = orbits(of_group, communicator.agents, group.size) / group.size
            values[group.name, "orbit_share", anyone] = (of_channels - alone) / parts
            if closures := cycle_closures(of_group, communicator.agents, group.size):
                values[group.name, "closed_share", anyone] = _mean(closures)
    by_metric: dict[tuple[str, str], list[float]] = {}
    for (layer, metric, _), value in sorted(communicator.collect(values).items()):
        by_metric.setdefault((layer, metric), []).append(value)
    return [Diagnostic(layer, metric, _mean(values)) for (layer, metric), values in by_metric.items()]


def _mean(values: Sequence[float]) -> float:
    return float(numpy.mean(values))


def _moved(order: Tensor) -> float:
    return float((order != torch.arange(len(order))).double().mean())


def cycle_closures(permutations: Mapping[Pair, Tensor], agents: int, size: int) -> list[float]:
    """For each fundamental cycle, the share of channels of its root that return to themselves.

    Cycles are those that links outside a breadth-first spanning tree close.
    """
    tree = spanning_tree(permutations, agents)
    place = {agent: torch.arange(size) for agent in range(agents)}  # where each channel of the root has gone
    for parent, agent in tree:
        place[agent] = permutations[parent, agent][place[parent]]
    inside = {frozenset(edge) for edge in tree}
    return [
        float((order[place[i]] == place[j]).double().mean())
        for (i, j), order in permutations.items()
        if i < j and frozenset((i, j)) not in inside
    ]


def orbits(permutations: Mapping[Pair, Tensor], agents: int, size: int) -> int:
    """Orbits of the channels of one agent under all closed walks, in a connected graph.

    They are the connected components of the lift of the graph: one node for each channel of each agent,
    one link for each matched pair of channels.
    """
    from scipy.sparse import coo_matrix  # takes as long to import as half of dimat
    from scipy.sparse.csgraph import connected_components

    ends = [(i * size + torch.arange(size), j * size + order) for (i, j), order in permutations.items()]
    rows, columns = (torch.cat(parts).numpy() for parts in zip(*ends, strict=True))
    links = coo_matrix((numpy.ones(len(rows)), (rows, columns)), shape=(agents * size, agents * size))
    return int(connected_components(links, directed=False)[0])


def distances(
    states: Sequence[State] | Mapping[int, State],
    groups: list[Group],
    permutations: Mapping[Pair, Permutations],
    moved: bool,
) -> dict[tuple[str, Pair], float]:
    """Relative squared distance of each group over each link, before or after the neighbour is ``moved``."""
    produced = {
        group.name: [member.name for member in group.members if member.axis == 0 and _trained(member.name)]
        for group in groups
    }
    names = [name for of_group in produced.values() for name in of_group]
    squares: dict[tuple[int | Pair, str], Tensor] = {}
    for (i, j), by_group in permutations.items():
        other = permute(states[j], groups, by_group) if moved else states[j]
        for name in names:
            squares[(i, j), name] = (states[i][name] - other[name]).square().sum()
    for agent in {agent for pair in permutations for agent in pair}:
        for name in names:
            squares[agent, name] = states[agent][name].square().sum()
    found = numbers_of(squares)
    relative = {}
    for i, j in permutations:
        for group, of_group in produced.items():
            gap = sum(found[(i, j), name] for name in of_group)
            size = sum(found[agent, name] for agent in (i, j) for name in of_group)
            relative[group, (i, j)] = gap / size if size else 0.0
    return relative


def _trained(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var"))
