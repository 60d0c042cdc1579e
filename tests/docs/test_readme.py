"""What the README says works, works."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_of_the_python_interface_prints_what_the_readme_says(tmp_path):
    (example,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
        if "import dimat" in block
    ]
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    averaged, merged = map(
        float, re.search(r"averaged ([\d.]+) matched and averaged ([\d.]+)", done.stdout).groups()
    )
    assert merged > averaged + 0.05
    assert "0.weight, axis 0" in done.stdout
    assert list(tmp_path.iterdir()) == []
