"""The audit of bounds, summarized: a row for each check, statement and problem; all of it is in audit.csv."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame, Series


class AuditTable(PaperTable):
    """Which checks were made, and how they ended."""

    kind = "audit"

    @override
    def caption(self) -> str:
        return (
            "Measured numbers against bounds: graphs, verdicts, and the range of bound over measured number "
            "where that is a mean over seeds. Of bounds with sharper constants, how many times smaller they "
            "are than the classical ones of the same runs: the median, and the range. All checks are in "
            "audit.csv, those on the study itself in evidence.csv."
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
        groups = audit.assign(ratio=ratio, gain=gains(audit.assign(bound=bound))).groupby(keys, sort=False)
        return pandas.DataFrame(
            [dict(zip(keys, names, strict=True)) | summary_of(here) for names, here in groups]
        )


def summary_of(rows: "DataFrame") -> dict[str, str]:
    """Graphs, verdicts, ratios and gains of some rows."""
    sampled, gained = rows.ratio.dropna(), rows.gain.dropna()
    gain = f"{gained.median():.3g} ({gained.min():.3g} to {gained.max():.3g})" if len(gained) else ""
    return {
        "graphs": ", ".join(distinct(rows.graph)),
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in rows.verdict.value_counts().items()),
        "bound / measured": f"{sampled.min():.3g} to {sampled.max():.3g}" if len(sampled) else "",
        "times smaller": gain,
    }


def gains(audit: "DataFrame") -> "Series":
    """For each row of a bound that sharpens another, the other's bound in the same run over its own."""
    from theory.bounds.derivations import DERIVATIONS

    run = ["check", "problem", "graph", "agents", "steps", "step_size", "control"]
    rows = audit.assign(control=audit.statement.str.startswith("control"))
    first = rows.drop_duplicates(run).set_index(run).bound
    kind, _, key = (rows.check.str.partition(".")[each] for each in range(3))
    about = key.map({name: each.sharpens for name, each in DERIVATIONS.items()}).fillna("")
    others = rows.assign(check=kind + "." + about)[run]
    found = first.reindex([tuple(each) for each in others.itertuples(index=False)])
    return (found.set_axis(rows.index) / rows.bound).where((about != "") & ~rows.control)
