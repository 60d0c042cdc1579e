"""The page about the algorithm points at functions that exist."""

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "algorithm.md"
LINKS = re.findall(r"\[`([\w.]+)`\]\(([^)]+)\)", PAGE.read_text())


@pytest.mark.parametrize(("name", "path"), LINKS)
def test_every_link_is_to_a_function_of_its_file(name, path):
    names = set()
    for node in ast.parse((PAGE.parent / path).read_text()).body:
        names.add(getattr(node, "name", None))
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    assert name in names


def test_the_page_has_links():
    assert len(LINKS) > 8
