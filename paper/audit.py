"""The audit of bounds, summarized for the paper; all of its rows are in audit.csv."""

import pandas


def audit_summary(audit: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each claim, statement and problem: graphs, verdicts, and the range of bound / measured.

    ``audit`` is text, as `theory.report.read_audit` has it.
    """
    measured, bound = (pandas.to_numeric(audit[name]) for name in ("measured", "bound"))
    rows = audit.assign(ratio=bound / measured.where(measured != 0))
    names = ["claim", "statement", "problem"]
    groups = rows.groupby(names, sort=False)
    return pandas.DataFrame([line(dict(zip(names, keys, strict=True)), own) for keys, own in groups])


def line(what: dict[str, str], rows: pandas.DataFrame) -> dict[str, str]:
    """One line; ratios only where a sampled number is compared with its bound."""
    sampled = rows[rows.seeds != ""].ratio.dropna()
    counts = rows.verdict.value_counts()
    return what | {
        "graphs": ", ".join(dict.fromkeys(rows.graph)),
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        "bound / measured": f"{sampled.min():.3g} to {sampled.max():.3g}" if len(sampled) else "",
    }
