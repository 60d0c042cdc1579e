"""Closed walks of a token: over links alone, to every agent, and short."""

import itertools

import networkx
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.families import members

from dimat.topology import Chain, Complete, DirectedRing, Hypercube, Ring, Star, Torus, TwoHub
from dimat.topology.walk import check_walk, closed_walk


@given(members())
def test_a_walk_over_any_family_closes_and_comes_to_everyone(member):
    graph, agents = member
    whole = graph.mixing_matrix(agents)
    walk = closed_walk(whole)
    check_walk(walk, whole)
    assert walk[0] == 0 and agents <= len(walk)
    if not graph.is_directed:
        assert len(walk) <= max(1, 2 * (agents - 1))


HAMILTONIAN = [
    (Ring(), 2), (Ring(), 30), (Complete(), 9), (DirectedRing(), 7), (Hypercube(), 16), (Torus(), 12),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "agents"), HAMILTONIAN, ids=lambda each: str(each))
def test_where_there_is_an_obvious_hamiltonian_cycle_it_is_taken(graph, agents):
    assert sorted(closed_walk(graph.mixing_matrix(agents))) == list(range(agents))


@pytest.mark.parametrize("graph", [Star(), Chain()])
@pytest.mark.parametrize("agents", [3, 6])
def test_on_a_tree_every_link_is_gone_there_and_back(graph, agents):
    assert len(closed_walk(graph.mixing_matrix(agents))) == 2 * (agents - 1)


def test_on_two_hubs_by_hand():
    assert len(closed_walk(TwoHub().mixing_matrix(5))) == 6


def shortest(graph):
    """The length of the shortest closed walk to all, by trying all orders."""
    apart = dict(networkx.all_pairs_shortest_path_length(graph))
    orders = ((0, *order, 0) for order in itertools.permutations(range(1, len(graph))))
    return min(sum(apart[i][j] for i, j in itertools.pairwise(order)) for order in orders)


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_walks_are_little_longer_than_the_shortest(agents, seed):
    graph = networkx.gnp_random_graph(agents, 0.5, seed)
    if networkx.is_connected(graph):
        walk = closed_walk(networkx.to_numpy_array(graph) + numpy.eye(agents))
        assert shortest(graph) <= len(walk) <= shortest(graph) + 2
