"""Random subgraphs made of matchings: MATCHA (Wang, Sahu, Yang, Joshi and Kar 2019, arXiv 1905.09435).

The links are divided into matchings, in each of which an agent has one link at most. At each communication
matching j is active with probability p_j, independently, and agents mix with W = I - alpha sum_j B_j L_j.
"""

from collections.abc import Sequence
from itertools import pairwise

import networkx
import numpy
from scipy.optimize import minimize_scalar

from dimat.errors import InputError

Matching = list[tuple[int, int]]


def matchings(graph: networkx.Graph) -> list[Matching]:
    """The edges of a simple undirected ``graph``, divided into at most (largest degree + 1) matchings.

    Edges are pairs (i, j), i < j, and each colour of a proper edge colouring is a matching. That of Misra and
    Gries guarantees the number; greedy ones of the line graph are often smaller (even rings, trees).
    """
    greedy = networkx.greedy_color(networkx.line_graph(graph), strategy="DSATUR")
    by_colour: dict[int, Matching] = {}
    for (i, j), colour in greedy.items():
        by_colour.setdefault(colour, []).append((min(i, j), max(i, j)))
    guaranteed = _misra_gries(graph)
    return min(guaranteed, sorted(sorted(matching) for matching in by_colour.values()), key=len)


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
    0 <= p_j <= 1. `InputError` unless ``budget`` is above 0 and at most 1.
    """
    if not 0 < budget <= 1:
        raise InputError(f"budget: {budget}; expected above 0, at most 1")
    if budget == 1 or not matchings:
        return numpy.ones(len(matchings))
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
    cvxpy.Problem(cvxpy.Maximize(connectivity), constraints).solve(solver=cvxpy.CLARABEL)
    found = numpy.clip(numpy.asarray(probability.value), 0, 1)
    return found * min(1, budget * len(matchings) / found.sum())  # the solver may exceed it by its accuracy


def mixing_step(matchings: Sequence[Matching], probabilities: numpy.ndarray, agents: int) -> float:
    """The alpha in W = I - alpha sum_j B_j L_j with the smallest `step_contraction`; 0 without matchings."""
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
