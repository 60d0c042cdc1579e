"""What the README says works, works."""

import ast
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_of_the_python_interface_works(tmp_path):
    (example,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
        if "import dimat" in block
    ]
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = ast.literal_eval(done.stdout.removeprefix("mean correlation of matched channels "))
    assert len(found) == 3 and all(0 < value <= 1 for value in found.values())
    assert list(tmp_path.iterdir()) == []
    # What it says of transformers is that they are matched: all but what goes in and comes out.
    shown = example + "\nprint(len(merged.groups), sum(bool(group.blocks) for group in merged.groups))"
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    groups, of_heads = map(int, done.stdout.splitlines()[-1].split())
    assert groups > of_heads > 0


def test_the_readme_is_short_and_its_files_are_there():
    text = README.read_text()
    assert text.count("\n") <= 130
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert (README.parent / target).exists(), target


def test_verdicts_are_those_of_the_default_study():
    """Those on the page of results, which is made from records."""
    page = (README.parent / "docs" / "results.md").read_text()
    verdicts = page.split("### quick: claims\n")[1].split("\n#")[0]
    said = {
        claim: row.split("|")[2].strip()
        for row in README.read_text().split("| claim | verdict |")[1].split("\n\n")[0].splitlines()
        for claim in re.findall(r"\(`([a-z-]+)`\)", row)
    }
    assert len(said) >= 8
    for claim, verdict in said.items():
        (line,) = re.findall(rf"^\| {claim} \|.*", verdicts, re.M)
        assert f"| {verdict} |" in line, (claim, verdict, line)
