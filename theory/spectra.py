"""Closed forms of the second largest absolute eigenvalue of mixing matrices, to check numerics against."""

import sympy
from sympy import Expr

from dimat.graphs import Complete, Graph, Ring, TwoHub


def second_eigenvalue(graph: Graph, agents: int) -> Expr | None:
    """sqrt(rho) of the graph's mixing matrix as an exact number; `None` where no closed form is known here.

    Both weightings give the same matrix in each case.

    Complete: Pi = J, whose other eigenvalues are 0. Ring: circulant with weights 1/3, so eigenvalues
    (1 + 2 cos(2 pi k / N)) / 3; from N = 4 on that of k = 1 is at least 1/3, and none is below -1/3. Up to
    three agents on a ring are a complete graph. Two hubs: every edge has weight 1 / (N - 1), and the
    Laplacian of K(2, m) has the eigenvalues 0, 2 (m - 1 times), m and m + 2, so 1 - 2 / (N - 1) is the
    largest one left; with one leaf it is a path of three with weights 1/3.
    """
    if isinstance(graph, Complete) or agents == 1 or (isinstance(graph, Ring) and agents <= 3):
        return sympy.Integer(0)
    if isinstance(graph, Ring):
        return (1 + 2 * sympy.cos(2 * sympy.pi / agents)) / 3
    if isinstance(graph, TwoHub):
        return sympy.Rational(2, 3) if agents == 3 else sympy.Rational(agents - 3, agents - 1)
    return None
