"""Communication graphs and their mixing matrices."""

import os
from pathlib import Path

import networkx
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import cos, pi
from pydantic import ValidationError
from support.families import RANDOMNESS, edges, graph_of, members, ring

from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.topology import (
    Chain,
    Complete,
    DirectedRing,
    EdgeFile,
    EdgeList,
    Exponential,
    Hypercube,
    OnePeerExponential,
    RandomRegular,
    Ring,
    Star,
    Torus,
    TwoHub,
    check_mixing_matrix,
    is_doubly_stochastic,
    second_eigenvalue,
    spectral_gap,
)

WEIGHTS = ["metropolis", "uniform"]
FAMILIES = [(Ring, "ring"), (Complete, "complete"), (TwoHub, "two_hub")]


def neighbours_by_formula(name, agents, agent):
    if name == "ring":
        return {(agent - 1) % agents, (agent + 1) % agents} - {agent}
    if name == "complete":
        return set(range(agents)) - {agent}
    hubs = {agents - 2, agents - 1}
    return set(range(agents)) - hubs if agent in hubs else hubs


@pytest.mark.parametrize(("family", "name"), FAMILIES)
@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(3, 24))
def test_mixing_matrices_of_every_family(family, name, weights, agents):
    matrix = family(name=name, weights=weights).mixing_matrix(agents)
    assert matrix.shape == (agents, agents)
    assert (matrix == matrix.T).all()
    numpy.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-12)
    numpy.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    assert (matrix > -1e-15).all()
    for agent in range(agents):
        linked = set(numpy.flatnonzero(matrix[agent]).tolist()) - {agent}
        assert linked == neighbours_by_formula(name, agents, agent)
        assert set(InProcess(matrix).senders(agent)) == linked
        assert matrix[agent, agent] >= 1 / agents - 1e-12  # degrees are at most N - 1


@given(st.integers(3, 30))
def test_eigenvalues_of_the_ring(agents):
    matrix = Ring(weights="uniform").mixing_matrix(agents)
    others = [abs(1 + 2 * numpy.cos(2 * numpy.pi * k / agents)) / 3 for k in range(1, agents)]
    assert second_eigenvalue(matrix) == pytest.approx(max(others), abs=1e-12)
    assert spectral_gap(matrix) == pytest.approx(1 - max(others), abs=1e-12)
    numpy.testing.assert_allclose(Ring().mixing_matrix(agents), matrix)  # a regular graph


@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(1, 30))
def test_the_complete_graph_averages_in_one_step(weights, agents):
    matrix = Complete(weights=weights).mixing_matrix(agents)
    numpy.testing.assert_allclose(matrix, 1 / agents, atol=1e-12)
    assert second_eigenvalue(matrix) == pytest.approx(0, abs=1e-12)


@given(st.integers(2, 20), st.integers(0, 99))
def test_the_second_eigenvalue_is_the_contraction_of_a_gossip_step(agents, seed):
    matrix = Ring().mixing_matrix(agents)
    values = numpy.random.default_rng(seed).normal(size=agents)
    before = numpy.linalg.norm(values - values.mean())
    after = numpy.linalg.norm(matrix @ values - values.mean())
    assert after <= second_eigenvalue(matrix) * before + 1e-12


def test_a_negative_eigenvalue_counts_with_its_magnitude():
    assert second_eigenvalue(numpy.array([[0.1, 0.9], [0.9, 0.1]])) == pytest.approx(0.8)


