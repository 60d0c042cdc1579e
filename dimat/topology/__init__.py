"""Communication graphs, their mixing matrices and spectral quantities."""

from typing import Annotated

from dimat.spec import OneOf
from dimat.topology.barabasi_albert import BarabasiAlbert
from dimat.topology.chain import Chain
from dimat.topology.complete import Complete
from dimat.topology.directed_ring import DirectedRing
from dimat.topology.edge_file import EdgeFile
from dimat.topology.edge_list import EdgeList
from dimat.topology.erdos_renyi import ErdosRenyi
from dimat.topology.exponential import Exponential
from dimat.topology.graph import Graph
from dimat.topology.hypercube import Hypercube
from dimat.topology.mixing import check_mixing_matrix, is_doubly_stochastic, second_eigenvalue, spectral_gap
from dimat.topology.one_peer_exponential import OnePeerExponential
from dimat.topology.random_regular import RandomRegular
from dimat.topology.ring import Ring
from dimat.topology.sequence import Sequence
from dimat.topology.small_world import SmallWorld
from dimat.topology.star import Star
from dimat.topology.torus import Torus
from dimat.topology.two_hub import TwoHub

Static = (
    Ring
    | Complete
    | TwoHub
    | Star
    | Chain
    | Torus
    | Hypercube
    | RandomRegular
    | ErdosRenyi
    | SmallWorld
    | BarabasiAlbert
    | DirectedRing
    | Exponential
    | EdgeList
    | EdgeFile
)
StaticGraph = Annotated[Static, OneOf()]
Sequence.model_rebuild(_types_namespace={"StaticGraph": StaticGraph})
AnyGraph = Annotated[Static | OnePeerExponential | Sequence, OneOf()]

__all__ = [
    "AnyGraph",
    "BarabasiAlbert",
    "Chain",
    "Complete",
    "DirectedRing",
    "EdgeFile",
    "EdgeList",
    "ErdosRenyi",
    "Exponential",
    "Graph",
    "Hypercube",
    "OnePeerExponential",
    "RandomRegular",
    "Ring",
    "Sequence",
    "SmallWorld",
    "Star",
    "StaticGraph",
    "Torus",
    "TwoHub",
    "check_mixing_matrix",
    "is_doubly_stochastic",
    "second_eigenvalue",
    "spectral_gap",
]
