"""Every claim with its verdict, from claims.csv."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class ClaimsTable(PaperTable):
    """What holds?"""

    kind = "claims"

    @override
    def caption(self) -> str:
        return (
            "Every claim with its verdict: holds, holds under conditions, refuted, or undecidable here. All "
            "columns, with assumptions, are in claims.csv of the study."
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
        return found[["id", "claim", "where", "verdict", "checks", "conditions", "counterexample"]]
