"""Two classes out of many, of which one can be made rare in training."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.errors import InputError
from dimat.spec import OneOrMany, Spec

NAMES = ("negative", "positive")
"""The two classes, by label."""
ClassNumber = Annotated[int, Field(ge=0, le=100_000)]


class TwoClasses(Spec):
    """Images of some classes are positive (label 1), those of all others negative (label 0).

    Where positives are to be rare, some of the positive training images are dropped and no negative ones.
    Test images all stay, with the shares that they have.
    """

    positive: Annotated[tuple[ClassNumber, ...], Field(min_length=1), OneOrMany()]
    """Numbers of the positive classes, counted from 0, in the order in which the data set has its classes."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of positives among the training images: so many are kept, the first of every positive class
    alike, and the other positives are dropped; null keeps all."""

    @override
    def label(self) -> str:
        rare = "" if self.share is None else f", {100 * self.share:g} % positive"
        return f"({' '.join(map(str, self.positive))} positive{rare})"

    def check(self, classes: int) -> None:
        """`InputError` unless a data set of so many ``classes`` has the positive ones, and others."""
        missing = [number for number in self.positive if number >= classes]
        if missing:
            raise InputError(
                f"data.two_classes.positive: {missing[0]} is no class; expected numbers from 0 to "
                f"{classes - 1}, as there are {classes} classes"
            )
        if len(self.positive) == classes:
            raise InputError(
                f"data.two_classes.positive: all {classes} classes are listed, which leaves no negative "
                "image; expected fewer"
            )

    def of(self, labels: Tensor) -> Tensor:
        """1 where ``labels`` (n,) are positive, else 0."""
        return torch.isin(labels, torch.tensor(self.positive, device=labels.device)).to(labels.dtype)

    def kept(self, labels: Tensor) -> Tensor:
        """Indices (sorted) of the training images that stay, of all with the original ``labels`` (n,)."""
        positive = self.of(labels)
        if self.share is None:
            return torch.arange(len(labels))
        negatives, turns = (positive == 0).nonzero().flatten(), self._in_turn(labels)
        wanted = max(1, round(self.share / (1 - self.share) * len(negatives)))
        if wanted > len(turns):
            raise InputError(
                f"data.two_classes.share: {self.share:g} needs {wanted} positive images beside "
                f"{len(negatives)} negative ones, and there are {len(turns)}; expected a smaller share"
            )
        return torch.cat([negatives, turns[:wanted]]).sort().values

    def _in_turn(self, labels: Tensor) -> Tensor:
        """Indices of the positive images: the first of every positive class, then the second of each, ..."""
        of_classes = [(labels == number).nonzero().flatten() for number in self.positive]
        ranks = torch.cat([torch.arange(len(own)) for own in of_classes])
        return torch.cat(of_classes)[ranks.argsort(stable=True)]
