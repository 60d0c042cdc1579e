"""Every claim with its verdict, from claims.csv."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.shown import PaperTable
from theory.claims.primary import SEEDS

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = ("id", "claim", "where", "verdict", "checks", "primary", "conditions", "counterexample")


class ClaimsTable(PaperTable):
    """What holds?"""

    kind = "claims"

    @override
    def caption(self) -> str:
        return (
            "Every claim with its verdict: holds, holds under conditions, equal (where less is claimed), "
            "refuted, or undecidable here. Of a claim on how well agents do, the primary comparison decides, "
            "which it names in advance: mean differences paired by seed, in Holm-corrected intervals, of "
            f"{SEEDS} seeds or more. All other comparisons are secondary. All columns, with assumptions, are "
            "in claims.csv of the study, and all comparisons in its evidence.csv."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [layout.claims]

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import io

        import pandas

        from dimat.io.files import read_checked

        found = pandas.read_csv(io.BytesIO(read_checked(layout.claims)), dtype=str, keep_default_na=False)
        return found[list(SHOWN)]