def test_metropolis_on_two_hubs_by_hand():
    """Five agents: leaves 0, 1, 2 of degree 2, hubs 3, 4 of degree 3; so 1/4 on every edge."""
    quarter = TwoHub().mixing_matrix(5) * 4
    expected = [[2, 0, 0, 1, 1], [0, 2, 0, 1, 1], [0, 0, 2, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]
    numpy.testing.assert_allclose(quarter, expected, atol=1e-12)


def test_metropolis_and_uniform_on_a_path_with_a_star_by_hand():
    """Degrees 1, 3, 1, 2, 1: edge 3-4 weighs 1/3 by Metropolis and 1/4 by the largest degree."""
    graph = [(0, 1), (1, 2), (1, 3), (3, 4)]
    metropolis = edges(*graph).mixing_matrix(5)
    uniform = EdgeList(edge_list=graph, weights="uniform").mixing_matrix(5)
    assert metropolis[0, 1] == metropolis[1, 3] == uniform[0, 1] == uniform[3, 4] == 1 / 4
    assert metropolis[3, 4] == metropolis[4, 3] == 1 / 3
    numpy.testing.assert_allclose(metropolis.diagonal(), [3 / 4, 1 / 4, 3 / 4, 5 / 12, 2 / 3])
    numpy.testing.assert_allclose(uniform.diagonal(), [3 / 4, 1 / 4, 3 / 4, 1 / 2, 3 / 4])


@pytest.mark.parametrize("graph", [Ring(), Complete()], ids=str)
def test_a_single_agent_keeps_everything(graph):
    matrix = graph.mixing_matrix(1)
    assert matrix.tolist() == [[1.0]]
    assert second_eigenvalue(matrix) == 0
    assert InProcess(matrix).senders(0) == []


def test_two_agents_on_a_ring_share_one_edge():
    assert Ring().mixing_matrix(2).tolist() == [[0.5, 0.5], [0.5, 0.5]]


@given(st.permutations([(0, 1), (1, 2), (2, 3), (3, 0)]), st.booleans())
def test_an_edge_list_in_any_order_and_direction(order, reverse):
    listed = [(j, i) if reverse else (i, j) for i, j in order]
    numpy.testing.assert_array_equal(edges(*listed).mixing_matrix(4), Ring().mixing_matrix(4))


def test_an_edge_listed_in_both_directions_counts_once():
    numpy.testing.assert_array_equal(edges((0, 1), (1, 0)).mixing_matrix(2), [[0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("graph", "agents", "word"),
    [
        (edges((0, 1), (2, 3)), 4, "disconnected"),
        (edges((0, 1)), 3, "disconnected"),
        (edges((0, 0)), 2, "edge_list"),
        (edges((0, 2)), 2, "edge_list"),
        (edges((-1, 0)), 2, "edge_list"),
        (edges((0, 1, 2)), 3, "edge_list"),
        (edges((0, 1, 1)), 3, "edge_list"),
        (TwoHub(), 2, "agents"),
        (TwoHub(), 1, "agents"),
    ],
)
def test_impossible_graphs_are_refused(graph, agents, word):
    with pytest.raises(InputError, match=word):
        graph.mixing_matrix(agents)


def corrupted(row, column, change):
    matrix = Ring().mixing_matrix(5)
    matrix[row, column] += change
    return matrix


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (corrupted(0, 1, 1e-6), "not symmetric"),
        (corrupted(2, 2, 1e-6), "not stochastic"),
        (corrupted(2, 2, -1e-9), "not stochastic"),
        (corrupted(1, 1, numpy.nan), ""),
        (numpy.array([[1.5, -0.5], [-0.5, 1.5]]), "negative"),
        (numpy.array([[0.5, 0.5], [1.0, 0.0]]), "not symmetric"),
        (numpy.ones((3, 3)), "not stochastic"),
        (numpy.zeros((3, 3)), "not stochastic"),
    ],
)
def test_corrupted_mixing_matrices_are_refused(matrix, word):
    with pytest.raises(InputError, match=f"mixing matrix.*{word}"):
        check_mixing_matrix(matrix)


def test_round_off_in_a_mixing_matrix_is_tolerated():
    check_mixing_matrix(corrupted(2, 2, 1e-15))


@given(st.integers(1, 10), st.integers(0, 99))
def test_any_average_of_symmetric_permutations_is_accepted(agents, seed):
    generator = numpy.random.default_rng(seed)
    swaps = [numpy.eye(agents)[generator.permutation(agents)] for _ in range(3)]
    check_mixing_matrix(sum(matrix + matrix.T for matrix in swaps) / 6)


# Every family.


@given(members())
def test_every_family_is_connected_and_mixes(member):
    graph, agents = member
    network, matrix = graph.network(agents), graph.mixing_matrix(agents)
    assert network.is_directed() == graph.is_directed
    assert set(network) == set(range(agents))
    check_mixing_matrix(matrix, graph.is_directed)
    assert is_doubly_stochastic(matrix)  # the directed families with names are circulant
    arcs = {(int(j), int(i)) for i, j in numpy.argwhere(matrix > 0) if i != j}
    assert arcs == set(network.to_directed().edges)
    assert (matrix.diagonal() > -1e-15).all()
    assert 0 <= graph.contraction(agents) < 1
    if graph.period(agents) == 1:
        assert graph.contraction(agents) == pytest.approx(second_eigenvalue(matrix), abs=1e-12)


@given(members(), st.integers(0, 20))
def test_the_matrices_of_one_period_take_turns(member, time):
    graph, agents = member
    period = graph.period(agents)
    matrices = [graph.mixing_at(agents, time + step, RANDOMNESS) for step in range(period)]
    numpy.testing.assert_allclose(numpy.mean(matrices, axis=0), graph.mixing_matrix(agents), atol=1e-12)
    assert graph.mixing_at(agents, time + period, RANDOMNESS) is matrices[0]
    with pytest.raises(ValueError, match="read-only"):
        matrices[0][0, 0] = 2


@pytest.mark.parametrize("name", ["random_regular", "erdos_renyi", "small_world", "barabasi_albert"])
def test_random_graphs_are_drawn_once_and_for_all(name):
    drawn = [graph_of({"name": name, "draw": draw}) for draw in (0, 0, 1)]
    first, again, other = [graph.edges(12) for graph in drawn]
    assert first == again != other


def test_random_graphs_have_the_links_that_were_asked_for():
    regular = RandomRegular(degree=3).network(10)
    assert {degree for _, degree in regular.degree} == {3}
    assert len(graph_of({"name": "erdos_renyi", "probability": 1.0}).edges(7)) == 21
    assert len(graph_of({"name": "small_world", "neighbours": 4, "rewiring": 0.5}).edges(11)) == 22
    assert graph_of({"name": "small_world", "neighbours": 2, "rewiring": 0.0}).edges(9) == ring().edges(9)
    assert len(graph_of({"name": "barabasi_albert", "links": 2}).edges(10)) == 16


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ("ring", "ring"),
        ("two_hub", "two hubs"),
        ({"name": "two_hub", "weights": "uniform"}, "two hubs weights uniform"),
        ({"name": "one_peer_exponential", "link_failures": 0.1}, "one peer exponential link failures 0.1"),
        ({"name": "sequence", "graphs": ["star", "directed_ring"]}, "sequence star / directed ring"),
        (
            {"name": "sequence", "graphs": ["ring", {"name": "torus", "rows": 2}], "agent_failures": 0.5},
            "sequence ring / torus rows 2 agent failures 0.5",
        ),
    ],
)
def test_labels(content, label):
    assert graph_of(content).label() == label


