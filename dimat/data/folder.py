"""One's own images: a folder or zip with ``train/<class>/...`` and ``test/<class>/...``."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor
from tqdm import tqdm
from typing_extensions import override

from dimat.data.data_set import DataFolders, DataSet
from dimat.data.image_set import ImageSet
from dimat.data.image_tree import ImageTree, open_tree
from dimat.errors import InputError
from dimat.io.files import file_sha256
from dimat.spec import Printable


class Folder(DataSet):
    """Any image folder or zip archive, sorted into training and test set and classes by its folders."""

    name: Literal["folder"] = "folder"
    path: Printable
    """The folder or zip: a path, or a name that is looked for in the folders of DIMAT_DATA."""
    title: Annotated[Printable, Field(max_length=80)] | None = None
    """What figures and tables call it; null uses the file's name."""

    @override
    def read(self, folders: DataFolders) -> ImageSet:
        path = Path(self.path) if Path(self.path).exists() else folders.find(self.path)
        if path is None:
            raise folders.missing("data.path", f"the folder or zip {self.path!r}")
        with open_tree(path) as tree:
            splits = {split: tree.by_class(split) for split in ("train", "test")}
            return read_splits(self, tree, splits, self.title or path.stem)


def read_splits(
    data_set: DataSet, tree: ImageTree, splits: dict[str, dict[str, list[str]]], title: str
) -> ImageSet:
    """Decode the named images of ``splits`` = {"train": {class: names}, "test": ...}."""
    classes = tuple(sorted({label for names in splits.values() for label in names}))
    for split, names in splits.items():
        empty = next((label for label in classes if not names.get(label)), None)
        if empty is not None:
            raise InputError(
                f"{tree.path}: class {empty!r} has no image in {split}/{empty}/; every class needs one"
            )
    if len(classes) < 2:
        raise InputError(
            f"{tree.path}: {len(classes)} classes found; expected train/<class>/<image> and "
            "test/<class>/<image> with two classes or more"
        )
    tensors: dict[str, Tensor] = {}
    for split, names in splits.items():
        pairs = [(name, classes.index(label)) for label in classes for name in names[label]]
        bar = tqdm(pairs, desc=f"{title}: reading {split}", unit="image", disable=None)
        tensors[f"{split}_images"] = data_set.stack(
            _same_size(data_set, tree, (name for name, _ in bar), len(pairs))
        )
        tensors[f"{split}_labels"] = torch.tensor([label for _, label in pairs])
    if tensors["train_images"].shape[1:] != tensors["test_images"].shape[1:]:
        raise InputError(
            f"{tree.path}: training and test images differ in size; set data.size to resize them all"
        )
    endings = {Path(name).suffix.lower() for names in splits["train"].values() for name in names}
    source = {"file": tree.path.name, "encoding": "JPEG" if endings <= {".jpg", ".jpeg"} else "mixed"}
    if tree.path.is_file():
        source["sha256"] = file_sha256(tree.path)
    return ImageSet(title, classes, **tensors, source=source)


def _same_size(data_set: DataSet, tree: ImageTree, names: Iterable[str], count: int) -> Iterator[Image.Image]:
    """The ``count`` images ``names``, resized; `InputError` if they differ in size or exceed the memory."""
    first: tuple[int, int] | None = None
    for name in names:
        image = data_set.resized(tree.image(name))
        if first is None:
            first = image.size
            needed, memory = 3 * count * image.width * image.height, physical_memory()
            if needed > memory:
                raise InputError(
                    f"{tree.path}: {count} images of {image.width}x{image.height} are {needed >> 30} GiB; "
                    f"this machine has {memory >> 30}: set data.size to shrink them"
                )
        if image.size != first:
            raise InputError(
                f"{tree.path}: image {name} is {image.width}x{image.height}, others are "
                f"{first[0]}x{first[1]}; set data.size to resize them all"
            )
        yield image


def physical_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
