"""The fastest mixing symmetric weights (Boyd, Diaconis and Xiao 2004)."""

import networkx
import numpy

from dimat.errors import InputError

MOST_AGENTS = 64
"""Beyond, the semidefinite program takes minutes (a ring of 64: 15 s)."""

NEGLIGIBLE = 1e-7
"""Weights below are zero up to the accuracy of the solver."""


def fastest_mixing_matrix(graph: networkx.Graph) -> numpy.ndarray:
    """The matrix (N, N) on a connected ``graph`` over 0 to N - 1 that averages fastest.

    It minimizes ||W - J||_2 over symmetric, doubly stochastic, nonnegative W that are zero off the edges
    and the diagonal: a semidefinite program ("Fastest mixing Markov chain on a graph", SIAM Review 46).
    Edges that do not help get no weight. `InputError` for too many agents, or a disconnected graph.
    """
    agents = len(graph)
    if agents > MOST_AGENTS:
        raise InputError(f"graph.weights: 'fastest' is for at most {MOST_AGENTS} agents, not for {agents}")
    if not networkx.is_connected(graph):
        raise InputError("graph.weights: 'fastest' is for connected graphs; expected metropolis, uniform")
    if agents == 1:
        return numpy.ones((1, 1))
    edges = numpy.array(sorted(tuple(sorted(edge)) for edge in graph.edges))
    weight = _solve(edges, agents)
    weight[weight < NEGLIGIBLE] = 0
    matrix = numpy.zeros((agents, agents))
    matrix[edges[:, 0], edges[:, 1]] = weight
    matrix += matrix.T
    matrix /= max(1, matrix.sum(axis=1).max())  # the solver may exceed 1 by its accuracy
    matrix[numpy.diag_indices(agents)] = 1 - matrix.sum(axis=1)
    return matrix


def _solve(edges: numpy.ndarray, agents: int) -> numpy.ndarray:
    """Optimal weights (E,) of ``edges`` (E, 2), to the accuracy of the solver."""
    import cvxpy  # here, because it takes seconds to import

    incidence = numpy.zeros((agents, len(edges)))
    incidence[edges[:, 0], range(len(edges))] = 1
    incidence[edges[:, 1], range(len(edges))] = -1
    weight = cvxpy.Variable(len(edges), nonneg=True)
    factor = cvxpy.Variable()
    others = numpy.eye(agents) - incidence @ cvxpy.diag(weight) @ incidence.T - 1 / agents
    bounds = [
        others << factor * numpy.eye(agents),
        others >> -factor * numpy.eye(agents),
        abs(incidence) @ weight <= 1,
    ]
    cvxpy.Problem(cvxpy.Minimize(factor), bounds).solve(solver=cvxpy.CLARABEL)
    return numpy.asarray(weight.value)
