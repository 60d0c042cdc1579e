"""The paper of a study as a PDF: a typst template filled with figures, tables and provenance."""

import json
from importlib.resources import files as package_files

import typst

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_checked, read_json
from paper.audit import audit_summary
from paper.contents import Accuracy, Audit, Costs, Graphs, Holdings, Matching, figures_of, tables_of
from paper.figures import draw
from paper.tables import as_csv, tabulate
from theory.derivations import DERIVATIONS
from theory.derivations.typst import typst as typst_of
from theory.report import read_audit


def typeset(study: Study, layout: Layout) -> bytes:
    """The PDF, from records, partitions, provenance and audit; the same inputs give the same bytes.

    Figures and tables are made afresh, so that they always agree with the records.
    """
    package = package_files("paper")
    figures = {name: f"figures/{name}.svg" for name in figures_of(study)}
    made = {name: tabulate(study, layout, name) for name in tables_of(study)}
    tables = {name: f"tables/{name}.csv" for name, table in made.items() if not table.empty}
    content = {
        "name": study.name,
        "training": study.training.model_dump(mode="json"),
        "seeds": study.seeds,
        "provenance": read_json(layout.provenance),
        "figures": {
            kind.__name__.lower(): [
                figures[name] for name, what in figures_of(study).items() if isinstance(what, kind)
            ]
            for kind in (Accuracy, Costs, Matching, Holdings, Graphs)
        },
        "tables": tables,
        "bounds": [
            {
                "title": derivation.title,
                "bound": derivation.typst(),
                "limits": [typst_of(limit) for limit in derivation.step_sizes.values()],
            }
            for derivation in DERIVATIONS.values()
        ],
        "audited": {
            what.shows: figures[name] for name, what in figures_of(study).items() if isinstance(what, Audit)
        },
    }
    return typst.compile(
        {
            "main.typ": (package / "dimat.typ").read_bytes(),
            "content.json": json.dumps(content).encode(),
            "claims.csv": read_checked(layout.claims),
            "audit.csv": as_csv(audit_summary(read_audit(layout.audit))),
            "reference.csv": (package / "reference.csv").read_bytes(),
            **{path: draw(study, layout, name) for name, path in figures.items()},
            **{path: as_csv(made[name]) for name, path in tables.items()},
        }
    )
