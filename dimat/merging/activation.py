"""Activation matching (Li et al. 2015; Ainsworth, Hayase and Srinivasa 2023, section 3.1).

Each neuron of one network is matched with the neuron of the other whose activations correlate with its
own, so that the sum of correlations is largest: one linear assignment for each group.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal

from torch import Tensor, nn

from dimat.merging.assignment import best_permutation
from dimat.merging.statistics import Pair, correlations
from dimat.models.symmetry import Group, Permutations
from dimat.spec import Spec


class Activation(Spec):
    """Match neurons by the correlation of their activations over images and positions."""

    name: Literal["activation"]
    looks_at_images: ClassVar[bool] = True

    def match(
        self, models: dict[int, nn.Module], groups: list[Group], pairs: list[Pair], batches: Iterable[Tensor]
    ) -> dict[Pair, Permutations]:
        """For each pair (i, j), the permutations that re-order network j's neurons like those of i.

        ``batches`` are normalized images that all networks look at; see `correlations`.
        """
        measured = correlations(models, groups, pairs, batches)
        return {
            pair: {name: best_permutation(scores) for name, scores in by_group.items()}
            for pair, by_group in measured.items()
        }
