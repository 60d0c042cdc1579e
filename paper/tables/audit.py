"""The audit of bounds, summarized: a row for each check, statement and problem; all of it is in audit.csv."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class AuditTable(PaperTable):
    """Which checks were made, and how they ended."""

    kind = "audit"

    @override
    def caption(self) -> str:
        return (
            "Measured numbers against bounds: graphs, verdicts, and the range of bound over measured number "
            "where that is a mean over seeds. All checks are in audit.csv, those on the study itself in "
            "evidence.csv."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [layout.audit]

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import pandas

        from theory.report import read_audit

        audit = read_audit(layout.audit)
        measured, bound = (pandas.to_numeric(audit[name]) for name in ("measured", "bound"))
        ratio = (bound / measured.where(measured != 0)).where(audit.seeds != "")
        keys = ["check", "statement", "problem"]
        groups = audit.assign(ratio=ratio).groupby(keys, sort=False)
        return pandas.DataFrame(
            [dict(zip(keys, names, strict=True)) | summary_of(here) for names, here in groups]
        )


def summary_of(rows: "DataFrame") -> dict[str, str]:
    """Graphs, verdicts and ratios of some rows."""
    sampled = rows.ratio.dropna()
    return {
        "graphs": ", ".join(distinct(rows.graph)),
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in rows.verdict.value_counts().items()),
        "bound / measured": f"{sampled.min():.3g} to {sampled.max():.3g}" if len(sampled) else "",
    }
