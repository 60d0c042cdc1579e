"""Frames: for every agent, the order that makes its neurons stand like those of the others.

``frame[group][c]`` is the channel of an agent that stands in place c. Two frames give the permutation
P_ij = Q_i Q_j^T, so products along any cycle of agents are the identity. Everything that is matched here is
matched by one rule: given all others, the best order of one group of one agent is a linear assignment (of
heads, and of channels inside of each, for attention), and agents and groups are visited in turn until
nothing gains. A pair of agents, the first of them fixed, is
the published matching; for the whole graph it is block-coordinate ascent on the sum over all links.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import networkx
import torch
from torch import Tensor

from dimat.merging.matching.assignment import best_permutations
from dimat.merging.matching.matcher import Similarity
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.statistics import Pair
from dimat.models.groups import Group, Permutations, units_of

Frames = dict[int, dict[str, Tensor]]
"""Agent to group name to index tensor (size,)."""

SWEEPS = 100
"""Visit every agent and group at most so many times; far fewer are needed."""


def in_place(agents: Collection[int], groups: list[Group]) -> Frames:
    """Every channel where it stands."""
    return {agent: {group.name: torch.arange(group.size) for group in groups} for agent in agents}


def matched_pair(similarity: Similarity, groups: list[Group], reward: Reward) -> Permutations:
    """The permutation P_ij: agent j is re-ordered like agent i, which stays in place."""
    frames = in_place((0, 1), groups)
    improve({(0, 1): similarity}, groups, frames, [1], reward)
    return frames[1]


def common_frames(
    similarities: Mapping[Pair, Similarity], groups: list[Group], agents: int, reward: Reward, anew: bool
) -> tuple[Frames, int]:
    """One order for each agent, such that all stand alike, and how often agents told it their neighbours.

    If ``anew``, the orders are first found along a spanning tree, where every agent only needs to know its
    parent's; otherwise they start where neurons stand. Then agents improve in turn until none gains, each
    from the orders of its neighbours.
    """
    frames = in_place(range(agents), groups)
    if anew:
        for parent, agent in spanning_tree(similarities, agents):
            frames[agent] = dict(frames[parent])
            ends = {parent, agent}
            link = {pair: seen for pair, seen in similarities.items() if set(pair) == ends}
            improve(link, groups, frames, [agent], Reward())
    sweeps = improve(similarities, groups, frames, range(agents), reward)
    return frames, sweeps + anew


def spanning_tree(pairs: Collection[Pair], agents: int) -> list[Pair]:
    """(parent, child) in the order in which a breadth-first search from agent 0 finds the children."""
    graph = networkx.Graph(sorted(pairs))
    graph.add_nodes_from(range(agents))
    return [
        edge
        for component in networkx.connected_components(graph)
        for edge in networkx.bfs_edges(graph, min(component), sort_neighbors=sorted)
    ]


def improve(
    similarities: Mapping[Pair, Similarity],
    groups: list[Group],
    frames: Frames,
    free: Collection[int],
    reward: Reward,
) -> int:
    """Re-order the ``free`` agents, group by group in turn, until the objective gains no more.

    The objective is the sum of all ``similarities`` and of the ``reward``; it never falls. Returns the
    number of sweeps over all agents and groups.
    """
    one_by_one = len(free) == 1 and not any(similarity.coupled for similarity in similarities.values())
    limit = 1 if one_by_one else SWEEPS
    for sweep in range(1, limit + 1):
        gained = False
        for agent in free:
            for unit in units_of(groups):
                scores, bonus = [], 0.0
                for group in unit:
                    of_group, scale = _scores(similarities, group, frames, agent)
                    scores.append(of_group + scale * reward.each * torch.eye(group.size, dtype=torch.float64))
                    bonus += scale * reward.whole * group.size
                value = partial(_value, scores, bonus)
                best = best_permutations(scores, unit[0].blocks)
                found = max(best, [torch.arange(group.size) for group in unit], key=value)
                largest = max(float(of_group.abs().max()) for of_group in scores)
                if value(found) - value([frames[agent][group.name] for group in unit]) > 1e-9 * largest:
                    frames[agent].update(zip((group.name for group in unit), found, strict=True))
                    gained = True
        if not gained:
            return sweep
    return limit


def _value(scores: Sequence[Tensor], bonus: float, orders: Sequence[Tensor]) -> float:
    """The sum of the scores of some orders, and a bonus if all are the identity."""
    total, stays = 0.0, True
    for of_group, order in zip(scores, orders, strict=True):
        places = torch.arange(len(order))
        total += float(of_group[places, order].sum())
        stays = stays and torch.equal(order, places)
    return total + bonus * stays


def _scores(
    similarities: Mapping[Pair, Similarity], group: Group, frames: Frames, agent: int
) -> tuple[Tensor, float]:
    """What each channel of ``agent`` (columns) adds in each place (rows), on the CPU; the scale of these."""
    total, scale = torch.zeros(group.size, group.size, dtype=torch.float64), 0.0
    for (i, j), similarity in similarities.items():
        if agent in (i, j):
            scores = similarity.scores(group, Relative(frames[i], frames[j]))
            place = frames[j if agent == i else i][group.name].to(scores.device, non_blocking=True)
            total = total.to(scores.device, non_blocking=True)
            total += scores[:, place].T if agent == i else scores[place]
            scale += similarity.scale(group)
    return total.cpu(), scale


class Relative(Mapping[str, Tensor]):
    """The permutations P_ij of frames Q_i and Q_j; each is computed when it is asked for."""

    def __init__(self, ones: Permutations, others: Permutations) -> None:
        self.ones = ones
        self.others = others

    def __getitem__(self, group: str) -> Tensor:
        return self.others[group][self.ones[group].argsort()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ones)

    def __len__(self) -> int:
        return len(self.ones)
