"""CIFAR-10 and CIFAR-100 from their official archives, through torchvision (download, checksums)."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy
import torch
from PIL import Image
from pydantic import Field
from typing_extensions import override

from dimat.data.content import content_of
from dimat.data.data_set import DataFolders, DataSet, Known
from dimat.data.folder import read_folder
from dimat.data.image_set import ImageSet
from dimat.errors import InputError
from dimat.io.names import Showable
from dimat.io.torchvision_import import torchvision_module


class Cifar(DataSet):
    """What CIFAR-10 and CIFAR-100 share. torchvision checks the files before it reads them."""

    extent = (50_000, 3, 32)
    title: ClassVar[str]
    classes: ClassVar[int]
    torchvision_class: ClassVar[str]
    official_folder: ClassVar[str]
    crop: Annotated[int, Field(ge=0, le=64)] = 4
    """Augment by random crops after padding with so many black pixels on every side."""
    substitute: Showable | None = None
    """An image folder or zip (see `folder`), looked for in DIMAT_DATA, that stands in where the official
    files are not there; it is then named in every figure and table."""

    @override
    def located(self, folders: DataFolders) -> Path | None:
        return folders.find(self.official_folder) or self._replacement(folders)

    @override
    def content(self, folders: DataFolders) -> str:
        if folders.find(self.official_folder) or not (replacement := self._replacement(folders)):
            return f"official {self.title}"  # torchvision knows the checksums, before and after a download
        return content_of(replacement)

    def _replacement(self, folders: DataFolders) -> Path | None:
        return folders.find(self.substitute) if self.substitute else None

    @override
    def known(self) -> Known | None:
        """Nothing, if other images may stand in."""
        each = [(total // self.classes,) * self.classes for total in (50_000, 10_000)]
        return None if self.substitute else Known(32, *each)

    @override
    def read(self, folders: DataFolders) -> ImageSet:
        """Order: official files, the substitute, a download of the official files."""
        official = folders.find(self.official_folder)
        replacement = self._replacement(folders)
        if official is None and replacement is not None:
            images = read_folder(self, replacement, self.title)
            encoding = images.source["encoding"]
            images.title = f"{self.title} ({encoding if encoding == 'JPEG' else replacement.name})"
            return images
        return self._read_official(
            official.parent if official else folders.downloads, download=official is None
        )

    def _read_official(self, root: Path, download: bool) -> ImageSet:
        dataset_class = getattr(torchvision_module("datasets"), self.torchvision_class)
        parts = []
        try:
            for train in (True, False):
                parts.append(dataset_class(root, train=train, download=download))
        except (RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"data: {self.title} could not be {'downloaded' if download else 'read'} ({reason}); put its "
                f"official folder {self.official_folder} into a folder named in DIMAT_DATA"
            ) from None
        train, test = parts
        return ImageSet(
            self.title,
            tuple(train.classes),
            self.stack(map(Image.fromarray, train.data), len(train.data)),
            torch.from_numpy(numpy.asarray(train.targets)),
            self.stack(map(Image.fromarray, test.data), len(test.data)),
            torch.from_numpy(numpy.asarray(test.targets)),
            {"file": self.official_folder, "checked by": "torchvision"},
        )


class Cifar10(Cifar):
    """50,000 and 10,000 colour images of 32x32 pixels in 10 classes (Krizhevsky 2009)."""

    title = "CIFAR-10"
    classes = 10
    torchvision_class = "CIFAR10"
    official_folder = "cifar-10-batches-py"
    name: Literal["cifar10"] = "cifar10"


class Cifar100(Cifar):
    """50,000 and 10,000 colour images of 32x32 pixels in 100 classes (Krizhevsky 2009)."""

    title = "CIFAR-100"
    classes = 100
    torchvision_class = "CIFAR100"
    official_folder = "cifar-100-python"
    name: Literal["cifar100"] = "cifar100"
