"""The tables, one file each."""

from dimat.experiment.config import Study
from paper.shown import PaperTable, by_id
from paper.tables.advantage import AdvantageTable
from paper.tables.audit import AuditTable
from paper.tables.claims import ClaimsTable
from paper.tables.comparison import ComparisonTable
from paper.tables.congestion import CongestionTable
from paper.tables.difference import DifferenceTable
from paper.tables.final import FinalTable
from paper.tables.progress import ProgressTable
from paper.tables.rates import RatesTable
from paper.tables.reference import ReferenceTable
from paper.tables.schedules import SchedulesTable

known_tables: tuple[type[PaperTable], ...] = (
    ProgressTable,
    DifferenceTable,
    SchedulesTable,
    ComparisonTable,
    CongestionTable,
    AdvantageTable,
    ReferenceTable,
    AuditTable,
    ClaimsTable,
)
"""All kinds of tables of a study, in the order of its paper."""
report_tables: tuple[type[PaperTable], ...] = (RatesTable, FinalTable, *known_tables)
"""All kinds that the paper over several studies can show."""


def tables_of(study: Study) -> dict[str, PaperTable]:
    """All tables of a study by id."""
    return by_id(known_tables, study)
