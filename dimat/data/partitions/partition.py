"""What a partition of the training images among agents is, and its file."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy import ndarray

from dimat.errors import InputError
from dimat.io.files import read_json
from dimat.spec import Spec

PHASES = ("pretrain", "train")
"""The two phases of a run: before the first merge, and between merges."""


@dataclass(frozen=True)
class Shares:
    """Who holds which training images in each phase.

    ``pretrain`` and ``train`` list, for each agent, the sorted indices of its images. In a phase no image
    is held twice; over both phases every image is held.
    """

    pretrain: list[ndarray]
    train: list[ndarray]

    def counts(self, phase: str, labels: ndarray, classes: int) -> ndarray:
        """Images of each class that each agent holds: (agents, classes)."""
        return numpy.stack([numpy.bincount(labels[own], minlength=classes) for own in getattr(self, phase)])

    def content(self, id: str, fingerprint: str, labels: ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
        """The partition ``id`` of the data with ``fingerprint``, with counts per class, in JSON terms.

        Its file is called ``id``, and must keep its name.
        """
        content: dict[str, Any] = {"id": id, "fingerprint": fingerprint, "classes": list(classes)}
        for phase in PHASES:
            counts = self.counts(phase, labels, len(classes)).tolist()
            images = [own.tolist() for own in getattr(self, phase)]
            content[phase] = [
                {"counts": count, "images": own} for count, own in zip(counts, images, strict=True)
            ]
        return content

    @classmethod
    def load(cls, path: Path, fingerprint: str, images: int) -> "Shares":
        """Read a partition of the data with ``fingerprint`` and check that it is one."""
        content = read_json(path)
        try:
            phases = [
                [numpy.array(agent["images"], dtype=numpy.int64) for agent in content[phase]]
                for phase in PHASES
            ]
            found, id = content["fingerprint"], content["id"]
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{path}: not a partition; delete it and run again") from None
        if id != path.stem:
            raise InputError(f"{path}: holds the partition {id}; delete it and run again")
        if found != fingerprint:
            raise InputError(
                f"{path}: partitions other data (fingerprint {str(found)[:12]}, the data's is "
                f"{fingerprint[:12]}); delete it and run again"
            )
        shares = cls(*phases)
        try:
            check_disjoint_cover(shares, images)
        except ValueError as error:
            raise InputError(f"{path}: no partition of the data ({error}); delete it and run again") from None
        return shares


def check_disjoint_cover(shares: Shares, images: int) -> None:
    """ValueError unless no phase holds an image twice and both together hold all ``images``."""
    seen = numpy.zeros(images, dtype=bool)
    for phase in PHASES:
        held = numpy.concatenate(getattr(shares, phase))
        if len(held) and not 0 <= held.min() <= held.max() < images:
            raise ValueError(f"{phase}: an index outside 0 to {images - 1}")
        if len(numpy.unique(held)) != len(held):
            raise ValueError(f"{phase}: an image is held twice")
        seen[held] = True
    if not seen.all():
        raise ValueError(f"{int((~seen).sum())} images are held by nobody")


class Partition(Spec):
    """A rule that deals the training images out to agents."""

    @abstractmethod
    def deal(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        """Deal out the images with ``labels`` (n,); every random choice comes from ``generator``."""

    def shares(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        """`deal`, with the result checked: a disjoint cover, no agent without images."""
        if agents > len(labels):
            raise InputError(
                f"agents: {agents} is more than the {len(labels)} training images; expected 1 to "
                f"{len(labels)}"
            )
        shares = self.deal(labels, agents, generator)
        check_disjoint_cover(shares, len(labels))
        for phase in PHASES:
            sizes = [len(own) for own in getattr(shares, phase)]
            if min(sizes) == 0:
                raise InputError(
                    f"partition: {self.label()} leaves agent {sizes.index(0)} of {agents} without an image "
                    f"in phase {phase!r}; use fewer agents or more images"
                )
        return shares


def whole(images: int) -> Shares:
    """One agent that holds everything."""
    return Shares([numpy.arange(images)], [numpy.arange(images)])


def shuffled_classes(labels: ndarray, generator: numpy.random.Generator) -> list[ndarray]:
    """The indices of each class, in random order."""
    return [generator.permutation(numpy.flatnonzero(labels == label)) for label in range(labels.max() + 1)]


def joined(pieces: list[list[ndarray]]) -> list[ndarray]:
    """Each agent's pieces as one sorted index array."""
    return [
        numpy.sort(numpy.concatenate(own)) if own else numpy.empty(0, dtype=numpy.int64) for own in pieces
    ]
