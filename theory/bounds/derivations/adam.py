"""A coordinate-wise adaptive step, merging at every step: X <- Pi X - alpha D G(X).

D has a diagonal preconditioner for each agent, with entries between m and M: whatever they depend on, the
gradient of the same step included. With Adam's 1 / (sqrt(v) + epsilon) that is M = 1 / epsilon and
m = 1 / (G_max + epsilon), if no entry of any stochastic gradient ever exceeds G_max: assumptions, not
results.

Preconditioners that differ between agents, or that depend on the noise, point elsewhere than the gradient, by
as much as (M - m) / 2 allows. The bound has a term for that which does not vanish with alpha. None can be
without it under these assumptions: agents at rest solve sum_i D_i grad f_i = 0, not sum_i grad f_i = 0. With
m = M = 1 what is left is SGD; its noise through disagreement is bounded less tightly than in `gossip`.
"""

from functools import partial

from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.axioms import (
    BELOW_1,
    HETEROGENEITY,
    JENSEN,
    MERGE,
    NOISE_OF_MEAN,
    SMOOTH_AGENTS,
    a,
    g,
    h,
    k,
    moves,
    p,
    smoothness,
    v,
    w,
)
from theory.bounds.derivations.facts import Axiom, Lemma, SquareOf
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import bound_of_gradients, spread_of_gradients, sum_of_disagreements
from theory.bounds.derivations.symbols import (
    SUMS,
    K,
    L,
    M,
    N,
    Xi,
    Xi_0,
    Xi_next,
    alpha,
    change,
    gap_0,
    kappa,
    m,
    s,
    sigma,
)
from theory.bounds.derivations.vectors import gram, products, square, unbiased, vector
from theory.bounds.gossip_adam import GossipAdam
from theory.bounds.settings import few, many
from theory.problems import Problem, Separable

EPSILON = 10.0
"""Of preconditioners 1 / (sqrt(v) + epsilon) in the audit: large, or they differ too much for a bound to say
anything."""

CENTER = (M + m) / 2
RADIUS = (M - m) / 2
LIMIT = (1 - s) * m / (2 * L * M**2)

LARGER = Range(M, ">=", m)
SMALL_STEP = Range(alpha, "<=", LIMIT)

# D G = CENTER G + RADIUS E with |E_i| <= |G_i|, of the agents' stochastic gradients G. In R^d:
o = vector("o", "the mean of E")
products(p, v, w, o)
# Over agents:
E = vector("E", "what differing preconditioners add, D G = CENTER G + RADIUS E")
r = vector("r", "the agents' noise")
t = vector("t", "D G minus its mean")
products(h, k, r, E)
products(a, t)
unbiased(r, h, k)
gradients = SUMS[gram(v)]

SIZE = gram(v) + gram(g) + sigma**2
SHORT_MEAN = Axiom("mean of E", "Jensen's inequality; |E_i| <= |G_i|; noise is unbiased", gram(o), SIZE)
SHORT = Axiom("E", "|E_i| <= |G_i|; noise is unbiased", gram(E), SIZE)
NOISE_OF_AGENTS = Axiom("noise", "of each agent", gram(r), sigma**2)
FROM_CENTER = Axiom(
    "distances from the mean",
    "those from any other point, as from CENTER p, are larger",
    gram(t),
    square((h + k + r) * CENTER + E * RADIUS),
)

