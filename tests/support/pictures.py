"""Small data sets of pictures made up for tests, in folders and zips."""

import zipfile

import numpy
import pytest
from PIL import Image

from dimat.data import DataFolders
from dimat.data.folder import Folder
from dimat.errors import InputError

CLASSES = {"ant": (3, 2), "bee": (4, 1), "cat": (2, 2)}  # images in train and test


def picture(seed, width=8, height=8):
    pixels = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels)


def fill(root, ending="png", **size):
    """Write train/<class>/... and test/<class>/... below ``root``."""
    for seed, (label, counts) in enumerate(CLASSES.items()):
        for split, count in zip(("train", "test"), counts, strict=True):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                picture((seed, split == "train", number), **size).save(folder / f"{number}.{ending}")
    return root


def zipped(root, top=""):
    """A zip of the files below ``root``, below a folder ``top`` in it."""
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, top + file.relative_to(root).as_posix())
    return path


def folders(*search, downloads=None):
    return DataFolders(tuple(search), downloads)


def read(path, **options):
    return Folder(path=str(path), **options).prepared(folders())


def assert_refused(call, *words):
    """``call`` raises InputError with one line that holds all ``words``."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert str(word) in message
