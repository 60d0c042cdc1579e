"""Merging where nothing is installed but what it needs: every other import fails."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEEDED = ("torch", "numpy", "scipy", "networkx", "pydantic", "safetensors")

HIDDEN = """
import sys

class Without:
    # A finder that finds all but some, as if these were not installed.
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {names!r} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
"""

MERGED = """
import torch
from torch import nn
import dimat

def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
        nn.Linear(96, 5), nn.ReLU(), nn.Linear(5, 3),
    ).eval()

networks, images, labels = [network(0), network(1)], torch.randn(40, 1, 6, 6), torch.arange(40) % 3
for matcher, alignment, coefficients, repair in [
    ("activation", "consistent", "mixing", "recalibrate"),
    ("weight", "universe", "mixing", "least_squares"),
    ("activation-weight", "per_edge", {"name": "entropy", "steps": 2}, "repair"),
]:
    options = {"matcher": matcher, "alignment": alignment, "repair": repair}
    merged = dimat.merge(networks, images, coefficients=coefficients, **options)
    assert torch.isfinite(merged.model(images)).all() and len(merged.groups) == 2
    assert dimat.barrier(networks, (images, labels), points=3, **options)[0, 1].height >= 0
print("merged")
"""


def with_what_they_need(names):
    """Names of distributions, with those that they require on this machine, and so on."""
    found, left = set(), list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        try:
            wanted = map(Requirement, requires(name) or [])
        except PackageNotFoundError:
            continue
        found.add(name)
        left += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def run(code, tmp_path):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_merging_needs_six_packages_and_theirs(tmp_path):
    there = with_what_they_need(NEEDED)
    assert there >= set(NEEDED)
    kept = there | {"dimat"}
    names = {
        name
        for name, owners in packages_distributions().items()
        if kept.isdisjoint(map(canonicalize_name, owners))
    }
    assert names >= {"yaml", "typer", "matplotlib", "pandas", "sklearn", "PIL"}  # the test would find these
    done = run(HIDDEN.format(names=names) + MERGED, tmp_path)
    assert done.returncode == 0 and done.stdout == "merged\n", done.stderr


def test_a_package_that_is_needed_would_be_missed(tmp_path):
    done = run(HIDDEN.format(names={"networkx"}) + MERGED, tmp_path)
    assert done.returncode == 1 and "No module named 'networkx'" in done.stderr
