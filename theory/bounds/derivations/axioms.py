"""The assumptions that all derivations share, as statements about vectors. Each is attained.

The mean of all agents moves as xbar <- xbar - alpha (v + w); an agent's distance from it as the method says.
Sources: Lian et al. 2017 (arXiv 1705.09056), Koloskova et al. 2020 (arXiv 2003.10422).
"""

from theory.bounds.derivations.facts import Axiom
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.symbols import (
    L,
    N,
    Xi,
    Xi_0,
    Xi_next,
    change,
    changes,
    gap_0,
    kappa,
    s,
    sigma,
    total,
    total_next,
)
from theory.bounds.derivations.vectors import Vector, dot, gram, products, square, unbiased, vector

BELOW_1 = Range(s, "<")

# In R^d.
p = vector("p", "grad f(xbar)")
v = vector("v", "the mean of the agents' gradients")
w = vector("w", "the mean of the agents' noise")
products(p, v)
unbiased(w, p, v)

# Over agents, mean over them.
x = vector("x", "the agents' distances from their mean", Xi)
a = vector("a", "what a merge leaves of x, over s")
g = vector("g", "the agents' gradients, minus their mean")
h = vector("h", "grad f_i(x_i) - grad f_i(xbar)")
e = vector("e", "h minus its mean")
k = vector("k", "grad f_i(xbar) - grad f(xbar)")
n = vector("n", "the agents' noise, minus its mean")
products(x, a, g, h, e, k)
unbiased(n, x, a, g, h, e, k)


def smoothness(moved: Vector, at: Vector = p) -> Axiom:
    """F at a point that moves by ``moved``, where the gradient is ``at``."""
    return Axiom("smoothness", "f is L-smooth", change, dot(at, moved) + L / 2 * square(moved))


JENSEN = Axiom(
    "gradients at the mean",
    "the agents' losses are L-smooth; Jensen's inequality",
    square(p - v),
    L**2 * Xi,
)
NOISE_OF_MEAN = Axiom("noise of the mean", "noise is independent between agents", gram(w), sigma**2 / N)
NOISE = Axiom("noise off the mean", "noise is independent between agents", gram(n), sigma**2 * (1 - 1 / N))
MERGE = Axiom("merge", "Pi - J contracts by s", gram(a), Xi)
SMOOTH_AGENTS = Axiom("smooth agents", "the agents' losses are L-smooth", gram(h), L**2 * Xi)
SMOOTH_OFF_MEAN = Axiom(
    "smooth agents, off the mean", "the same; distances from the mean are the smallest", gram(e), L**2 * Xi
)
HETEROGENEITY = Axiom("heterogeneity", "of the gradients at xbar", gram(k), kappa**2)
TWO_PARTS = Axiom(
    "distances from the mean", "those from any other point, as from p, are larger", gram(g), square(h + k)
)
BELOW = Axiom("f >= f*", "f(xbar_K) >= f*", -gap_0, changes)
NOT_NEGATIVE = Axiom("sums of Xi", "they differ by Xi_K - Xi_0, and Xi_K >= 0", total - Xi_0, total_next)


def moves(by: Vector) -> Axiom:
    """The agents' distances from their mean, after a step."""
    return Axiom("step", "what the method does, off the mean", Xi_next, square(by), is_identity=True)


def combines(adapted: Vector) -> Axiom:
    """The same, where agents merge what the step has made."""
    return Axiom("adapt, then combine", "a merge contracts by s", Xi_next, s**2 * square(adapted))
