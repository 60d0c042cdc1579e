"""Print environment.yml, for conda, from the dependencies that pyproject.toml lists."""

import re
import tomllib
from pathlib import Path

NAMES = {"torch": "pytorch"}
"""Packages that are called otherwise by conda."""
PIP = ("pepit", "rocrate", "typst", "snakemake-logger-plugin-rich")
"""Packages that conda's channels do not have."""

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
more = project["optional-dependencies"]
listed = [*project["dependencies"], *more["pipeline"], *more["audit"], *more["docs"], *more["dev"]]
found = [re.fullmatch(r"([\w-]+)(>=[\d.]+)", each) for each in listed if not each.startswith("dimat[")]
wanted = [(each.group(1), each.group(2)) for each in found]
print("# conda env create -f environment.yml && conda activate dimat && pip install --no-deps -e .")
print("# Written by .ci/environment.py.")
print("name: dimat\nchannels:\n  - conda-forge\n  - bioconda\ndependencies:")
print(f"  - python{project['requires-python']}")
for name, version in wanted:
    if name not in PIP:
        print(f"  - {NAMES.get(name, name)}{version}")
print("  - pip\n  - pip:")
for name, version in wanted:
    if name in PIP:
        print(f"      - {name}{version}")