# Closed forms.


@pytest.mark.parametrize("agents", range(3, 12))
def test_contraction_of_star_and_chain(agents):
    assert Star().contraction(agents) == pytest.approx(1 - 1 / agents)
    assert Chain().contraction(agents) == pytest.approx((1 + 2 * cos(pi / agents)) / 3)


@pytest.mark.parametrize("dimensions", range(1, 7))
def test_contraction_of_hypercube_and_exponential_graph(dimensions):
    agents, factor = 2**dimensions, (dimensions - 1) / (dimensions + 1)
    assert Hypercube().contraction(agents) == pytest.approx(factor, abs=1e-12)
    assert Exponential().contraction(agents) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("agents", range(2, 40, 2))
def test_the_exponential_graph_over_an_even_number(agents):
    """Ying et al. 2021: the gap is 2 / (1 + ceil(log2 N))."""
    gap = 1 - Exponential().contraction(agents)
    assert gap == pytest.approx(2 / (1 + numpy.ceil(numpy.log2(agents))), abs=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (3, 4), (4, 4), (3, 7), (5, 6)])
def test_eigenvalues_of_the_torus(rows, columns):
    matrix = Torus(rows=rows).mixing_matrix(rows * columns)
    expected = [
        (1 + 2 * cos(2 * pi * i / rows) + 2 * cos(2 * pi * j / columns)) / 5
        for i in range(rows)
        for j in range(columns)
    ]
    numpy.testing.assert_allclose(numpy.linalg.eigvalsh(matrix), sorted(expected), atol=1e-12)


def test_the_torus_is_as_square_as_possible():
    torus = Torus()
    assert torus.edges(12) == Torus(rows=3).edges(12)
    assert torus.edges(10) == Torus(rows=2).edges(10)
    assert torus.edges(4) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert Torus(rows=1).edges(7) == ring().edges(7)
    assert sorted(torus.network(12).neighbors(0)) == [1, 3, 4, 8]


@pytest.mark.parametrize("agents", range(2, 20))
def test_contraction_of_the_directed_ring(agents):
    graph = DirectedRing()
    assert graph.contraction(agents) == pytest.approx(cos(pi / agents), abs=1e-12)
    assert graph.mixing_matrix(agents)[1, 0] == 0.5  # receiver 1, sender 0


@pytest.mark.parametrize("agents", [1, 2, 4, 8, 16, 32])
def test_one_period_of_the_one_peer_exponential_graph_averages_exactly(agents):
    graph = OnePeerExponential()
    product = numpy.eye(agents)
    for time in range(graph.period(agents)):
        matrix = graph.mixing_at(agents, time, RANDOMNESS)
        assert agents == 1 or ((matrix > 0).sum(axis=0) == 2).all()
        product = matrix @ product
    assert (product == 1 / agents).all()
    assert graph.contraction(agents) == 0
    exponential = Exponential()
    assert networkx.utils.graphs_equal(graph.network(agents), exponential.network(agents))


