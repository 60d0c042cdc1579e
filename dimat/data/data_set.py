"""What every data set has in common: where it is looked for, its size, its augmentation."""

import os
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy
import torch
from PIL import Image
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor
from typing_extensions import override

from dimat.data.content import content_of
from dimat.data.image_set import ImageSet, first_of_each_class, share_of_each_class
from dimat.data.two_classes import NAMES, TwoClasses
from dimat.errors import InputError
from dimat.spec import Spec

SEARCH_VARIABLE = "DIMAT_DATA"
"""Environment variable: folders in which data sets lie, separated as in PATH."""


def expanded(path: str) -> str:
    """A path without ``~``; that of an unknown user stays as it is."""
    return os.path.expanduser(path)  # noqa: PTH111  # which fails for unknown users


@dataclass(frozen=True)
class DataFolders:
    """Where data sets are looked for, and where a download may be put."""

    search: tuple[Path, ...]
    downloads: Path

    @classmethod
    def from_environment(cls, downloads: Path) -> "DataFolders":
        """The folders named in ``DIMAT_DATA``, then ``downloads``."""
        named = os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep)
        search = (Path(expanded(folder)) for folder in named if folder)
        return cls((*search, downloads), downloads)

    def find(self, *names: str) -> Path | None:
        """The first existing file or folder with one of the ``names``; `None` if there is none."""
        candidates = (folder / expanded(name) for folder in self.search for name in names)
        return next((path for path in candidates if os.path.exists(path)), None)  # noqa: PTH110  # never fails

    def missing(self, key: str, what: str) -> InputError:
        """The error for data that were not found."""
        places = ", ".join(str(folder) for folder in self.search)
        return InputError(
            f"{key}: {what} was not found in {places}; set the environment variable {SEARCH_VARIABLE} "
            "to the folder that holds it"
        )


class Known(NamedTuple):
    """What is known of a data set before it is read: pixels a side, and how many images of each class."""

    size: int
    train: tuple[int, ...]
    test: tuple[int, ...]


class DataSet(Spec):
    """An image classification data set, decoded once into memory.

    ``extent``, for estimates: about how many training images it has, of how many channels, pixels a side.
    """

    extent: ClassVar[tuple[int, int, int]] = (100_000, 3, 64)
    examples: ClassVar[str] = "images"
    """What its examples are."""
    size: Annotated[int | None, Field(ge=4, le=1024)] = None
    """Resize images to size x size pixels (antialiased); null keeps their size."""
    train_limit: Annotated[int | None, Field(ge=1)] = None
    """Use only so many training images, the first of every class alike; null uses all."""
    test_limit: Annotated[int | None, Field(ge=1)] = None
    """Use only so many test images, the first of every class alike; null uses all."""
    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Hold out this share of the training images, of every class alike, and evaluate on them instead of the
    test images; for tuning."""
    two_classes: TwoClasses | None = None
    """Make two classes of the original ones, after `train_limit` and `test_limit`, which count the original
    classes, and before images are held out; null keeps the classes."""
    flip: bool = True
    """Augment by horizontal flips with probability 1/2."""
    crop: Annotated[int, Field(ge=0, le=64)] = 0
    """Augment by random crops after padding with so many black pixels on every side."""

    @model_serializer(mode="wrap")
    def _classes_made(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`two_classes` are a part of it only where there are some."""
        content = handler(self)
        if self.two_classes is None:
            content.pop("two_classes", None)
        return content

    @override
    def label(self) -> str:
        """What images these are; not where they are read from."""
        limits = {"train_limit": "training", "test_limit": "test"}
        title = getattr(self, "title", None) or getattr(self, "name", "").replace("_", " ")
        parts = [f"{self.size}x{self.size}"] if self.size else []
        parts += [f"{limit:,} {what} images" for key, what in limits.items() if (limit := getattr(self, key))]
        return ", ".join([title, *parts, *self.changes("title", "size", "path", "substitute", *limits)])

    def located(self, folders: DataFolders) -> Path | None:
        """The file or folder that would be read; `None` if it is bundled, to be downloaded or not there."""
        del folders
        return None

    def content(self, folders: DataFolders) -> str:
        """The identity of what would be read: SHA-256 of the file or folder, or the name of a version."""
        path = self.located(folders)
        return content_of(path) if path else ""

    def known(self) -> Known | None:
        """What is known of the original classes before it is read; `None`: nothing."""
        return None

    @property
    def class_count(self) -> int | None:
        """How many classes there will be; `None` if that is not known."""
        if self.two_classes:
            return len(NAMES)
        known = self.known()
        return known and len(known.train)

    @abstractmethod
    def read(self, folders: DataFolders) -> ImageSet:
        """Read the data set; images may be resized and limited by `prepared`."""

    def prepared(self, folders: DataFolders) -> ImageSet:
        """Read the data set and keep the images that the limits and the validation split allow."""
        content = self.content(folders)
        images = self.read(folders)
        images.source["content"] = content
        if self.content(folders) != content:
            raise InputError(f"data: {self.located(folders)} changed while it was read; run again")
        if not (self.validation or self.train_limit or self.test_limit or self.two_classes):
            return images  # without a copy
        title, classes = images.title, images.classes
        if self.two_classes:
            title, classes = f"{title} in two classes", NAMES
        train, train_labels = self.trained_on(images.train_labels, len(images.classes))
        if self.validation:
            held = share_of_each_class(train_labels, self.validation)
            return ImageSet(
                f"{title}, validation",
                classes,
                images.train_images[train[~held]],
                train_labels[~held],
                images.train_images[train[held]],
                train_labels[held],
                images.source,
            )
        test = first_of_each_class(images.test_labels, self.test_limit, "data.test_limit")
        test_labels = images.test_labels[test]
        return ImageSet(
            title,
            classes,
            images.train_images[train],
            train_labels,
            images.test_images[test],
            self.two_classes.of(test_labels) if self.two_classes else test_labels,
            images.source,
        )

    def trained_on(self, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Which training images are kept, of all with the original ``labels`` (n,) of so many ``classes``.

        Their indices, sorted, and the labels that they will have. Those to be held out are among them.
        """
        kept = first_of_each_class(labels, self.train_limit, "data.train_limit")
        if not self.two_classes:
            return kept, labels[kept]
        self.two_classes.check(classes)
        kept = kept[self.two_classes.kept(labels[kept])]
        return kept, self.two_classes.of(labels[kept])

    def resized(self, image: Image.Image) -> Image.Image:
        """The image at the configured size."""
        if self.size is None or image.size == (self.size, self.size):
            return image
        return image.resize((self.size, self.size), Image.Resampling.BOX)

    def stack(self, images: Iterable[Image.Image], count: int) -> Tensor:
        """``count`` images as one uint8 tensor (n, channels, height, width), resized; held only once."""
        stacked: Tensor | None = None
        for place, image in enumerate(images):
            pixels = torch.from_numpy(numpy.array(self.resized(image)))
            pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
            if stacked is None:
                stacked = torch.empty((count, *pixels.shape), dtype=torch.uint8)
            stacked[place] = pixels
        assert stacked is not None
        return stacked
