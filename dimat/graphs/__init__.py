"""Communication graphs, their mixing matrices and spectral quantities."""

from dimat.graphs.barabasi_albert import BarabasiAlbert
from dimat.graphs.chain import Chain
from dimat.graphs.complete import Complete
from dimat.graphs.directed_ring import DirectedRing
from dimat.graphs.edge_file import EdgeFile
from dimat.graphs.edge_list import EdgeList
from dimat.graphs.erdos_renyi import ErdosRenyi
from dimat.graphs.exponential import Exponential
from dimat.graphs.graph import Graph
from dimat.graphs.hypercube import Hypercube
from dimat.graphs.mixing import check_mixing_matrix, is_doubly_stochastic, second_eigenvalue, spectral_gap
from dimat.graphs.one_peer_exponential import OnePeerExponential
from dimat.graphs.random_regular import RandomRegular
from dimat.graphs.ring import Ring
from dimat.graphs.sequence import Sequence
from dimat.graphs.small_world import SmallWorld
from dimat.graphs.star import Star
from dimat.graphs.torus import Torus
from dimat.graphs.two_hub import TwoHub
from dimat.spec import choice

STATIC = (
    Ring,
    Complete,
    TwoHub,
    Star,
    Chain,
    Torus,
    Hypercube,
    RandomRegular,
    ErdosRenyi,
    SmallWorld,
    BarabasiAlbert,
    DirectedRing,
    Exponential,
    EdgeList,
    EdgeFile,
)
StaticGraph = choice(*STATIC)
Sequence.model_rebuild(_types_namespace={"StaticGraph": StaticGraph})
AnyGraph = choice(*STATIC, OnePeerExponential, Sequence)

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
