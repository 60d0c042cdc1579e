"""Random subgraphs made of matchings: MATCHA (Wang, Sahu, Yang, Joshi and Kar 2019, arXiv 1905.09435).

The links are divided into matchings, in each of which an agent has one link at most. At each communication
matching j is active with probability p_j, independently, and agents mix with W = I - alpha sum_j B_j L_j.
"""

import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import networkx
import numpy

from dimat.errors import InputError
from dimat.randomness import Randomness

Matching = list[tuple[int, int]]

ORDERS = 8
"""Orders of the agents in which Misra and Gries's colouring is tried, besides their own."""
STRATEGIES = ("smallest_last", "connected_sequential_bfs", "independent_set")
"""Greedy colourings of the line graph that are tried."""
MOST_AGENTS = 32
"""Beyond, each attempt takes seconds (its probabilities, a semidefinite program), and one is made."""
NOTICEABLE = 1e-6
"""A decomposition is better than another if it contracts by so much more: the solver is no more exact."""


class Plan(NamedTuple):
    """How a graph is used: its ``matchings``, the probability of each, and the weight of a link in use."""

    matchings: list[Matching]
    probabilities: numpy.ndarray
    step: float


@lru_cache(maxsize=64)
def plan(edges: tuple[tuple[int, int], ...], agents: int, budget: float) -> Plan:
    """The `Plan` for a graph: of several decompositions into matchings, the one that averages fastest.

    The paper leaves open which matchings are taken, and some mix faster than others, for the same share of
    them in use. All that are compared have at most (largest degree + 1) matchings; the same graph always has
    the same plan.
    """
    graph = networkx.Graph()
    graph.add_nodes_from(range(agents))
    graph.add_edges_from(edges)
    chosen, fastest = None, numpy.inf
    for parts in decompositions(graph):
        probabilities = activation_probabilities(parts, agents, budget)
        step = mixing_step(parts, probabilities, agents)
        factor = step_contraction(parts, probabilities, agents, step)
        if chosen is None or factor < fastest - NOTICEABLE:
            chosen, fastest = Plan(parts, probabilities, step), factor
    assert chosen is not None
    return chosen


def decompositions(graph: networkx.Graph) -> Iterator[list[Matching]]:
    """Different divisions of a ``graph`` into at most (largest degree + 1) matchings; first `matchings`."""
    first = matchings(graph)
    yield first
    if len(graph) > MOST_AGENTS:
        return
    seen = [sorted(first)]
    most = 1 + max((degree for _, degree in graph.degree), default=0)
    for parts in _attempts(graph):
        if len(parts) <= most and sorted(parts) not in seen:
            seen.append(sorted(parts))
            yield sorted(parts)


def _attempts(graph: networkx.Graph) -> Iterator[list[Matching]]:
    """Divisions of a ``graph`` into matchings, with repetitions, and some into too many."""
    randomness = Randomness("matchings", 0)
    agents = len(graph)
    for attempt in range(ORDERS + 1):
        order = randomness.numpy("order", round=attempt).permutation(agents).tolist()
        named = dict(zip(range(agents), order if attempt else range(agents), strict=True))
        agent = {name: original for original, name in named.items()}
        coloured = _misra_gries(networkx.relabel_nodes(graph, named))
        yield [sorted(_edge(agent[i], agent[j]) for i, j in matching) for matching in coloured]
    for strategy in STRATEGIES:
        yield _greedy(graph, strategy)
    rest, largest = graph.copy(), []
    while rest.number_of_edges():
        largest.append(sorted(_edge(i, j) for i, j in networkx.max_weight_matching(rest, True)))
        rest.remove_edges_from(largest[-1])
    yield largest


def matchings(graph: networkx.Graph) -> list[Matching]:
    """The edges of a simple undirected ``graph``, divided into at most (largest degree + 1) matchings.

    Edges are pairs (i, j), i < j, and each colour of a proper edge colouring is a matching. That of Misra and
    Gries guarantees the number; greedy ones of the line graph are often smaller (even rings, trees).
    """
    return min(_misra_gries(graph), _greedy(graph, "DSATUR"), key=len)


def _greedy(graph: networkx.Graph, strategy: str) -> list[Matching]:
    """A proper edge colouring: a greedy one of the line graph's nodes."""
    by_colour: dict[int, Matching] = {}
    for (i, j), colour in networkx.greedy_color(networkx.line_graph(graph), strategy).items():
        by_colour.setdefault(colour, []).append(_edge(i, j))
    return sorted(sorted(matching) for matching in by_colour.values())


def _edge(i: int, j: int) -> tuple[int, int]:
    return min(i, j), max(i, j)


