"""Closed forms of the second largest absolute eigenvalue of mixing matrices, to check numerics against."""

import sympy
from sympy import Expr

from dimat.graphs import Complete, Graph, Ring, TwoHub


def second_eigenvalue(graph: Graph, agents: int) -> Expr | None:
    """sqrt(rho) of the graph's mixing matrix as an exact number; `None` where no closed form is known here.

    Ring: circulant with weights 1/3, so eigenvalues (1 + 2 cos(2 pi k / N)) / 3; two agents share one edge of
    weight 1/2. Complete: J alone, so 0. Two hubs: K(2, N - 2) with edges of weight 1 / (N - 1) under either
    weighting (hubs have the largest degree of every edge); the Laplacian of K(2, m) has the eigenvalues
    0, 2 (m - 1 times), m and m + 2.
    """
    if isinstance(graph, Complete) or agents == 1:
        return sympy.Integer(0)
    if isinstance(graph, Ring):
        if agents == 2:
            return sympy.Integer(0)
        turns = [sympy.cos(2 * sympy.pi * k / agents) for k in range(1, agents // 2 + 1)]
        return sympy.Max(*(abs((1 + 2 * turn) / 3) for turn in turns))
    if isinstance(graph, TwoHub) and agents >= 4:
        leaves = agents - 2
        weight = sympy.Rational(1, agents - 1)
        laplacian = {leaves, leaves + 2} | ({2} if leaves > 1 else set())
        return sympy.Max(*(abs(1 - weight * eigenvalue) for eigenvalue in laplacian))
    return None
