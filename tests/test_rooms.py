"""The structure: every room of the house imports only rooms that stand below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FROM_THE_GROUND_UP = {
    "dimat": [
        *(
            "errors",
            "randomness",
            "arithmetic",
            "processes",
            "spec",
            "io",
            "topology",
            "communication",
            "models",
            "data",
            "tasks",
        ),
        *("agents", "merging", "methods", "experiment", "cli", "__main__"),
    ],
    "theory": ["rows", "report", "problems", "gap", "bounds", "worst_case", "claims", "commands"],
}


def imports(path):
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def room(name):
    return name.split(".")[1] if "." in name else "__init__"


@pytest.mark.parametrize("package", FROM_THE_GROUND_UP)
def test_rooms_import_only_what_stands_below(package):
    order = FROM_THE_GROUND_UP[package]
    sources = list((ROOT / package).rglob("*.py"))
    assert len(sources) > 20
    for path in sources:
        here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in imports(path):
            if name.split(".")[0] == package and "__init__" not in (here, room(name)):
                assert order.index(room(name)) <= order.index(here), f"{path} imports {name}"


def test_the_library_knows_nothing_of_those_who_use_it():
    for path in (ROOT / "dimat").rglob("*.py"):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"theory", "paper", "benchmarks", "snakemake"}, path
