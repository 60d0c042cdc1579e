"""The paper of a study as a PDF: a typst template filled with figures, tables and provenance."""

import json
from importlib.resources import files as package_files
from pathlib import Path

import typst

from dimat import files
from dimat.config import Study
from dimat.errors import InputError
from dimat.files import read_json
from dimat.layout import Layout
from paper.contents import Accuracy, Graphs, Holdings, figures_of, tables_of


def typeset(study: Study, layout: Layout) -> None:
    """Write the PDF; the same inputs give the same bytes."""
    needed = [layout.figure(name) for name in figures_of(study)]
    needed += [layout.table(name, "csv") for name in tables_of(study)] + [layout.audit, layout.provenance]
    missing = next((path for path in needed if not path.is_file()), None)
    if missing:
        raise InputError(
            f"{missing}: no such file; the paper needs it: run the steps before (see dimat --help)"
        )
    template = package_files("paper") / "dimat.typ"
    content = {
        "name": study.name,
        "training": study.training.model_dump(mode="json"),
        "seeds": study.seeds,
        "provenance": read_json(layout.provenance),
        "figures": {
            kind.__name__.lower(): [
                str(layout.figure(name).resolve())
                for name, what in figures_of(study).items()
                if isinstance(what, kind)
            ]
            for kind in (Accuracy, Holdings, Graphs)
        },
        "tables": {name: str(layout.table(name, "csv").resolve()) for name in tables_of(study)},
        "audit": str(layout.audit.resolve()),
        "reference": str(Path(str(package_files("paper") / "reference.csv")).resolve()),
    }
    pdf = typst.compile(str(template), root="/", sys_inputs={"content": json.dumps(content)})
    files.write(layout.pdf, pdf)
