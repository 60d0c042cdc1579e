"""Tiny ImageNet from its official folder or zip (tiny-imagenet-200)."""

from pathlib import Path
from typing import Literal

from typing_extensions import override

from dimat.data.data_set import DataFolders, DataSet, Known
from dimat.data.folder import open_tree, read_splits
from dimat.data.image_set import ImageSet
from dimat.data.image_tree import ImageTree
from dimat.errors import InputError


class TinyImageNet(DataSet):
    """200 classes, 64x64 pixels, 500 training images each; the official validation set is the test set."""

    name: Literal["tiny_imagenet"] = "tiny_imagenet"

    @override
    def located(self, folders: DataFolders) -> Path | None:
        return folders.find("tiny-imagenet-200", "tiny-imagenet-200.zip")

    @override
    def known(self) -> Known:
        return Known(64, (500,) * 200, (50,) * 200)

    @override
    def read(self, folders: DataFolders) -> ImageSet:
        path = self.located(folders)
        if path is None:
            raise folders.missing("data", "tiny-imagenet-200 (folder or zip)")
        with open_tree(path) as tree:
            splits = {"train": tree.by_class("train"), "test": official_validation(tree)}
            return read_splits(self, tree, splits, "Tiny ImageNet")


def official_validation(tree: ImageTree) -> dict[str, list[str]]:
    """Validation images by class, as listed in val/val_annotations.txt."""
    listing = "val/val_annotations.txt"
    if listing not in tree.names:
        raise InputError(f"{tree.path}: {listing} is missing; expected the official tiny-imagenet-200")
    by_class: dict[str, list[str]] = {}
    for line in tree.read(listing).decode(errors="replace").splitlines():
        image, label, *_ = [*line.split("\t"), "", ""]
        if not line.strip():
            continue
        if f"val/images/{image}" not in tree.names:
            raise InputError(f"{tree.path}: {listing} names {image!r}, which is not in val/images/")
        by_class.setdefault(label, []).append(f"val/images/{image}")
    return by_class
