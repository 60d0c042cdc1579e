"""How tight bounds are, as a page of Markdown: certified brackets, and the power of the audit."""

from collections.abc import Iterator

from pandas import DataFrame

from theory.claims.power import WHOLE, Parts, limits
from theory.worst_case.case import ZERO, Case
from theory.worst_case.own_case import rounded
from theory.worst_case.proof import Proof
from theory.worst_case.replay import Attained
from theory.worst_case.stored import HALVES, at_largest, derived_bounds

INTRODUCTION = """# How tight the bounds are

Made by `dimat tightness`; with `--search theory/worst_case/proofs.json` it seeks all proofs below anew, for
some minutes. [Claims and verdicts](claims.md) says what the bounds are for.

## Exact worst cases

Over all losses that are L-smooth, with heterogeneity kappa and an initial gap, the worst case of a few
steps of a method is the value of a semidefinite program (Drori and Teboulle 2014; Taylor, Hendrickx and
Glineur 2017; for several agents Colla and Hendrickx 2022-2024). What a solver says of it is a suggestion.
Both ends of a bracket are proved in rational numbers, which are stored
([proofs.json](../theory/worst_case/proofs.json)), and which a test checks without a solver:

- *At most*: multipliers, none of them negative, with which the conditions on all losses add up to the
  claim; what is left over is a positive definite form, by exact pivots
  ([upper.py](../theory/worst_case/upper.py)).
- *At least*: losses f + <c_i, x> in a few dimensions that do as badly. That they are as smooth, as alike
  and as close to their minimum as they must be is checked point by point
  ([lower.py](../theory/worst_case/lower.py)). The library's own method runs on them, in a row of the audit.

Brackets are wide where losses with a common f do not attain what smoothness, and heterogeneity at the
agents' mean alone, allow. Below, gradients are exact, L is 1, tau is 2, but 1 in the
last row of local steps, and beta is 1/2; the quantity is the
mean over k < K of the squared gradient at the agents' mean, or of their disagreement Xi_k;
seconds are those of one processor.
"""
OWN = """
A setting of one's own, of up to 8 agents and 10 steps, takes seconds to half a minute:

```sh
dimat worst-case gossip --graph ring --agents 5 --steps 4 --heterogeneity 0.5 --disagreement 1
```
"""
POWER = """
## The power of the audit

A bound that nothing comes near may be claimed too small without notice. So for every bound, and every term
of those on the gradient (`convergence`), this is the largest factor that some row of the audit rejects: a
bound times that factor, or less, would not pass. *Drawn* is of problems drawn at random alone, *searched*
of all rows, and the last columns name the row: [near worst cases](../theory/bounds/near_worst.py), and the
worst cases above. A dash means that nothing tests the term: in no row does the measured number exceed the
sum of the others, so that it could be set to 0 unnoticed. Where that row is a worst case, *limit* is what no
losses can exceed in such settings, by the upper ends of all brackets. Brackets have no noise, and there are
none of methods whose preconditioners depend on anything.
"""
ALONE = """
With an initial gap alone, agents are one: gradient descent attains 1 / (2 - alpha L) of the term of the gap,
on a parabola, and no more, as its descent is exact. At the largest step size of any graph that is
{shares}. Only together with disagreement do losses come nearer.
"""
DESCENDING = ("gossip", "local_steps")
"""Bounds whose largest step size, of all graphs, is below that of descent."""
BRACKETS = (
    *("method", "quantity", "mixing", "N", "K", "alpha", "gap, kappa^2, Xi_0"),
    *("worst case", "least derived bound", "loose by at most", "seconds"),
)
POWERS = ("bound", "part", "limit", "drawn", "searched", "problem", "mixing", "N", "K")


def tightness_page(proofs: list[Proof], powers: DataFrame) -> str:
    """The whole page."""
    shares = " and ".join(f"{_of_gap_alone(rule):.2f} for {rule}" for rule in DESCENDING)
    texts = (POWER.strip("\n"), ALONE.format(shares=shares))
    return "\n".join([INTRODUCTION, *_brackets(proofs), OWN, *texts, *_powers(powers, limits(proofs)), ""])


def _of_gap_alone(rule: str) -> float:
    """1 / (2 - alpha L) at the largest step size of a bound, where merges leave no disagreement."""
    return 1 / (2 - float(at_largest(Case(rule, HALVES, 1, ZERO, ZERO, ZERO)).step_size))


def _brackets(proofs: list[Proof]) -> Iterator[str]:
    yield from _head(BRACKETS)
    for proof in proofs:
        case, bounds = proof.case, derived_bounds(proof.case)
        low, high = rounded(float(proof.low), up=False), rounded(float(proof.high), up=True)
        loose = ("-", "-")
        if bounds:
            key = min(bounds, key=bounds.__getitem__)
            ratio = rounded(bounds[key] / float(proof.low), up=True, digits=4)
            loose = (f"{bounds[key]:.4g}" + f" ({key})" * (key != case.rule), f"{ratio:.4g}")
        start = f"{case.gap}, {case.heterogeneity}, {case.disagreement}"
        step_size = f"{float(case.step_size):.4g}"
        where = (case.rule, case.quantity, proof.graph, case.agents, case.steps, step_size, start)
        yield _line(*where, f"[{low:.6g}, {high:.6g}]", *loose, f"{proof.seconds:.1f}")


def _powers(powers: DataFrame, most: Parts) -> Iterator[str]:
    yield from _head(POWERS)
    for row in powers.itertuples():
        part = "**all**" if row.part == WHOLE else row.part
        where = (row.problem, row.graph, row.agents, row.steps)
        limit = most.get((str(row.check), str(row.part))) if row.problem == Attained.name else None
        yield _line(row.check, part, *map(_two_digits, (limit, row.drawn, row.searched)), *where)


def _head(names: tuple[str, ...]) -> tuple[str, str]:
    return _line(*names), _line(*["---"] * len(names))


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _two_digits(factor: object) -> str:
    return f"{factor:.2f}" if isinstance(factor, float) and factor == factor else "-"
