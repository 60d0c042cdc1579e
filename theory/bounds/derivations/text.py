"""Derivations and published rates, to read in a terminal."""

from collections.abc import Iterator

import sympy

from theory.bounds.derivations.derivation import Derivation, found_in
from theory.bounds.derivations.facts import Steps
from theory.bounds.derivations.inequality import Inequality
from theory.bounds.derivations.published import Rate
from theory.bounds.derivations.symbols import MEANINGS


def derivation_text(derivation: Derivation) -> str:
    """Every step of a derivation, and whether it follows; then the bound, its limits and its symbols."""
    lines = [
        f"{derivation.title} ({derivation.key})",
        f"  method   {derivation.method}",
        f"  source   {derivation.source}",
        f"  setting  {derivation.setting}",
        f"  measures {derivation.measures}",
        f"  excludes {derivation.excludes}",
        "",
        *(_step_text(step, derivation.before(step)) for step in derivation.steps),
        "The mean over k < K of E |grad f(xbar_k)|^2 is at most the sum of",
        *(f"  {name}: {term}" for name, term in derivation.terms.items()),
    ]
    if derivation.disagreement is not None:
        lines.append(f"and that of Xi_k at most\n  {derivation.disagreement}")
    lines.append("if alpha is at most, for")
    for reason, limit in derivation.step_sizes.items():
        lines.append(f"  {reason}: {limit}{' (excluded)' * (reason in derivation.excluded)}")
    lines += ["", *(_step_text(step, {}) for step in derivation.comparison), *_meanings(derivation)]
    return "\n".join(lines)


def rate_text(rate: Rate) -> str:
    """A published rate, and the steps that compare a derivation with it."""
    lines = [
        f"{rate.title} ({rate.key})",
        f"  source   {rate.source} (order as known; not compared with the text)",
    ]
    lines += [f"  holds    {rate.holds}", ""]
    lines.append("The mean over k < K of E |grad f(xbar_k)|^2 is, up to a constant, at most the sum of")
    lines += [f"  {name}: {order}" for name, order in rate.orders.items()]
    return "\n".join([*lines, "", *(_step_text(step, {}) for step in rate.comparison)]).rstrip()


def _step_text(step: Inequality, before: Steps) -> str:
    problem = found_in(step, tuple(before.items()))
    lines = [
        f"{step.name}: {f'DOES NOT FOLLOW: {problem}' if problem else 'follows (checked by sympy)'}",
        f"  because  {step.because}",
        *(f"  where    {each.text}" for each in step.ranges),
        *(f"  {use.fact.text(before)}" for use in step.uses),
        f"  left     {step.left}",
        f"  <=       {step.right}",
        "",
    ]
    return "\n".join(lines)


def _meanings(derivation: Derivation) -> Iterator[str]:
    """What the symbols and vectors mean that appear in the derivation."""
    sides = [side for step in derivation.steps for side in (step.left, step.right)]
    sides += [side for axiom in derivation.axioms() for side in (axiom.left, axiom.right)]
    used = sympy.Tuple(*sides).free_symbols
    for symbol, meaning in MEANINGS.items():
        if symbol in used:
            yield f"{symbol}: {meaning}"