KEPT = alpha / 2 * (m - alpha * L * M**2)
"""What descent keeps of the squared norm of the mean of the agents' gradients."""
SKEWNESS = 3 * alpha * RADIUS / 4 * (2 * kappa**2 + sigma**2)
"""What preconditioners that differ cost in one step's descent."""
PULL = alpha * L**2 * (2 * M - m) / 2
NOISE_OF_DESCENT = alpha**2 * L * M * CENTER * sigma**2 / (2 * N)
INFLOW = alpha**2 * M**2 * (2 * kappa**2 + sigma**2) / (1 - s)
FEEDBACK = alpha**2 * M * RADIUS / (1 - s)
"""What the squared norm of the mean of the agents' gradients adds to Xi in a step."""
TOTAL = (2 / (1 - s)) * (Xi_0 + K * INFLOW + FEEDBACK * gradients)
"""The bound on the sum of Xi_k over k < K."""
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * m * K),
    "noise": alpha * L * M * (M + m) * sigma**2 / (2 * m * N),
    "different preconditioners": 3 * (M - m) / (4 * m) * (2 * kappa**2 + sigma**2),
    "initial disagreement": 2 * L**2 * (2 * M - m) * Xi_0 / (m * (1 - s) * K),
    "heterogeneity": 4 * alpha**2 * L**2 * M**2 * (2 * M - m) * kappa**2 / (m * (1 - s) ** 2),
    "noise through disagreement": 2 * alpha**2 * L**2 * M**2 * (2 * M - m) * sigma**2 / (m * (1 - s) ** 2),
}
STEPS = (
    spread_of_gradients(),
    Inequality(
        "descent",
        "the mean takes a gradient step whose gradient is off by what the agents, and their "
        "preconditioners, are apart",
        change,
        -alpha * m / 2 * gram(p) - KEPT * gram(v) + PULL * Xi + SKEWNESS + NOISE_OF_DESCENT,
        (
            Use(smoothness(((v + w) * CENTER + o * RADIUS) * -alpha), change),
            Use(JENSEN, gram(p, v)),
            Use(SquareOf(p + o), gram(p, o)),
            Use(SquareOf(v + w - o), gram(v, o)),
            Use(SHORT_MEAN, gram(o)),
            Use(NOISE_OF_MEAN, gram(w)),
            Use(Lemma("spread of gradients"), gram(g)),
        ),
        (SMALL_STEP, LARGER, BELOW_1),
    ),
    Inequality(
        "steps apart",
        "|CENTER a + RADIUS b|^2 <= M (CENTER |a|^2 + RADIUS |b|^2)",
        gram(t),
        M * (CENTER * (2 * L**2 * Xi + 2 * kappa**2 + sigma**2) + RADIUS * SIZE),
        (
            Use(FROM_CENTER, gram(t)),
            Use(SquareOf(h + k + r - E), gram(r, E)),
            Use(SquareOf(h - k), gram(h, k)),
            Use(SHORT, gram(E)),
            Use(SMOOTH_AGENTS, gram(h)),
            Use(HETEROGENEITY, gram(k)),
            Use(NOISE_OF_AGENTS, gram(r)),
        ),
        (LARGER,),
    ),
    Inequality(
        "contraction",
        "Young's inequality with the parameter 1 / s - 1",
        Xi_next,
        s * Xi + alpha**2 * gram(t) / (1 - s),
        (
            Use(moves(a * s - t * alpha), Xi_next),
            Use(SquareOf(a * (1 - s) + t * alpha), gram(a, t)),
            Use(MERGE, gram(a)),
        ),
        (BELOW_1,),
    ),
    Inequality(
        "consensus",
        "what the agents' steps are apart is put in",
        Xi_next,
        (1 + s) / 2 * Xi + INFLOW + FEEDBACK * gram(v),
        (
            Use(Lemma("contraction"), Xi_next),
            Use(Lemma("steps apart"), gram(t)),
            Use(Lemma("spread of gradients"), gram(g)),
        ),
        (SMALL_STEP, LARGER, BELOW_1),
    ),
    sum_of_disagreements(TOTAL, BELOW_1),
    bound_of_gradients(TERMS, SMALL_STEP, LARGER, BELOW_1),
)


def largest_entry(problem: Problem) -> float:
    """What no entry of any stochastic gradient exceeds: it exists where losses have bounded slopes."""
    if not isinstance(problem, Separable):
        raise TypeError(f"gradients of the problem {problem.name} are not bounded")
    return float(problem.amplitudes.max()) + problem.sigma / problem.dimensions**0.5


ADAM = AuditedBound(
    key="adam",
    title="coordinate-wise adaptive steps, merging at every step",
    method="X <- Pi X - alpha D G(X), with diagonal preconditioners D_i whose entries lie between m and M",
    source="derived here",
    setting="entries of the preconditioners are bounded from both sides, and may depend on anything",
    measures="the points X at which gradients are taken, before each merge",
    excludes="Adam's first momentum (beta_1 > 0) and weight decay; local steps; a limit of 0: the term of "
    "different preconditioners stays as alpha tends to 0; that m and M exist is assumed",
    steps=STEPS,
    terms=TERMS,
    disagreement=None,
    step_sizes={"descent and consensus": LIMIT},
    speed_up=None,
    rule=lambda step_size, local_steps: GossipAdam(learning_rate=step_size, first=0.0, epsilon=EPSILON),
    known=lambda problem: {"m": 1 / (largest_entry(problem) + EPSILON), "M": 1 / EPSILON},
    quick=partial(few, "adam", ("separable",)),
    full=partial(many, "adam", ("separable",)),
)
