"""Closed forms of the spectra of mixing matrices, to check numerics against.

On all undirected graphs here `metropolis` and `uniform` weights are the same, as every link has an end of
largest degree: each link weighs w = 1 / (1 + that degree), and Pi = I - w L with the graph's Laplacian L.
"""

from functools import singledispatch
from math import comb

import sympy
from sympy import Expr, Integer, Rational, cos, pi, sin

from dimat.topology import (
    Chain,
    Complete,
    DirectedRing,
    Exponential,
    Graph,
    Hypercube,
    Ring,
    Star,
    Torus,
    TwoHub,
)
from dimat.topology.exponential import hops


def spectrum(graph: Graph, agents: int) -> list[Expr] | None:
    """All ``agents`` eigenvalues of the mixing matrix without failures, exact, in no order, the 1 first.

    `None` where no closed form is known here: for other graphs, and for the `fastest` weights. Those of
    directed graphs are complex. `InputError` if the graph does not exist over so many agents.
    """
    if getattr(graph, "weights", None) == "fastest":
        return None
    graph.edges(agents)  # refuses what does not exist
    return [Integer(1)] if agents == 1 else _spectrum(graph, agents)


def exact_root(graph: Graph, agents: int) -> Expr | None:
    """sqrt(rho) of the mixing matrix: the largest modulus but that of the eigenvalue 1; `None` as above.

    It is ||Pi - J||_2 for directed graphs as well: circulant matrices are normal.
    """
    values = spectrum(graph, agents)
    if values is None:
        return None
    return _modulus(max(values[1:], key=lambda value: abs(complex(value)), default=Integer(0)))


def _modulus(value: Expr) -> Expr:
    real, imaginary = value.as_real_imag()
    return sympy.Abs(real) if imaginary == 0 else sympy.sqrt(real**2 + imaginary**2)


@singledispatch
def _spectrum(graph: Graph, agents: int) -> list[Expr] | None:
    """`spectrum` over two agents or more."""
    return None


@_spectrum.register
def _(graph: Complete, agents: int) -> list[Expr]:
    """Pi = J."""
    return [Integer(1), *[Integer(0)] * (agents - 1)]


@_spectrum.register
def _(graph: Ring, agents: int) -> list[Expr]:
    """Circulant."""
    return _product_of_cycles(agents)


@_spectrum.register
def _(graph: Torus, agents: int) -> list[Expr]:
    """The product of two cycles, of which one of two agents is a single link."""
    rows = graph.rows_over(agents)
    return _product_of_cycles(rows, agents // rows)


def _product_of_cycles(*lengths: int) -> list[Expr]:
    """Eigenvalues of the adjacency matrix of a product of graphs are the sums of those of the factors."""
    sums = [Integer(1)]
    for length in lengths:
        sums = [value + other for value in sums for other in _cycle(length)]
    return [value / sums[0] for value in sums]


def _cycle(length: int) -> list[Expr]:
    """Eigenvalues of the adjacency matrix of a cycle, the degree first."""
    if length <= 2:
        return [Integer(0)] if length == 1 else [Integer(1), Integer(-1)]
    return [2 * cos(2 * pi * k / length) for k in range(length)]


@_spectrum.register
def _(graph: Hypercube, agents: int) -> list[Expr]:
    """The product of n links: n + 1 - 2 k over n + 1, comb(n, k) times."""
    n = agents.bit_length() - 1
    return [Rational(n + 1 - 2 * k, n + 1) for k in range(n + 1) for _ in range(comb(n, k))]


@_spectrum.register
def _(graph: Star, agents: int) -> list[Expr]:
    """Links weigh 1 / N, and L has the eigenvalues 0, 1 (N - 2 times) and N."""
    return [Integer(1), *[1 - Rational(1, agents)] * (agents - 2), Integer(0)]


@_spectrum.register
def _(graph: Chain, agents: int) -> list[Expr]:
    """Links weigh 1/3 (1/2 for two agents), and L has the eigenvalues 2 - 2 cos(pi k / N)."""
    return [1 - (2 - 2 * cos(pi * k / agents)) / min(agents, 3) for k in range(agents)]


@_spectrum.register
def _(graph: TwoHub, agents: int) -> list[Expr]:
    """With m leaves links weigh 1 / (1 + max(m, 2)); L of K(2, m) has 0, 2 (m - 1 times), m and m + 2."""
    leaves = agents - 2
    values = (0, *[2] * (leaves - 1), leaves, leaves + 2)
    return [1 - Rational(value, 1 + max(leaves, 2)) for value in values]


@_spectrum.register
def _(graph: DirectedRing, agents: int) -> list[Expr]:
    """Circulant."""
    return _circulant([1], agents)


@_spectrum.register
def _(graph: Exponential, agents: int) -> list[Expr]:
    """Circulant."""
    return _circulant(hops(agents), agents)


def _circulant(hops: list[int], agents: int) -> list[Expr]:
    """(1 + sum over hops h of exp(-2 pi i k h / N)) / (1 + number of hops) for k = 0 to N - 1."""
    found = []
    for k in range(agents):
        angles = [2 * pi * k * hop / agents for hop in hops]
        total = 1 + sum(map(cos, angles)) - sympy.I * sum(map(sin, angles))
        found.append(total / (1 + len(hops)))
    return found