def _misra_gries(graph: networkx.Graph) -> list[Matching]:
    """A proper edge colouring with at most (largest degree + 1) colours (Misra and Gries 1992)."""
    colours = range(1 + max((degree for _, degree in graph.degree), default=0))
    # over[v][c] is the agent that v is linked to by the edge of colour c
    over: dict[int, dict[int, int]] = {agent: {} for agent in graph}

    def free(agent: int) -> int:
        return next(colour for colour in colours if colour not in over[agent])

    def is_fan(centre: int, fan: list[int]) -> bool:
        colour = {leaf: c for c, leaf in over[centre].items()}
        return all(colour[leaf] not in over[before] for before, leaf in pairwise(fan))

    for centre, first in sorted(tuple(sorted(edge)) for edge in graph.edges):
        # A fan: the edge to each leaf has a colour that is free at the leaf before.
        fan = [first]
        while leaves := [
            leaf
            for colour, leaf in sorted(over[centre].items())
            if leaf not in fan and colour not in over[fan[-1]]
        ]:
            fan.append(leaves[0])

        # Swap the two colours along the path from the centre, so that the second is free there.
        own, other = free(centre), free(fan[-1])
        path, colour = [centre], other
        while (following := over[path[-1]].get(colour)) is not None:
            path.append(following)
            colour = own if colour == other else other
        for agent in path:
            swapped = {own: over[agent].pop(other, None), other: over[agent].pop(own, None)}
            over[agent].update({c: there for c, there in swapped.items() if there is not None})

        # Turn the fan up to a leaf where the second colour is free, and give it to that leaf's edge.
        last = next(
            place
            for place, leaf in enumerate(fan)
            if other not in over[leaf] and is_fan(centre, fan[: place + 1])
        )
        colour_of = {leaf: c for c, leaf in over[centre].items()}
        turned = [colour_of[leaf] for leaf in fan[1 : last + 1]]
        for leaf, c in zip(fan[1 : last + 1], turned, strict=True):
            del over[leaf][c], over[centre][c]
        for leaf, c in zip(fan, [*turned, other], strict=False):
            over[leaf][c], over[centre][c] = centre, leaf

    found = [
        sorted((i, j) for i in over if (j := over[i].get(colour)) is not None and i < j) for colour in colours
    ]
    return [matching for matching in found if matching]


def activation_probabilities(matchings: Sequence[Matching], agents: int, budget: float) -> numpy.ndarray:
    """Probabilities (M,) of the matchings that connect best when a share ``budget`` of them is active.

    They maximize the algebraic connectivity lambda_2(sum_j p_j L_j) subject to sum_j p_j <= budget M and
    0 <= p_j <= 1. Links that do not connect the agents have none to maximize: all probabilities are then
    ``budget``. `InputError` unless it is above 0 and at most 1.
    """
    if not 0 < budget <= 1:
        raise InputError(f"budget: {budget}; expected above 0, at most 1")
    joined = networkx.Graph()
    joined.add_nodes_from(range(agents))
    joined.add_edges_from(link for matching in matchings for link in matching)
    if budget == 1 or not matchings or not networkx.is_connected(joined):
        return numpy.full(len(matchings), float(budget))
    import cvxpy  # here, because it takes seconds to import

    laplacians = _laplacians(matchings, agents)
    probability = cvxpy.Variable(len(matchings), nonneg=True)
    connectivity = cvxpy.Variable()
    mean = sum(probability[j] * laplacian for j, laplacian in enumerate(laplacians))
    constraints = [
        mean + 1 >> connectivity * numpy.eye(agents),  # + 11^T: lambda_1 is out of the way
        probability <= 1,
        cvxpy.sum(probability) <= budget * len(matchings),
    ]
    with warnings.catch_warnings():
        # Where many are best, the solver stops short of its own accuracy, and far beyond ours.
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        cvxpy.Problem(cvxpy.Maximize(connectivity), constraints).solve(solver=cvxpy.CLARABEL)
    found = numpy.clip(numpy.asarray(probability.value), 0, 1)
    return found * min(1, budget * len(matchings) / found.sum())  # the solver may exceed it by its accuracy


def mixing_step(matchings: Sequence[Matching], probabilities: numpy.ndarray, agents: int) -> float:
    """The alpha in W = I - alpha sum_j B_j L_j with the smallest `step_contraction`; 0 without matchings.

    Links must connect the agents, else nothing contracts whatever alpha is.
    """
    from scipy.optimize import minimize_scalar  # takes as long to import as all of dimat

    if not matchings:
        return 0.0
    mean = numpy.tensordot(probabilities, _laplacians(matchings, agents), axes=1)
    # beyond 2 / lambda_max even E[W] expands, and W does all the more
    largest = 2 / numpy.linalg.eigvalsh(mean)[-1]
    found = minimize_scalar(
        lambda step: step_contraction(matchings, probabilities, agents, step) ** 2,
        bounds=(0, largest),
        method="bounded",
        options={"xatol": 1e-10 * largest},
    )
    return float(found.x)


def step_contraction(
    matchings: Sequence[Matching], probabilities: numpy.ndarray, agents: int, step: float
) -> float:
    """The square root of ||E[W^T W] - J||_2 for W = I - step sum_j B_j L_j, B_j = 1 with probability p_j.

    E[W^2] = I - 2 step L + step^2 (L^2 + 2 sum_j p_j (1 - p_j) L_j), with L = sum_j p_j L_j, since
    L_j^2 = 2 L_j for a matching.
    """
    laplacians = _laplacians(matchings, agents)
    mean = numpy.tensordot(probabilities, laplacians, axes=1)
    spread = numpy.tensordot(probabilities * (1 - probabilities), laplacians, axes=1)
    moment = numpy.eye(agents) - 2 * step * mean + step**2 * (mean @ mean + 2 * spread)
    return float(numpy.sqrt(numpy.linalg.norm(moment - 1 / agents, 2)))


def _laplacians(matchings: Sequence[Matching], agents: int) -> numpy.ndarray:
    """The Laplacian of each matching, (M, N, N)."""
    laplacians = numpy.zeros((len(matchings), agents, agents))
    for laplacian, matching in zip(laplacians, matchings, strict=True):
        for i, j in matching:
            laplacian[[i, j], [i, j]] = 1
            laplacian[[i, j], [j, i]] = -1
    return laplacians
