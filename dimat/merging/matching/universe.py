"""C2M3 (Crisostomi, Fumero, Baieri, Bernard and Rodola 2024): orders for all networks, by Frank-Wolfe.

All networks go to a common order, the universe, so that permutations along cycles are the identity. The sum
of the objective over all pairs is maximized over the orders of all groups together, first among doubly
stochastic matrices: in each step, a permutation is found for each group by linear assignment on the gradient,
and all go towards these as far as is best, which is known in closed form. Where no step gains, the nearest
permutations are the result: a local optimum, which may be another one than that of visiting networks and
groups in turn (`common_frames`).

In the paper, all networks move in the same step. Two that do so go to where the other has been, and such
steps end between orders; here networks move in turn, each with all of its groups.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dimat.merging.matching.assignment import best_permutations
from dimat.merging.matching.frames import Frames, in_place
from dimat.merging.matching.matcher import Similarity, Soft
from dimat.merging.matching.statistics import Pair
from dimat.models.groups import Group, units_of

ROUNDS = 100
"""Each network moves so many times at most; a few are usual."""
GAIN = 1e-9
"""A round of steps that gain less each, relative to the objective, is the last."""


def universal_frames(
    similarities: Mapping[Pair, Similarity], groups: list[Group], agents: int
) -> tuple[Frames, int]:
    """One order for each agent, such that all stand alike, and in how many rounds of steps it was found.

    It is at least as good as to leave all in place.
    """
    frames = in_place(range(agents), groups)
    soft: dict[int, Soft] = {agent: as_matrices(frame) for agent, frame in frames.items()}
    rounds, gained = 0, True
    while gained and rounds < ROUNDS:
        rounds, gained = rounds + 1, False
        for agent in range(agents):
            soft[agent], gains = climb(similarities, groups, soft, agent)
            gained = gained or gains
    found = {agent: nearest(groups, of_agent) for agent, of_agent in soft.items()}
    return max((frames, found), key=lambda each: value_of(similarities, each)), rounds


def climb(
    similarities: Mapping[Pair, Similarity], groups: list[Group], soft: Mapping[int, Soft], agent: int
) -> tuple[Soft, bool]:
    """The matrices of an agent after one step, and whether that was worth it; the objective never falls."""
    seen = {pair: similarity for pair, similarity in similarities.items() if agent in pair}
    if not seen:
        return soft[agent], False
    start = {name: matrix.clone().requires_grad_() for name, matrix in soft[agent].items()}
    value = total_of(seen, {**soft, agent: start})
    slopes = torch.autograd.grad(value, list(start.values()), materialize_grads=True)
    towards = as_matrices(nearest(groups, dict(zip(start, slopes, strict=True))))
    with torch.no_grad():
        there = float(total_of(seen, {**soft, agent: towards}))
        rise = sum(
            float((slope * (towards[name] - matrix)).sum())
            for (name, matrix), slope in zip(start.items(), slopes, strict=True)
        )
        before = value.item()
    step, gain = best_step(rise, there - before)
    if gain <= 0:
        return soft[agent], False
    moved = {name: matrix.lerp(towards[name], step) for name, matrix in soft[agent].items()}
    return moved, gain > GAIN * abs(before)


def best_step(rise: float, whole: float) -> tuple[float, float]:
    """Where in [0, 1] a quadratic is greatest that starts from 0 with slope ``rise`` and ends at ``whole``.

    Also its value there. The objective is one along a step, as each weight matrix has two axes.
    """
    bend = whole - rise
    steps = [0.0, 1.0]
    if bend < 0:
        steps.append(min(max(-rise / (2 * bend), 0.0), 1.0))
    values = {step: rise * step + bend * step**2 for step in steps}
    best = max(values, key=lambda step: values[step])
    return best, values[best]


def nearest(groups: list[Group], scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The permutations, of those that leave functions unchanged, with the greatest sums of scores (C, C)."""
    found: dict[str, Tensor] = {}
    for unit in units_of(groups):
        best = best_permutations([scores[group.name] for group in unit], unit[0].blocks)
        found.update(zip((group.name for group in unit), best, strict=True))
    return found


def as_matrices(frame: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Permutations as matrices: row `place` has its 1 at `frame[group][place]`."""
    return {name: torch.eye(len(order), dtype=torch.float64)[order] for name, order in frame.items()}


def total_of(similarities: Mapping[Pair, Similarity], soft: Mapping[int, Soft]) -> Tensor:
    """The sum of the objective over all pairs, a scalar."""
    parts = [seen.total(soft[i], soft[j]).cpu() for (i, j), seen in similarities.items()]
    return sum(parts, torch.zeros((), dtype=torch.float64))


def value_of(similarities: Mapping[Pair, Similarity], frames: Frames) -> float:
    """The same, of frames."""
    with torch.no_grad():
        return float(total_of(similarities, {agent: as_matrices(frame) for agent, frame in frames.items()}))
