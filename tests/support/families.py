"""Every family of graphs, with numbers of agents that it exists over."""

from types import MappingProxyType

from hypothesis import strategies as st
from pydantic import TypeAdapter

from dimat.randomness import Randomness
from dimat.topology import (
    AnyGraph,
    EdgeList,
    Ring,
)

RANDOMNESS = Randomness("test", 0)

EVERY_FAMILY = MappingProxyType(
    {
        "ring": range(1, 20),
        "complete": range(1, 20),
        "two_hub": range(3, 20),
        "star": range(1, 20),
        "chain": range(1, 20),
        "torus": [4, 6, 8, 9, 10, 12, 15, 16, 24, 25],
        "hypercube": [1, 2, 4, 8, 16, 32],
        "random_regular": range(5, 20),
        "erdos_renyi": range(1, 20),
        "small_world": range(5, 20),
        "barabasi_albert": range(3, 20),
        "directed_ring": range(1, 20),
        "exponential": range(1, 34),
        "one_peer_exponential": range(1, 34),
    }
)
"""The numbers of agents that each family is tested with, under the name of its defaults."""


def graph_of(content):
    return TypeAdapter(AnyGraph).validate_python(content)


def members():
    """A strategy: (graph, number of agents), over every family."""
    return st.sampled_from(sorted(EVERY_FAMILY)).flatmap(
        lambda name: st.tuples(st.just(graph_of(name)), st.sampled_from(EVERY_FAMILY[name]))
    )


def ring(**fields):
    return Ring(**fields)


def edges(*pairs):
    return EdgeList(edge_list=[list(pair) for pair in pairs])
