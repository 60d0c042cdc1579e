"""Sharper constants of the same bounds: steps that several of them share.

Two things are gained. Where agents are and how their losses differ move them in unlike ways: h, which is at
most L |x|, is kept with what a merge leaves of x, before Young's inequality takes k apart from both. And the
parameter c of Young's inequality in the descent is free: each c from 0 to 1 gives a bound, so the best may be
taken for the constants at hand; c = 1 is the classical one.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import sympy
from sympy import Expr

from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.axioms import JENSEN, NOISE_OF_MEAN, p, smoothness, v, w
from theory.bounds.derivations.facts import SquareOf
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import LIMIT_OF_DESCENT, NOISE_OF_DESCENT, bound_of_gradients
from theory.bounds.derivations.symbols import K, L, N, Xi, alpha, c, change, gap_0, sigma
from theory.bounds.derivations.vectors import gram
from theory.bounds.settings import few, many

FREE = Range(c, "<=", sympy.Integer(1))
KEPT = 2 - alpha * L - (1 - alpha * L) * c
"""At least 1: what descent keeps of alpha |p|^2 / 2, times 2 / alpha."""
COST = (1 - alpha * L) / c + alpha * L
"""What a unit of Xi costs in descent, in units of alpha L^2 / 2; 1 if c is."""


def sharper_descent() -> Inequality:
    """One step of f at the mean, with any parameter c."""
    return Inequality(
        "descent",
        "Young's inequality with the parameter c",
        change,
        -alpha / 2 * KEPT * gram(p) + alpha * L**2 / 2 * COST * Xi + NOISE_OF_DESCENT,
        (
            Use(smoothness((v + w) * -alpha), change),
            Use(SquareOf(p * c + (v - p)), times=alpha * (1 - alpha * L) / (2 * c)),
            Use(JENSEN, gram(p, v)),
            Use(NOISE_OF_MEAN, gram(w)),
        ),
        (Range(alpha, "<=", LIMIT_OF_DESCENT), FREE),
    )


def sharper_terms(parts: Mapping[str, Expr]) -> dict[str, Expr]:
    """The terms of the bound; ``parts`` add up to that of the mean of Xi."""
    return {
        "initial gap": 2 * gap_0 / (alpha * K * KEPT),
        "noise": alpha * L * sigma**2 / (N * KEPT),
        **{name: COST / KEPT * L**2 * part for name, part in parts.items()},
    }


def sharper_bound(terms: Mapping[str, Expr], *ranges: Range) -> Inequality:
    """The mean squared gradient, from the steps "descent" and "sum of disagreements"."""
    return bound_of_gradients(terms, *ranges, FREE)


def sharpened(
    bound: AuditedBound,
    steps: tuple[Inequality, ...],
    terms: Mapping[str, Expr],
    parts: Mapping[str, Expr],
    **more: Any,
) -> AuditedBound:
    """``bound`` in its own setting with other ``steps`` and ``terms``, in which c is free.

    ``parts`` add up to the bound on the mean of Xi_k over k < K; ``more`` are other fields that differ.
    """
    key = f"sharper_{bound.key}"
    return replace(
        bound,
        key=key,
        title=f"{bound.title}, sharper",
        source="derived here",
        sharpens=bound.key,
        steps=steps,
        terms=terms,
        disagreement=sum(parts.values(), start=sympy.Integer(0)),
        free=(c,),
        speed_up=None,
        quick=partial(few, key, ("separable",)),
        full=partial(many, key, ("separable",)),
        **more,
    )
