"""What a study's own records and networks say of the claims."""

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.records import COLUMNS as RECORDED
from theory.checks import Row
from theory.communication import communication_rows
from theory.first_merges import first_merges
from theory.gains import gain_rows
from theory.holonomy import measured_gap_rows, read_holonomy
from theory.report import read_table


def evidence(study: Study, layout: Layout) -> list[Row]:
    """Rows about the spectral gap between its networks, accuracy, and bytes; none without such methods."""
    holonomy = read_holonomy(layout.holonomy(id) for id in first_merges(study))
    records = read_table(layout.records, RECORDED, numbers=("round", "agents", "value"))
    return [
        *measured_gap_rows(holonomy),
        *gain_rows(records),
        *communication_rows(records, holonomy),
    ]
