"""The site: pages of docs/ and what they link to, with a reference made from docstrings; `make site`.

Sources are where they are, so that links among them work here as on any page that shows the repository.
"""

import re
import shutil
import tomllib
from pathlib import Path
from typing import get_args

from sphinx.application import Sphinx

import dimat.experiment.runner  # noqa: F401  # autodoc would import it as type checkers do, which pydantic does not take
from dimat.data import AnyDataSet
from dimat.data.partitions import AnyPartition
from dimat.methods import AnyMethod
from dimat.models import AnyModel
from dimat.tasks import AnyObjective
from dimat.topology import AnyGraph

ROOT = Path(__file__).parents[2]
_project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

project, release = _project["name"], _project["version"]
author = "The dimat developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/**", "config/README.md"),
    *("config/paper/README.md", "paper/archive/README.md"),
]
exclude_patterns = ["docs/site/conf.py", ".venv", "build", "results", "tests"]
html_theme = "furo"
html_title = f"dimat {release}"
html_copy_source = False
myst_heading_anchors = 4
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init"}
nitpicky = False

CONTENTS = """
```{toctree}
:hidden:
:caption: Use

docs/installing
docs/gallery
docs/data
docs/cluster
docs/sweep
docs/extending
config/README
docs/site/reference
```
```{toctree}
:hidden:
:caption: What came out

docs/results
docs/claims
docs/tightness
Methods compared <docs/comparison>
The same on CIFAR-10 <docs/comparison-cifar10>
By the bytes they send <docs/bytes>
When agents sleep or attack <docs/churn>
When frames are chosen anew <docs/rematching>
Transformers <docs/transformers>
Pairs merged once <docs/pairs>
docs/systems
docs/benchmarks
docs/mutations
```
```{toctree}
:hidden:
:caption: How it works

docs/algorithm
docs/methods
docs/symmetries
docs/reproducibility
config/paper/README
paper/archive/README
CONTRIBUTING
CHANGELOG
SECURITY
```
"""
REGISTRIES = {
    "methods": AnyMethod,
    "models": AnyModel,
    "objectives": AnyObjective,
    "graphs": AnyGraph,
    "partitions": AnyPartition,
    "data": AnyDataSet,
}


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the README, which is the first page, the list of all others; and the reference what is registered.

    Links to folders, which a site has none of, become their text.
    """
    here = (Path(app.srcdir) / name).parent

    def link(found: re.Match[str]) -> str:
        return found[1] if (here / found[2]).is_dir() else found[0]

    source[0] = re.sub(r"\[([^]]+)\]\((\.\./[^)]+)\)", link, source[0])
    if name == root_doc:
        source[0] += CONTENTS
    if name == "docs/site/reference":
        for key, registry in REGISTRIES.items():
            found = [
                f".. autoclass:: {each.__module__}.{each.__name__}\n"
                for each in get_args(get_args(registry)[0])
            ]
            source[0] = source[0].replace(f"@{key}@\n", "\n".join(found))


def bars(app: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Leave the bars of absolute values in docstrings as they are: no page has substitutions."""
    del app, kind, name, thing, options
    lines[:] = [line.replace("|", "\\|") for line in lines]


def first_page(app: Sphinx, error: Exception | None) -> None:
    """Have the README found where servers look first."""
    if error is None:
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", bars)
    app.connect("build-finished", first_page)
