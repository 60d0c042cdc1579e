"""The paper of a study as a PDF: a typst template filled with figures, tables and provenance."""

import json
from importlib.resources import files as package_files

import typst

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_json
from paper.figures import figures_of
from paper.shown import made
from paper.tables import tables_of
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.typst import typst as typst_of


def typeset(study: Study, layout: Layout) -> bytes:
    """The PDF, from the files of figures and tables; the same files give the same bytes."""
    package = package_files("paper")
    figures, tables = figures_of(study), tables_of(study)
    captions = {name: _made(layout, name, "txt").decode().strip() for name in figures}
    content = {
        "name": study.name,
        "training": study.training.model_dump(mode="json"),
        "seeds": study.seeds,
        "provenance": read_json(layout.provenance),
        "figures": [
            {"kind": each.kind, "path": f"{name}.svg", "caption": captions[name]}
            for name, each in figures.items()
        ],
        "tables": {name: {"path": f"{name}.csv", "caption": each.caption()} for name, each in tables.items()},
        "bounds": [
            {
                "title": derivation.title,
                "bound": derivation.typst(),
                "limits": [typst_of(limit) for limit in derivation.step_sizes.values()],
            }
            for derivation in DERIVATIONS.values()
        ],
    }
    return typst.compile(
        {  # pyright: ignore[reportArgumentType]  # its stub knows no files by name
            "main.typ": (package / "dimat.typ").read_bytes(),
            "common.typ": (package / "common.typ").read_bytes(),
            "content.json": json.dumps(content).encode(),
            "reference.csv": (package / "reference.csv").read_bytes(),
            **{f"{name}.svg": _made(layout, name, "svg") for name in figures},
            **{f"{name}.csv": made(layout.table(name, "csv"), f"table --only {name}") for name in tables},
        }
    )


def _made(layout: Layout, name: str, ending: str) -> bytes:
    return made(layout.figure(name, ending), f"figure --only {name}")