# The fastest mixing weights.


@given(st.sampled_from([3, 5, 6, 8, 10]), st.integers(0, 5))
def test_the_fastest_weights_are_at_least_as_good(agents, draw):
    drawn = {"name": "erdos_renyi", "draw": draw}
    fastest = graph_of(drawn | {"weights": "fastest"})
    matrix = fastest.mixing_matrix(agents)
    assert (matrix == matrix.T).all()
    assert matrix.min() > -1e-15
    links = graph_of(drawn).mixing_matrix(agents) > 0
    assert not matrix[~links & ~numpy.eye(agents, dtype=bool)].any()
    for weights in WEIGHTS:
        assert (
            fastest.contraction(agents) <= graph_of(drawn | {"weights": weights}).contraction(agents) + 1e-6
        )


@pytest.mark.parametrize(
    ("name", "agents", "optimum"),
    [
        ("complete", 7, 0),
        ("chain", 2, 0),
        ("chain", 6, cos(pi / 6)),  # Boyd, Diaconis, Sun and Xiao 2006: all weights 1/2
        ("star", 6, 1 - 1 / 5),  # the centre shares everything it has
        ("hypercube", 8, 1 / 2),  # by symmetry all weights are alike
        ("ring", 4, 1 / 3),
    ],
)
def test_known_optima_of_the_fastest_weights(name, agents, optimum):
    graph = graph_of({"name": name, "weights": "fastest"})
    assert graph.contraction(agents) == pytest.approx(optimum, abs=1e-6)


def test_too_many_agents_for_the_fastest_weights():
    with pytest.raises(InputError, match=r"graph\.weights.*at most 64"):
        ring(weights="fastest").mixing_matrix(65)


# Sequences, files, and graphs of which only the columns sum to one.


def test_a_sequence_takes_turns_and_is_connected_as_a_whole():
    pairs = [
        {"name": "edges", "edge_list": [[0, 1], [2, 3]]},
        {"name": "edges", "edge_list": [[0, 2], [1, 3]]},
    ]
    graph = graph_of({"name": "sequence", "graphs": pairs})
    assert graph.period(4) == 2
    assert not graph.is_directed
    assert graph.contraction(4) == 0  # the two steps of a hypercube
    assert graph.mixing_at(4, 0, RANDOMNESS)[0].tolist() == [0.5, 0.5, 0, 0]
    assert graph.mixing_at(4, 3, RANDOMNESS)[0].tolist() == [0.5, 0, 0.5, 0]
    with pytest.raises(InputError, match="disconnected"):
        graph_of({"name": "sequence", "graphs": pairs[:1]}).mixing_matrix(4)


def test_a_sequence_with_a_directed_graph_is_directed():
    graph = graph_of({"name": "sequence", "graphs": ["star", "directed_ring"]})
    assert graph.is_directed
    assert set(graph.edges(3)) == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2)}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"name": "sequence", "graphs": [{"name": "ring", "link_failures": 0.1}]}, "failures"),
        ({"name": "sequence", "graphs": ["one_peer_exponential"]}, "one_peer_exponential"),
        ({"name": "sequence", "graphs": []}, "graphs"),
        ({"name": "directed_ring", "weights": "uniform"}, "weights"),
        ({"name": "file", "path": "x", "directed": True, "weights": "uniform"}, "weights"),
        ({"name": "ring", "link_failures": 1.0}, "link_failures"),
        ({"name": "small_world", "neighbours": 3}, "neighbours"),
    ],
)
def test_impossible_fields_are_refused(content, word):
    with pytest.raises(ValidationError, match=word):
        graph_of(content)


@pytest.mark.parametrize(
    ("content", "agents", "word"),
    [
        ("torus", 7, "agents: 7.*rows: 1"),
        ("torus", 1, "agents: 1 "),
        ({"name": "torus", "rows": 4}, 10, "rows: 4"),
        ("hypercube", 6, "power of two"),
        ({"name": "random_regular", "degree": 3}, 5, "degree: 3"),
        ({"name": "random_regular", "degree": 4}, 4, "degree: 4"),
        ({"name": "random_regular", "degree": 1}, 4, "never connected"),
        ({"name": "erdos_renyi", "probability": 0.01}, 20, "never connected"),
        ("small_world", 4, "neighbours: 4"),
        ({"name": "barabasi_albert", "links": 5}, 5, "links: 5"),
    ],
)
def test_families_that_do_not_exist_over_so_many_agents(content, agents, word):
    with pytest.raises(InputError, match=word):
        graph_of(content).mixing_matrix(agents)


