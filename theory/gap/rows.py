"""The claim of a larger spectral gap: every reading of rho' against rho, in balls, as rows of the audit."""

from collections.abc import Iterator

import numpy
from flint import arb

from dimat.randomness import Randomness
from dimat.topology import Graph
from theory.gap import trained
from theory.gap.counterexamples import mean_counterexample, sequence_counterexample
from theory.gap.graphs import CHAIN, COMPLETE, RING, TWO_HUB
from theory.gap.lift import Lift
from theory.gap.permutations import consistent, drifted, identity, independent
from theory.gap.readings import READINGS, drift_of_mean
from theory.gap.verdicts import GapVerdict
from theory.rows import ROUND_OFF, Numbers, Row, exactly

CASES: tuple[tuple[Graph, int], ...] = (
    (RING, 3),
    (CHAIN, 4),
    (RING, 5),
    (COMPLETE, 4),
    (TWO_HUB, 5),
)
COORDINATES = 6
"""Of each agent: all readings of so few are enclosed at once, and more do not change the sign."""
CONSISTENT = ("no", "consistent", "networks' common-frame")
"""Kinds of permutations that close all cycles whatever the graph."""
DRIFT = 0.5
"""Share of coordinates that are matched at random on each link of what is drifted."""


def gap_rows() -> Iterator[Row]:
    """Each reading, with each kind of permutations, must lie below sqrt(rho) for the gap to be larger.

    All are taken in frames along a spanning tree: how agents number their coordinates changes no reading.
    The fourth reading is the first, as W = W^T. Where no cycle is left open, permutations are consistent.
    """
    for graph, agents in CASES:
        for kind, lift in lifts(graph, agents).items():
            if lift.consistent and kind not in CONSISTENT:
                continue
            for reading in READINGS[:3]:
                verdict = reading.verdict(in_frames(lift))
                yield verdict_row(f"{reading.name}, {kind} permutations", graph, agents, verdict)
    yield from agent_rows()


def in_frames(lift: Lift) -> Lift:
    """The same merge in the coordinates of agent 0, along a spanning tree."""
    return lift.on(numpy.arange(lift.size))


def lifts(graph: Graph, agents: int) -> dict[str, Lift]:
    """Merge operators with all kinds of permutations: made up, and those that matching finds."""
    mixing = graph.mixing_matrix(agents)
    generator = Randomness("audit", 0).numpy(f"lift, {graph.label()}, {agents} agents")
    return {
        "no": identity(mixing, COORDINATES),
        "consistent": consistent(mixing, COORDINATES, generator),
        "drifted": drifted(mixing, COORDINATES, DRIFT, generator),
        "independent": independent(mixing, COORDINATES, generator),
        "networks' per-link": trained.per_link(mixing, COORDINATES),
        "networks' common-frame": trained.in_common_frame(mixing, COORDINATES),
    }


def verdict_row(statement: str, graph: Graph, agents: int, verdict: GapVerdict) -> Row:
    """One reading; where an argument shows that it is sqrt(rho), that is its value."""
    if verdict.relation == "equal":
        root = float(verdict.root.mid())
        numbers, bound = exactly(root), root
    else:
        bounds = {"above": upper(verdict.root), "below": lower(verdict.root)}
        numbers, bound = ends(verdict.reading), bounds.get(verdict.relation, numpy.nan)
    return gap_row(statement, graph.label(), agents, numbers, bound)


def agent_rows() -> Iterator[Row]:
    """Readings off a product with a permutation of agents: its second eigenvalue, of one and as a rate."""
    found = sequence_counterexample()
    if found is not None:
        orders = " and ".join(map(str, found.orders))
        of_one = f"|lambda_2(P Pi)| of one merge, agents permuted by one of {orders}"
        in_turn = f"the same as the rate of merges in turn, agents permuted by {orders}"
        yield gap_row(of_one, "ring", found.agents, ends(found.alone), lower(found.root))
        yield gap_row(in_turn, "ring", found.agents, ends(found.together), upper(found.alone))


def mean_rows() -> Iterator[Row]:
    """How far one merge moves the mean over agents: usual proofs take for granted that it does not."""
    found = mean_counterexample(frameless=True)
    if found is not None:
        yield mean_row("independent", COMPLETE, found.lift)
    for graph, agents in CASES:
        for kind, lift in lifts(graph, agents).items():
            if kind in CONSISTENT or not lift.consistent:
                yield mean_row(kind, graph, lift)


def mean_row(kind: str, graph: Graph, lift: Lift) -> Row:
    """||(J kron I)(W - I)||_2 in frames along a spanning tree, against round-off."""
    drift = drift_of_mean(in_frames(lift))
    said = ("mean", f"the mean over agents is kept, {kind} permutations", "||(J kron I)(W - I)||")
    return Row(*said, graph.label(), lift.agents, None, *exactly(drift), ROUND_OFF)


def gap_controls() -> Iterator[Row]:
    """That sqrt(rho') is nowhere below sqrt(rho) is rejected where it is below: that of a complete graph."""
    root = READINGS[0].verdict(identity(RING.mixing_matrix(5), COORDINATES)).root
    for kind in ("no", "consistent"):
        reading = READINGS[0].verdict(lifts(COMPLETE, 5)[kind]).reading
        row = gap_row("", "ring", 5, ends(root), upper(reading))
        yield row.as_control(f"W of the complete graph, {kind} permutations")


def mean_controls() -> Iterator[Row]:
    """Permutations that keep no mean over agents."""
    yield mean_row("", RING, lifts(RING, 5)["independent"]).as_control("permutations that close no cycle")


def gap_row(
    statement: str,
    graph: str,
    agents: int,
    numbers: Numbers,
    bound: float,
    problem: str = "",
) -> Row:
    """The claim that sqrt(rho'), in its ``numbers`` (middle, low, high), lies strictly below ``bound``."""
    said = ("spectral-gap", statement, "sqrt(rho')")
    return Row(*said, graph, agents, None, *numbers, bound, strict=True, problem=problem)


def ends(ball: arb) -> Numbers:
    """The middle of a ball, and doubles outside both of its ends."""
    return float(ball.mid()), lower(ball), upper(ball)


def lower(ball: arb) -> float:
    """A double below all of a ball, or equal to it."""
    if arb(float(ball)) == ball:
        return float(ball)
    return float(numpy.nextafter(float(ball.lower()), -numpy.inf))


def upper(ball: arb) -> float:
    """A double above all of a ball, or equal to it."""
    if arb(float(ball)) == ball:
        return float(ball)
    return float(numpy.nextafter(float(ball.upper()), numpy.inf))
