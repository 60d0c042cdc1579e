"""`dimat merge` of Vision Transformers, whose shapes hang on the size of images."""

import pytest
from safetensors.torch import save_file

from dimat.models import Vit

SPEC = "{name: vit, patch: 2, width: 8, depth: 1, heads: 2}"


@pytest.fixture
def networks(tmp_path):
    for name in ("a", "b"):
        network = Vit(patch=2, width=8, depth=1, heads=2).build(1, 10, (8, 8))
        save_file(network.state_dict(), tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair"])
def test_two_become_one(dimat, networks, repair):
    done = dimat(
        "merge", "--model", SPEC, "--data", "digits", "--images", 60, "--repair", repair,
        "a.safetensors", "b.safetensors", "-o", "merged.safetensors",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "objective as merged" in done.stdout


def test_images_that_are_no_whole_patches_are_refused(dimat, networks):
    done = dimat(
        "merge", "--model", "{name: vit, patch: 3}", "--data", "digits",
        "a.safetensors", "b.safetensors", "-o", "merged.safetensors",
    )  # fmt: skip
    assert done.returncode == 2
    assert "whole patches of 3x3 pixels, got 8x8; expected" in done.stderr