def test_a_graph_from_a_file(tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("# a ring\n0 1\n\n1 2  # and back\n2   0\n0 2\n")
    undirected = EdgeFile(path=str(path))
    numpy.testing.assert_array_equal(undirected.mixing_matrix(3), ring().mixing_matrix(3))
    directed = EdgeFile(path=str(path), directed=True)
    matrix = directed.mixing_matrix(3)
    numpy.testing.assert_allclose(matrix * 6, [[2, 0, 3], [2, 3, 0], [2, 3, 3]])
    assert not is_doubly_stochastic(matrix)
    assert directed.contraction(3) == pytest.approx(sorted(abs(numpy.linalg.eigvals(matrix)))[1])


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("0 1\n1 x\n", "line 2: '1 x'"),
        ("0 1\n\n1 2 3 # three\n", "line 3: '1 2 3 # three'"),
        ("0 3\n", "agents 0 to 2, got `0 3`"),
        ("1 1\n", "line 1"),
        ("-1 1\n", "line 1"),
        ("0 1\n", "disconnected"),
        ("", "holds no edge"),
        ("# nothing\n\n", "holds no edge"),
        (b"\xff\xfe", "line 1: byte 0xff is not UTF-8"),
        (b"0 1\n1 2\n\xe9", "line 3: byte 0xe9 is not UTF-8"),
        ("0 1\n1 2\n0 1\n", "line 3: 0 1 is listed before, in line 1"),
        ("0 1\n2 2\n", "line 2: '2 2' links an agent to itself"),
        ("0 1\n1 2.0\n", "line 2: '1 2.0': '2.0' is no agent"),
        ("0 1\n1 \N{SUPERSCRIPT TWO}\n", "is no agent"),
        ("0 1\n1 99999999999999999999\n", "is no agent"),
        ("0,1\n", "line 1: '0,1'; expected an edge `i j` in each line"),
        ("0 1 0.5\n", "line 1: '0 1 0.5'; expected an edge"),
        ("[[0, 1], [1, 2]]", "is no agent|expected an edge"),
        ("0 1\x00\n", "is no agent"),
        ("x" * 5000, r"line 1: .{60,80}; expected an edge"),
        (None, "no such file"),
    ],
)
def test_bad_graph_files_are_refused(tmp_path, content, word):
    path = tmp_path / "graph.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=word) as caught:
        EdgeFile(path=str(path)).mixing_matrix(3)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbf0 1\n1 2\n", b"0 1\r\n1 2\r\n", b"0\t1\n 1  2", b"0 1#x\n# y\n1 2\n2 1\n"]
)
def test_a_graph_file_with_a_byte_order_mark_or_other_line_ends(tmp_path, content):
    (tmp_path / "graph.txt").write_bytes(content)
    assert EdgeFile(path=str(tmp_path / "graph.txt")).edges(3) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_a_graph_that_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "graph")
    with pytest.raises(InputError, match="a folder, a pipe or a device; expected an edge `i j` in each line"):
        EdgeFile(path=str(tmp_path / "graph")).edges(3)


def test_a_graph_in_many_parts_is_told_in_a_short_line():
    with pytest.raises(InputError, match=r"disconnected: \[\[0, 1\], .*\[4\], ... 45 more parts\]"):
        edges((0, 1)).mixing_matrix(50)


def test_an_edge_written_twice_is_refused():
    with pytest.raises(InputError, match=r"edge_list: \[0, 1\] is listed twice"):
        edges((0, 1), (1, 2), (0, 1)).mixing_matrix(3)


def test_a_directed_graph_must_be_strongly_connected(tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("0 1\n1 2\n")
    with pytest.raises(InputError, match="strongly connected"):
        EdgeFile(path=str(path), directed=True).mixing_matrix(3)


def test_kinds_of_mixing_matrices():
    columns = numpy.array([[0.5, 0.0], [0.5, 1.0]])
    check_mixing_matrix(columns, directed=True)
    assert not is_doubly_stochastic(columns)
    assert second_eigenvalue(columns) == pytest.approx(0.5)
    with pytest.raises(InputError, match="columns"):
        check_mixing_matrix(columns.T, directed=True)
    circulant = Exponential().mixing_matrix(6)
    assert is_doubly_stochastic(circulant)
    with pytest.raises(InputError, match="not symmetric"):
        check_mixing_matrix(circulant)
