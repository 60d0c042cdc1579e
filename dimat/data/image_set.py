"""A data set in memory: examples, mostly uint8 images, labels, and where they came from."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dimat.errors import InputError
from dimat.io.files import read_tensors, write_tensors
from dimat.randomness import Randomness


@dataclass
class ImageSet:
    """Labelled images, split into training and test set.

    Images are uint8 of shape (n, channels, height, width), labels int64 of shape (n,). Other examples are of
    such a shape, too, and in floating point. ``source`` says what was read (file names, checksums). All
    tensors lie on one device.
    """

    title: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for split, labels in (("train", self.train_labels), ("test", self.test_labels)):
            counts = torch.bincount(labels, minlength=len(self.classes))
            for label, count in enumerate(counts.tolist()):
                if count == 0:
                    raise InputError(
                        f"{self.title}: class {self.classes[label]!r} has no image in {split}; "
                        "every class needs at least one"
                    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def description(self) -> str:
        """Title, image size and number of training images."""
        _, height, width = self.shape
        return f"{self.title}, {width}x{height}, {len(self.train_labels):,} training images"

    def normalized(self, images: Tensor) -> Tensor:
        """uint8 images (batch, channels, height, width) as float32 with mean 0 and deviation 1.

        Examples in floating point are taken as they are.
        """
        if images.is_floating_point():
            return images.float()
        mean, deviation = self._moments
        pixels = images.to(torch.float32, memory_format=torch.channels_last) / 255
        return pixels.sub_(mean).div_(deviation)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        mean, deviation = self.statistics()
        return mean.view(1, -1, 1, 1), deviation.view(1, -1, 1, 1)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel (channels,) over the training set, pixels in [0, 1]."""
        levels = torch.arange(256, dtype=torch.float64) / 255
        moments = []
        for channel in range(self.shape[0]):
            levels_seen = self.train_images[:, channel].flatten().int()
            counts = torch.bincount(levels_seen, minlength=256).cpu().double()
            mean = (counts @ levels) / counts.sum()
            deviation = ((counts @ (levels - mean) ** 2) / counts.sum()).sqrt()
            moments.append((mean, deviation.clamp_min(1 / 255)))
        mean, deviation = (
            torch.stack(moment).float().to(self.train_images.device) for moment in zip(*moments, strict=True)
        )
        return mean, deviation

    def fingerprint(self) -> str:
        """SHA-256 over all images and labels: the identity of the data that a partition indexes."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: torch.device) -> "ImageSet":
        """The same data on another device."""
        return ImageSet(
            self.title,
            self.classes,
            self.train_images.to(device),
            self.train_labels.to(device),
            self.test_images.to(device),
            self.test_labels.to(device),
            self.source,
        )

    def save(self, path: Path) -> None:
        """Write the decoded data set to one file, which must keep its name: that of the experiment."""
        tensors = {
            "train_images": self.train_images,
            "train_labels": self.train_labels,
            "test_images": self.test_images,
            "test_labels": self.test_labels,
        }
        about = {"id": path.stem, "fingerprint": self.fingerprint()}
        about |= {"title": self.title, "classes": self.classes, "source": self.source}
        write_tensors(path, tensors, about)

    @classmethod
    def load(cls, path: Path) -> "ImageSet":
        """Read a file written by `save`."""
        tensors, about = read_tensors(path)
        try:
            images = cls(about["title"], tuple(about["classes"]), **tensors, source=about["source"])
            found = about["id"]
        except (KeyError, TypeError):
            raise InputError(f"{path}: not a prepared data set; delete it and run again") from None
        if found != path.stem:
            raise InputError(f"{path}: holds the data set {found}; delete it and run again")
        return images


def first_of_each_class(labels: Tensor, total: int | None, what: str) -> Tensor:
    """Indices (sorted) of the first ``total`` / classes images of every class; all of them for `None`.

    A remainder of the division goes to the first classes, one image each.
    """
    if total is None:
        return torch.arange(len(labels))
    classes = int(labels.max()) + 1
    if not classes <= total <= len(labels):
        raise InputError(f"{what}: {total}; expected {classes} (classes) to {len(labels)} (images)")
    keep = []
    for label in range(classes):
        wanted = total // classes + (label < total % classes)
        indices = (labels == label).nonzero().flatten()
        if len(indices) < wanted:
            raise InputError(
                f"{what}: {total} needs {wanted} images of class {label}, which has {len(indices)}; use fewer"
            )
        keep.append(indices[:wanted])
    return torch.cat(keep).sort().values


def share_of_each_class(labels: Tensor, share: float) -> Tensor:
    """A mask (n,) of a random ``share`` of every class's images, at least one of each; always the same."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        indices = (labels == label).nonzero().flatten()
        generator = Randomness("validation", label).torch("images held out")
        wanted = max(1, round(share * len(indices)))
        chosen[indices[torch.randperm(len(indices), generator=generator)[:wanted]]] = True
    return chosen
