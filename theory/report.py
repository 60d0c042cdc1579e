"""The audit and the derivation as text."""

import csv
import io
from collections.abc import Iterator

import sympy

from theory.audit import Row
from theory.gossip_bound import derivation, terms


def as_csv(rows: list[Row]) -> str:
    """One line for each check."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "check",
            "graph",
            "agents",
            "step size",
            "steps",
            "seeds",
            "measured",
            "upper 95 %",
            "bound",
            "verdict",
        ]
    )
    for row in rows:
        numbers = [row.measured, row.high, row.bound]
        writer.writerow(
            [
                row.check,
                row.graph,
                row.agents,
                "" if row.step_size is None else f"{row.step_size:.3g}",
                "" if row.steps is None else row.steps,
                "" if row.seeds is None else row.seeds,
                *(f"{number:.4g}" for number in numbers),
                "holds" if row.holds else "violated",
            ]
        )
    return text.getvalue()


def summary(rows: list[Row]) -> Iterator[str]:
    """One line for each kind of check: how many, how many violated, how tight."""
    for check in dict.fromkeys(row.check for row in rows):
        kind = [row for row in rows if row.check == check]
        violated = sum(not row.holds for row in kind)
        ratios = [row.bound / row.measured for row in kind if row.measured > 0]
        tightness = f"; bound / measured {min(ratios):.3g} to {max(ratios):.3g}" if ratios else ""
        yield f"{check}: {len(kind)} checks, {violated} violated{tightness}"


def derivation_text() -> str:
    """Every step of the derivation, and whether it follows."""
    lines = []
    for step in derivation():
        verdict = "follows (checked by sympy)" if step.follows() else "DOES NOT FOLLOW"
        lines += [
            f"{step.name}: {verdict}",
            f"  because  {step.because}",
            f"  left     {step.left}",
            f"  <=       {step.right}",
            "",
        ]
    lines.append("The mean over k < K of E |grad f(xbar_k)|^2 is at most the sum of")
    lines += [f"  {name}: {sympy.sstr(term)}" for name, term in terms().items()]
    return "\n".join(lines)
