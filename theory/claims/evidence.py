"""What a study's own records and networks say of the claims."""

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.records import read_records, read_runs
from theory.claims.claim import primaries
from theory.claims.communication import communication_rows
from theory.claims.gains import gain_rows
from theory.gap.first_merges import first_merges
from theory.gap.holonomy import measured_gap_rows, read_holonomy
from theory.rows import Row


def evidence(study: Study, layout: Layout) -> list[Row]:
    """Rows about the spectral gap between its networks, gains, and bytes; none without such methods.

    Of first merges, those count that were measured: of a study that was carried out by `dimat sweep`, none
    may have been.
    """
    measured = [path for id in first_merges(study) if (path := layout.holonomy(id)).exists()]
    holonomy = read_holonomy(measured)
    runs, records = read_runs(layout.runs), read_records(layout.records)
    return [
        *measured_gap_rows(runs, holonomy),
        *gain_rows(runs, records, primaries()),
        *communication_rows(runs, records, holonomy),
    ]
