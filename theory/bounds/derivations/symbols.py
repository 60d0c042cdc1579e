"""The table of symbols: a name has one symbol, with one sign and one meaning, in all derivations.

Setting: each agent's loss is L-smooth; stochastic gradients are unbiased with variance at most sigma^2 for
each agent, independent between agents and steps; heterogeneity is at most kappa^2 everywhere:
(1/N) sum_i |grad f_i(x) - grad f(x)|^2 <= kappa^2; Pi is symmetric and doubly stochastic.

Constants appear in bounds. Quantities vary from step to step, and have a sum over all steps k < K.
"""

from collections.abc import Iterable

import sympy
from sympy import Expr, Symbol

TABLE: dict[str, Symbol] = {}
"""Every symbol by its name."""
MEANINGS: dict[Symbol, str] = {}
"""What each symbol means."""
SUMS: dict[Symbol, Symbol] = {}
"""The sum over k < K of each quantity."""


def symbol(name: str, meaning: str, *, sign: str = "nonnegative") -> Symbol:
    """A new symbol of the table; ``sign`` is "positive", "nonnegative" or "real"."""
    if name in TABLE:
        raise ValueError(f"{name}: is in the table already; a name has one symbol")
    found = TABLE[name] = Symbol(name, **{sign: True})
    MEANINGS[found] = meaning
    return found


def quantity(name: str, meaning: str, *, sign: str = "nonnegative") -> Symbol:
    """A symbol of what varies with the step k; its sum over k < K is another."""
    found = symbol(name, meaning, sign=sign)
    SUMS[found] = symbol(f"sum {name}", f"sum over k < K of {name}", sign=sign)
    return found


def unknown(expressions: Iterable[Expr]) -> list[str]:
    """The names of symbols in ``expressions`` that are not those of the table."""
    found = sympy.Tuple(*expressions).free_symbols
    return sorted(str(each) for each in found if TABLE.get(str(each)) != each)


alpha = symbol("alpha", "step size", sign="positive")
L = symbol("L", "smoothness of every agent's loss", sign="positive")
sigma = symbol("sigma", "sigma^2 is the variance of an agent's stochastic gradient")
kappa = symbol("kappa", "kappa^2 is the heterogeneity")
N = symbol("N", "number of agents", sign="positive")
K = symbol("K", "number of gradient steps of an agent", sign="positive")
tau = symbol("tau", "number of gradient steps between merges", sign="positive")
s = symbol("s", "sqrt(rho), the second largest absolute eigenvalue of Pi; 0 for the complete graph")
beta = symbol("beta", "decay of the velocity")
m = symbol("m", "smallest entry of the preconditioners", sign="positive")
M = symbol("M", "largest entry of the preconditioners", sign="positive")
gap_0 = symbol("gap_0", "f(xbar_0) - f*")
Xi_0 = symbol("Xi_0", "mean squared distance of the agents from their mean at the first gradient")
c = symbol("c", "a number from 0 to 1 that is free: the bound holds for each", sign="positive")
CONSTANTS = frozenset(TABLE.values())

Xi = quantity("Xi", "mean squared distance of the agents from their mean")
Xi_next = quantity("Xi_next", "Xi after the step, expected")
change = quantity("change", "f at the mean after the step, expected, minus f before it", sign="real")
j = symbol("j", "number of local steps since the start of a round")
start = symbol("start", "Xi at the start of a round")
start_next = symbol("start_next", "Xi at the start of the next round")
ended = symbol("ended", "Xi after tau local steps of a round")
in_round = symbol("in_round", "sum of Xi over the steps of a round")
starts = SUMS[start] = symbol("sum start", "sum of start over the rounds")
SUMS[in_round] = SUMS[Xi]
starts_next = SUMS[start_next] = symbol("sum start_next", "sum of start_next over the rounds")
total, total_next, changes = SUMS[Xi], SUMS[Xi_next], SUMS[change]

rho = Symbol("rho", nonnegative=True)
IN_LATEX = {Xi_0: r"\Xi_0", gap_0: r"\left(f(\bar x_0) - f^*\right)"}
IN_TYPST = {Xi_0: "Xi_0", gap_0: "(f(overline(x)_0) - f^*)"}


def in_rho(expression: Expr) -> Expr:
    """The same for print, with sqrt(rho) for s."""
    return expression.subs({s: sympy.sqrt(rho)})
