"""Print the lowest version of each dependency that pyproject.toml allows, as requirements.

torch and torchvision are left out: `make test-lowest` takes those of constraints.txt, to save gigabytes.
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
more = project["optional-dependencies"]
for requirement in (*project["dependencies"], *more["pipeline"], *more["audit"]):
    name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
    if name not in ("torch", "torchvision"):
        print(f"{name}=={version}")
