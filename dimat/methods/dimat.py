"""DIMAT: decentralized iterative merging-and-training (CVPR 2024, arXiv 2404.08079)."""

from typing import ClassVar, Literal

from dimat.methods.neighbourhood import NeighbourhoodMerging


class Dimat(NeighbourhoodMerging):
    """Match the neighbours' neurons to one's own, average with the mixing weights, train on.

    A round is `dimat.merging.merge.merge_with_neighbours`, with matching.
    """

    name: Literal["dimat"] = "dimat"
    title: ClassVar[str] = "DIMAT"
