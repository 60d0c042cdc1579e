"""Communication graphs, their mixing matrices and spectral quantities."""

from dimat.graphs.complete import Complete
from dimat.graphs.edge_list import EdgeList
from dimat.graphs.graph import Graph, check_mixing_matrix, second_eigenvalue, spectral_gap
from dimat.graphs.ring import Ring
from dimat.graphs.two_hub import TwoHub
from dimat.spec import choice

AnyGraph = choice(Ring, Complete, TwoHub, EdgeList)

__all__ = [
    "AnyGraph",
    "Complete",
    "EdgeList",
    "Graph",
    "Ring",
    "TwoHub",
    "check_mixing_matrix",
    "second_eigenvalue",
    "spectral_gap",
]
