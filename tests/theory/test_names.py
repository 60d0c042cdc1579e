"""One name, one thing: no two public classes are called alike, and no two functions of the audit."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def definitions(folders, kind):
    """Where each public class or function of modules is defined, by name."""
    found = defaultdict(list)
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, kind) and not node.name.startswith("_"):
                    found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def shared(definitions):
    return {name: paths for name, paths in definitions.items() if len(paths) > 1}


def test_no_two_classes_have_one_name():
    assert shared(definitions(("dimat", "theory", "paper", "benchmarks"), ast.ClassDef)) == {}


def test_no_two_functions_of_the_audit_have_one_name():
    assert shared(definitions(("theory",), ast.FunctionDef)) == {}
