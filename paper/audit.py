"""The audit of bounds, summarized for the paper; all of its rows are in audit.csv."""

import io

import pandas

from dimat.errors import InputError


def audit_summary(content: bytes) -> pandas.DataFrame:
    """A line for each claim, statement and problem: graphs, verdicts, and the range of bound / measured.

    ``content`` is that of audit.csv. `InputError` if it is damaged.
    """
    try:
        rows = pandas.read_csv(io.BytesIO(content), keep_default_na=False)
        rows = rows.assign(ratio=rows["bound"] / rows["measured"].where(rows["measured"] != 0))
        groups = list(rows.groupby(["claim", "statement", "problem"], sort=False))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"audit.csv: damaged ({error}); delete it and run again") from None
    return pandas.DataFrame([line(dict(zip(("claim", "statement", "problem"), keys, strict=True)), own)
                             for keys, own in groups])  # fmt: skip


def line(what: dict[str, str], rows: pandas.DataFrame) -> dict[str, str]:
    """One line; ratios only where a sampled number is compared with its bound."""
    sampled = rows[rows.seeds != ""].ratio.dropna()
    counts = rows.verdict.value_counts()
    return what | {
        "graphs": ", ".join(dict.fromkeys(rows.graph)),
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        "bound / measured": f"{sampled.min():.3g} to {sampled.max():.3g}" if len(sampled) else "",
    }
