"""The audit and the derivation as text."""

from collections.abc import Iterator

import sympy
from pandas import DataFrame

from theory.checks import Row
from theory.gossip_bound import Step, Xi_0, derivation, gap_0, s, terms

COLUMNS = (
    *("claim", "statement", "graph", "agents", "step_size", "steps", "seeds", "quantity"),
    *("measured", "low", "high", "bound", "verdict"),
)
IN_LATEX = {
    s: r"\sqrt{\rho}",
    Xi_0: r"\Xi_0",
    gap_0: r"\left(f(\bar x_0) - f^*\right)",
}


def as_frame(rows: list[Row]) -> DataFrame:
    """One line for each check and control, as text."""
    return DataFrame([[_text(getattr(row, name)) for name in COLUMNS] for row in rows], columns=COLUMNS)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_csv(rows: list[Row]) -> str:
    """All columns, comma-separated."""
    return as_frame(rows).to_csv(index=False, lineterminator="\n")


def as_table(rows: list[Row]) -> str:
    """All checks to read in a terminal; what was corrupted is said of controls only."""
    frame = as_frame(rows).drop(columns="quantity")
    frame["statement"] = [row.statement if row.control else "" for row in rows]
    return frame.to_string(index=False)


def summary(rows: list[Row]) -> Iterator[str]:
    """One line for each claim: how many checks, how many violated, how tight; and one for the controls."""
    claimed = [row for row in rows if not row.control]
    for claim in dict.fromkeys(row.claim for row in claimed):
        kind = [row for row in claimed if row.claim == claim]
        violated = sum(row.violated for row in kind)
        undecided = sum(row.verdict == "undecided" for row in kind)
        # Exact rows are equalities, some of them with 0: their ratios say nothing but round-off.
        ratios = [row.tightness for row in kind if row.seeds]
        tightness = f"; bound / measured {min(ratios):.3g} to {max(ratios):.3g}" if ratios else ""
        yield f"{claim}: {len(kind)} checks, {violated} violated, {undecided} undecided{tightness}"
    corrupted = [row for row in rows if row.control]
    yield f"controls: {len(corrupted)}, {sum(row.violated for row in corrupted)} rejected"


def derivation_text() -> str:
    """Every step of the derivation, and whether it follows."""
    lines = [*map(_step_text, derivation())]
    lines.append("The mean over k < K of E |grad f(xbar_k)|^2 is at most the sum of")
    lines += [f"  {name}: {sympy.sstr(term)}" for name, term in terms().items()]
    lines += [
        "Symbols: s = sqrt(rho), gap_0 = f(xbar_0) - f*, RATE = (1 + s) / 2, power = RATE^k;",
        "  at_mean, of_agents: squared norms of grad f(xbar) and of the mean of the agents' gradients,",
        "  inner: their inner product; aa, bb, ab: the same for any two vectors;",
        "  INFLOW = alpha^2 (2 kappa^2 / (1 - s) + sigma^2);",
        "  spread: mean squared distance of the agents' gradients from their mean.",
    ]
    return "\n".join(lines)


def _step_text(step: Step) -> str:
    verdict = "follows (checked by sympy)" if step.follows() else "DOES NOT FOLLOW"
    return (
        f"{step.name}: {verdict}\n"
        f"  because  {step.because}\n"
        f"  left     {step.left}\n"
        f"  <=       {step.right}\n"
    )


def bound_latex() -> str:
    """The bound in LaTeX, one underbrace for each term."""
    return r"\frac{1}{K} \sum_{k<K} \mathbb{E} \left\|\nabla f(\bar x_k)\right\|^2 \leq " + " + ".join(
        rf"\underbrace{{{sympy.latex(term, symbol_names=IN_LATEX)}}}_{{\text{{{name}}}}}"
        for name, term in terms().items()
    )
