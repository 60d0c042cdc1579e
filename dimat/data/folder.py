"""One's own images: a folder or zip with ``train/<class>/...`` and ``test/<class>/...``."""

import logging
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm
from typing_extensions import override

from dimat.data.data_set import DataFolders, DataSet, expanded
from dimat.data.folder_files import open_folder
from dimat.data.image_set import ImageSet
from dimat.data.image_tree import ImageTree, below_top
from dimat.data.memory import memory_limit
from dimat.data.zip_archive import open_archive
from dimat.errors import InputError
from dimat.io.names import LONGEST_TITLE, Showable, Title, fault_of, printable

log = logging.getLogger("dimat")

COPIES = 4
"""How often all images are held at once, when the prepared file is written; 3.0 was measured."""
JPEG_ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif"}


class Folder(DataSet):
    """Any image folder or zip archive, sorted into training and test set and classes by its folders."""

    name: Literal["folder"] = "folder"
    path: Showable
    """The folder or zip: a path, or a name that is looked for in the folders of DIMAT_DATA."""
    title: Title | None = None
    """What figures and tables call it; null uses the file's name."""

    @override
    def located(self, folders: DataFolders) -> Path | None:
        place = expanded(self.path)
        return Path(place) if os.path.exists(place) else folders.find(self.path)  # noqa: PTH110  # never fails

    @override
    def read(self, folders: DataFolders) -> ImageSet:
        path = self.located(folders)
        if path is None:
            raise folders.missing("data.path", f"the folder or zip {self.path!r}")
        title = self.title or Path(os.path.abspath(path)).stem or "images"  # noqa: PTH100  # not of what it links to
        if len(title) > LONGEST_TITLE or fault_of(title):
            raise InputError(
                f"{printable(str(path))}: its name cannot be shown in a table; set data.title to a "
                f"name of up to {LONGEST_TITLE} characters"
            )
        return read_folder(self, path, title)


def read_folder(data_set: DataSet, path: Path, title: str) -> ImageSet:
    """Decode the folder or zip at ``path``, at the size of ``data_set``."""
    with open_tree(path) as tree:
        splits = {split: tree.by_class(split) for split in ("train", "test")}
        tree.outside(*splits)
        return read_splits(data_set, tree, splits, title)


@contextmanager
def open_tree(path: Path) -> Iterator[ImageTree]:
    """Open a folder or a zip; folders around the one that holds ``train/`` are looked through."""
    if path.is_dir():
        yield below_top(open_folder(path))
    elif not path.is_file():  # to open a pipe would wait for ever
        raise InputError(f"{path}: a pipe, socket or device; expected a folder or a zip")
    else:
        with open_archive(path) as tree:
            yield below_top(tree)


def read_splits(
    data_set: DataSet, tree: ImageTree, splits: dict[str, dict[str, list[str]]], title: str
) -> ImageSet:
    """Decode the named images of ``splits`` = {"train": {class: names}, "test": ...}."""
    classes = tuple(sorted({label for names in splits.values() for label in names}))
    _check_classes(tree, splits, classes)
    count = sum(len(names) for by_class in splits.values() for names in by_class.values())
    checked = _Checked(data_set, tree, count)
    tensors: dict[str, Tensor] = {}
    for split, names in splits.items():
        pairs = [(name, classes.index(label)) for label in classes for name in names[label]]
        bar = tqdm(pairs, desc=f"{title}: reading {split}", unit="image", disable=None)
        tensors[f"{split}_images"] = data_set.stack(checked.images(name for name, _ in bar), len(pairs))
        tensors[f"{split}_labels"] = torch.tensor([label for _, label in pairs])
    endings = {Path(name).suffix.lower() for names in splits["train"].values() for name in names}
    source: dict[str, Any] = {
        "file": tree.path.name,
        "encoding": "JPEG" if endings <= JPEG_ENDINGS else "mixed",
    }
    for what, tally in (("converted", tree.converted), ("skipped", tree.skipped)):
        for line in tally.lines():
            log.info("%s: %s: %s", printable(str(tree.path)), what, line)
        if tally.lines():
            source[what] = "; ".join(tally.lines())
    return ImageSet(title, classes, **tensors, source=source)


def _check_classes(
    tree: ImageTree, splits: dict[str, dict[str, list[str]]], classes: tuple[str, ...]
) -> None:
    """`InputError` unless there are two classes or more, with images in each split."""
    layout = f"expected train/<class>/<image> and test/<class>/<image>; found {tree.top()}"
    for split, names in splits.items():
        if classes and not names:
            raise InputError(f"{tree.path}: no class in {split}/; {layout}")
        if empty := [label for label in classes if not names.get(label)]:
            alike = [
                label for label in names if label != empty[0] and label.casefold() == empty[0].casefold()
            ]
            other = f" (there is {split}/{alike[0]}/)" if alike else ""
            raise InputError(
                f"{tree.path}: class {empty[0]!r} has no image in {split}/{empty[0]}/{other}; every class "
                "needs one"
            )
    if len(classes) < 2:
        raise InputError(f"{tree.path}: {len(classes)} classes found; {layout}, with two classes or more")


class _Checked:
    """The images of a tree, resized; `InputError` if they differ in size or exceed the memory."""

    def __init__(self, data_set: DataSet, tree: ImageTree, count: int) -> None:
        self._data_set, self._tree, self._count = data_set, tree, count
        self._first: tuple[int, int] | None = None

    def images(self, names: Iterable[str]) -> Iterator[Image.Image]:
        """Images one after the other; the first of all sets the size."""
        for name in names:
            image = self._data_set.resized(self._tree.image(name))
            if self._first is None:
                self._first = image.size
                self._check_memory(*self._first)
            if image.size != self._first:
                raise InputError(
                    f"{self._tree.path}: image {printable(name)} is {image.width}x{image.height}, others are "
                    f"{self._first[0]}x{self._first[1]}; set data.size to resize them all"
                )
            yield image

    def _check_memory(self, width: int, height: int) -> None:
        needed = COPIES * 3 * self._count * width * height + _peak_so_far()
        if needed > (limit := memory_limit()):
            raise InputError(
                f"{self._tree.path}: {self._count} images of {width}x{height} need {needed / 2**30:.1f} GiB; "
                f"this process may use {limit / 2**30:.1f} GiB: set data.size to shrink them"
            )


def _peak_so_far() -> int:
    """Bytes of memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
