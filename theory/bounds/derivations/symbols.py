"""The symbols that all derivations share, and what they mean.

Setting: each agent's loss is L-smooth; stochastic gradients are unbiased with variance at most sigma^2 for
each agent, independent between agents and steps; heterogeneity is at most kappa^2 everywhere:
(1/N) sum_i |grad f_i(x) - grad f(x)|^2 <= kappa^2; Pi is symmetric and doubly stochastic.
"""

import sympy
from sympy import Expr, Symbol

alpha, L, N, K, tau = sympy.symbols("alpha L N K tau", positive=True)
sigma, kappa, s, beta = sympy.symbols("sigma kappa s beta", nonnegative=True)
Xi, Xi_0, gap_0 = sympy.symbols("Xi Xi_0 gap_0", nonnegative=True)
m, M = sympy.symbols("m M", positive=True)

MEANINGS: dict[Symbol, str] = {
    alpha: "step size",
    L: "smoothness of every agent's loss",
    sigma: "sigma^2 is the variance of an agent's stochastic gradient",
    kappa: "kappa^2 is the heterogeneity",
    N: "number of agents",
    K: "number of gradient steps of an agent",
    tau: "number of gradient steps between merges",
    s: "sqrt(rho), the second largest absolute eigenvalue of Pi; 0 for the complete graph",
    beta: "decay of the velocity",
    m: "smallest entry of the preconditioners",
    M: "largest entry of the preconditioners",
    gap_0: "f(xbar_0) - f*",
    Xi_0: "mean squared distance of the agents from their mean at the first gradient",
}
"""The constants of all bounds."""

rho = Symbol("rho", nonnegative=True)
IN_LATEX = {Xi_0: r"\Xi_0", gap_0: r"\left(f(\bar x_0) - f^*\right)"}
IN_TYPST = {Xi_0: "Xi_0", gap_0: "(f(overline(x)_0) - f^*)"}


def in_rho(expression: Expr) -> Expr:
    """The same for print, with sqrt(rho) for s."""
    return expression.subs({s: sympy.sqrt(rho)})


aa, bb, at_mean, of_agents, apart = sympy.symbols("aa bb at_mean of_agents apart", nonnegative=True)
ab, inner = sympy.symbols("ab inner", real=True)
spread = Symbol("spread", nonnegative=True)  # of the agents' gradients around their mean
total = Symbol("total", nonnegative=True)  # sum of Xi_k over k < K

AUXILIARY: dict[Symbol, str] = {
    Xi: "mean squared distance of the agents from their mean",
    aa: "squared norm of any vector a",
    bb: "squared norm of any vector b",
    ab: "inner product of a and b",
    at_mean: "squared norm of grad f(xbar)",
    of_agents: "squared norm of the mean of the agents' gradients",
    inner: "inner product of grad f(xbar) and the mean of the agents' gradients",
    spread: "mean squared distance of the agents' gradients from their mean",
    total: "sum of Xi_k over k < K",
}
"""Quantities that appear in steps and not in bounds; a derivation adds its own."""
