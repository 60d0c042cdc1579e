"""What matchers have in common: how well channels of two networks go together, group by group."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from dimat.merging.matching.statistics import Pair
from dimat.models.symmetry import Group, Permutations
from dimat.spec import Spec

Soft = Mapping[str, Tensor]
"""Group name to a doubly stochastic matrix (C, C), float64: the share of each channel in each place (rows).

A frame is one of zeros and ones: `soft[group][place, frame[group][place]]` is 1.
"""


class Similarity(ABC):
    """The objective of re-ordering network j like network i, as seen by one group at a time."""

    coupled: ClassVar[bool] = True
    """Whether the scores of a group depend on how other groups are permuted."""

    @abstractmethod
    def scores(self, group: Group, permutations: Permutations) -> Tensor:
        """What matching channel a of i with channel b of j adds to the objective: float64 (C, C).

        All other groups of network j are re-ordered by ``permutations`` as they stand.
        """

    @abstractmethod
    def total(self, ones: Soft, others: Soft) -> Tensor:
        """The objective, a scalar, with the channels of i and those of j in soft orders; differentiable.

        For orders that are permutations it is the sum of scores of all that is matched, each thing once.
        """

    @abstractmethod
    def packed(self) -> dict[str, Any]:
        """All it knows, for other processes: tensors and numbers, by name. See `Matcher.unpacked`."""

    @abstractmethod
    def scale(self, group: Group) -> float:
        """What one channel adds on average at best, that is, between a network and itself."""


class Matcher(Spec):
    """A way to tell which channels of two networks go together."""

    temperature: Annotated[float, Field(ge=1e-4, le=100)] | None = None
    """Of soft maps: each channel goes with a mixture of others (OT fusion, Singh and Jaggi 2020), the wider
    the higher this is, where 1 is what a perfect match scores (a correlation of 1, for `activation`); null:
    each goes with one."""
    looks_at_images: ClassVar[bool]

    @model_serializer(mode="wrap")
    def _what_is_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A temperature is a part of it only where there is one."""
        content = handler(self)
        if self.temperature is None:
            content.pop("temperature", None)
        return content

    @abstractmethod
    def compare(
        self,
        models: Mapping[int, nn.Module],
        groups: list[Group],
        pairs: list[Pair],
        batches: Iterable[Tensor],
        batch_statistics: bool = False,
    ) -> dict[Pair, Similarity]:
        """The similarity of networks i and j for each pair (i, j).

        ``batches`` are normalized images (batch, channels, height, width) that all networks look at. With
        ``batch_statistics``, batch normalization uses each batch's own, and its running statistics are
        computed anew on the way (see `correlations`).
        """

    @abstractmethod
    def unpacked(self, packed: Mapping[str, Any], groups: list[Group]) -> Similarity:
        """What `Similarity.packed` gave in another process."""
