"""The lifted merge operator against dense matrices, merges of real networks, and what must be refused."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.diagnostics import cycle_closures, orbits
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.topology import (
    Chain,
    Complete,
    DirectedRing,
    EdgeList,
    Exponential,
    Ring,
    TwoHub,
    second_eigenvalue,
)
from theory.gap import lift as lift_module
from theory.gap.counterexamples import mean_counterexample, sequence_counterexample
from theory.gap.lift import Lift
from theory.gap.permutations import consistent, drifted, identity, independent, of_group, of_parameters
from theory.gap.readings import READINGS, agent_eigenvalue, agent_norm, drift_of_mean
from theory.gap.spectra import exact_root

RING, COMPLETE = Ring(), Complete()
UNDIRECTED = [RING, COMPLETE, TwoHub(), Chain()]
GRAPHS = [*UNDIRECTED, DirectedRing(), Exponential()]
SHARES = [0.0, 0.3, 1.0]
FIVE = RING.mixing_matrix(5)


def random_generator(seed=0):
    return numpy.random.default_rng(seed)


def one_sided(agents, size, seed):
    """A permutation for each direction of each link of a ring, unlike each other."""
    mixing, generator = RING.mixing_matrix(agents), random_generator(seed)
    orders = {pair: generator.permutation(size) for pair in identity(mixing, size).permutations}
    return mixing, orders


def written_out(lift):
    """[pi_ij P_ij], block by block."""
    blocks = [
        [lift.mixing[i, j] * numpy.eye(lift.size) for j in range(lift.agents)] for i in range(lift.agents)
    ]
    for (i, j), order in lift.permutations.items():
        blocks[i][j] = lift.mixing[i, j] * numpy.eye(lift.size)[order]
    return numpy.block(blocks)


lifts = st.builds(
    lambda graph, agents, size, share, seed: drifted(
        graph.mixing_matrix(agents), size, share, random_generator(seed)
    ),
    st.sampled_from(GRAPHS),
    st.integers(3, 6),
    st.integers(1, 7),
    st.sampled_from(SHARES),
    st.integers(0, 10**6),
)
any_lifts = st.one_of(
    lifts,
    st.builds(
        lambda *arguments: Lift(*one_sided(*arguments), inverse=False),
        st.integers(3, 5),
        st.integers(2, 5),
        st.integers(0, 10**6),
    ),
)


@given(any_lifts)
def test_all_forms_of_the_operator_agree(lift):
    dense = written_out(lift)
    numpy.testing.assert_array_equal(lift.operator().toarray(), dense)
    assert lift.symmetric == numpy.array_equal(dense, dense.T)
    x = random_generator().standard_normal((lift.agents, lift.size))
    numpy.testing.assert_allclose(lift.apply(x).ravel(), dense @ x.ravel(), atol=1e-12)
    numpy.testing.assert_allclose(lift.apply(x, transposed=True).ravel(), dense.T @ x.ravel(), atol=1e-12)
    by_orbit = sorted(size for m, members in lift.orbit_sizes.items() for size in [m] * len(members))
    assert sum(by_orbit) == lift.size and len(by_orbit) == lift.capacity


@given(any_lifts)
def test_the_spectrum_orbit_by_orbit_is_that_of_the_whole(lift):
    values = numpy.linalg.eigvals(written_out(lift))
    moments = [(values**p).sum() for p in range(1, 7)]
    found = [(lift.spectrum() ** p).sum() for p in range(1, 7)]
    numpy.testing.assert_allclose(found, moments, atol=1e-9)
    assert (abs(values - 1) < 1e-7).sum() == lift.capacity
    moduli = numpy.sort(abs(values))[::-1]
    # Eigenvalues of matrices that are not symmetric may be defective, and then lose digits.
    assert lift.second_modulus() == pytest.approx(moduli[lift.capacity], abs=1e-9 if lift.symmetric else 1e-4)


@given(st.sampled_from(UNDIRECTED), st.integers(3, 6), st.integers(1, 7), st.sampled_from(SHARES))
def test_a_symmetric_spectrum_is_ascending(graph, agents, size, share):
    lift = drifted(graph.mixing_matrix(agents), size, share, random_generator(size))
    expected = numpy.linalg.eigvalsh(written_out(lift))
    numpy.testing.assert_allclose(lift.spectrum(), expected, atol=1e-12)


@given(any_lifts)
def test_merging_again_and_again_averages_over_orbits(lift):
    """The reading `from the limit` is the rate, and what is left is one mean for each orbit."""
    dense, n = written_out(lift), lift.agents * lift.size
    limit = numpy.stack([lift.project(x.reshape(lift.agents, -1)).ravel() for x in numpy.eye(n)])
    numpy.testing.assert_allclose(limit, limit.T, atol=1e-12)
    numpy.testing.assert_allclose(limit @ limit, limit, atol=1e-12)
    assert numpy.trace(limit) == pytest.approx(lift.capacity)
    far = numpy.linalg.matrix_power(dense, 10)
    factor = READINGS[3].of(lift)
    assert factor == pytest.approx(numpy.linalg.norm(dense - limit, 2), abs=1e-9)
    assert numpy.linalg.norm(far - limit, 2) <= factor**10 + 1e-9


@given(st.sampled_from(UNDIRECTED), st.integers(3, 6), st.integers(1, 20), st.sampled_from(SHARES))
def test_orbits_and_closures_are_those_of_the_library(graph, agents, size, share):
    lift = drifted(graph.mixing_matrix(agents), size, share, random_generator(agents))
    links = {pair: torch.from_numpy(order) for pair, order in lift.permutations.items()}
    assert lift.capacity == orbits(links, agents, size)
    assert sorted(lift.closures().values()) == sorted(cycle_closures(links, agents, size))
    assert lift.consistent == (lift.capacity == size)
    if share == 0:
        assert lift.consistent


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("agents", [3, 5, 8])
def test_an_orbit_of_a_ring_is_a_longer_ring(agents, share):
    """Each orbit of m coordinates is a ring of N m agents: the closed form of sqrt(rho) gives sqrt(rho')."""
    lift = drifted(RING.mixing_matrix(agents), 30, share, random_generator(1))
    longest = max(lift.orbit_sizes)
    assert (longest > 1) == (share > 0)
    expected = float(exact_root(RING, agents * longest))
    assert lift.second_modulus() == pytest.approx(expected, abs=1e-12)


def test_large_orbits_are_iterated_to_the_same_number(monkeypatch):
    for graph in (COMPLETE, Exponential()):
        lift = drifted(graph.mixing_matrix(5), 60, 1.0, random_generator())
        exact = lift.second_modulus()
        monkeypatch.setattr(lift_module, "DENSE", 50)
        assert lift.second_modulus() == pytest.approx(exact, abs=1e-5)
        with pytest.raises(InputError, match="expected orbits of at most 10 coordinates"):
            lift.spectrum()
        monkeypatch.undo()


@given(lifts)
def test_where_cycles_close_merging_is_plain_averaging_in_other_coordinates(lift):
    """With steps between merges, too, that treat all coordinates alike; not where a cycle is open."""
    x = random_generator().standard_normal((lift.agents, lift.size))

    def step(x):
        return x - 0.1 * numpy.sin(3 * x)

    merged, plain = x, lift.aligned(x)
    for _ in range(3):
        merged, plain = step(lift.apply(merged)), step(lift.mixing @ plain)
    assert numpy.allclose(lift.aligned(merged), plain, atol=1e-12) == lift.consistent


# Readings.


@given(any_lifts)
def test_no_reading_is_below_sqrt_rho(lift):
    dense, identity_ = written_out(lift), numpy.eye(lift.agents * lift.size)
    mean = numpy.kron(numpy.full((lift.agents,) * 2, 1 / lift.agents), numpy.eye(lift.size))
    values = {reading.name: reading.of(lift) for reading in READINGS}
    assert values["from the mean"] == pytest.approx(numpy.linalg.norm(dense - mean, 2))
    assert values["of disagreement"] == pytest.approx(numpy.linalg.norm(dense @ (identity_ - mean), 2))
    root = numpy.sort(abs(numpy.linalg.eigvals(lift.mixing)))[-2]
    assert min(values.values()) >= root - 1e-9
    eigenvalues, eigenvectors = numpy.linalg.eig(lift.mixing)
    for value, vector in zip(eigenvalues, eigenvectors.T, strict=True):
        lifted = numpy.repeat(vector, lift.size)
        numpy.testing.assert_allclose(dense @ lifted, value * lifted, atol=1e-12)
    drift = numpy.linalg.norm(mean @ (dense - identity_), 2)
    assert drift_of_mean(lift) == pytest.approx(drift, abs=1e-9)


def test_the_ring_of_five():
    """The numbers of the audit: sqrt(rho), consistent and independent permutations of 20 coordinates."""
    root = second_eigenvalue(FIVE)
    assert root == pytest.approx(0.539, abs=5e-4)
    for family in (identity(FIVE, 20), consistent(FIVE, 20, random_generator())):
        assert family.second_modulus() == pytest.approx(root, abs=1e-12)
    random = [independent(FIVE, 20, random_generator(seed)).second_modulus() for seed in range(200)]
    assert numpy.median(random) == pytest.approx(0.996, abs=1e-3)


@pytest.mark.parametrize("reading", READINGS[1:3], ids=lambda reading: reading.name)
def test_norms_at_larger_sizes_are_iterated(reading, monkeypatch):
    lift = independent(FIVE, 30, random_generator())
    exact = reading.of(lift)
    monkeypatch.setattr("theory.gap.readings.DENSE", 50)
    assert reading.of(lift) == pytest.approx(exact, abs=1e-5)


@given(st.integers(3, 7), st.randoms(use_true_random=False))
def test_permutations_of_agents_change_eigenvalues_and_no_norm(agents, random):
    mixing = RING.mixing_matrix(agents)
    order = numpy.array(random.sample(range(agents), agents))
    assert agent_norm(mixing, order) == pytest.approx(second_eigenvalue(mixing), abs=1e-12)
    assert agent_eigenvalue(mixing, order) <= second_eigenvalue(mixing) + 1e-7


def test_sequences_of_permuted_agents():
    found = sequence_counterexample()
    assert found.agents == 5  # exhaustive: on rings of 3 and 4 no single reading is below sqrt(rho)
    assert float(found.alone) == pytest.approx(0.3837, abs=1e-4)
    root = second_eigenvalue(FIVE)
    product = FIVE[list(found.orders[1])] @ FIVE[list(found.orders[0])]
    many = numpy.linalg.matrix_power(product, 20) - 1 / 5
    assert numpy.linalg.norm(many, 2) == pytest.approx(root**40, rel=1e-6)  # as without permutations
    assert float(found.together) == pytest.approx(root)
    assert "0.3836" in str(found)
    assert sequence_counterexample(most_agents=4) is None
    assert sequence_counterexample(merges=1) is None  # by itself a matrix repeated has its own eigenvalue


def test_the_mean_is_not_preserved():
    first, frameless = mean_counterexample(frameless=False), mean_counterexample(frameless=True)
    assert (first.lift.agents, first.lift.size, first.lift.capacity) == (2, 2, 2)
    assert (frameless.lift.agents, frameless.lift.size, frameless.lift.capacity) == (3, 2, 1)
    for found in (first, frameless):
        numpy.testing.assert_allclose(written_out(found.lift) @ found.before.ravel(), found.after.ravel())
        assert abs(found.before.mean(axis=0) - found.after.mean(axis=0)).max() > 0.1
        assert drift_of_mean(found.lift) > 0.1
    assert "conserved quantities: 1 of 2" in str(frameless)
    assert mean_counterexample(frameless=True, graph=Chain()) is None  # a tree has no cycle
    assert drift_of_mean(identity(FIVE, 4)) == pytest.approx(0, abs=1e-12)


# What matching finds.


@pytest.mark.parametrize("images", ["pooled", "own"])
def test_a_measured_lift_is_the_merge(images, make_agents, make_communicator):
    """The parameters after a merge, without repair, are W times those before: all of them, and per group."""
    agents, communicator = make_agents(agents=4), make_communicator(RING, 4)
    merging = Merging(Matching(), Calibration(repair="none", images=images))
    permutations = match_neighbours(agents, communicator, *merging, round=1).permutations
    names = [name for name, _ in agents.models[0].named_parameters()]
    before = [{name: state[name].clone() for name in names} for state in agents.states()]
    merge_with_neighbours(agents, communicator, merging, Averaging(), round=1)
    after = [{name: state[name] for name in names} for state in agents.states()]

    def vectors(states, chosen):
        return (
            torch.stack([torch.cat([s[name].flatten() for name in chosen]) for s in states]).double().numpy()
        )

    options = (permutations, agents.symmetry, before[0], images == "pooled")
    whole = of_parameters(communicator.mixing, *options)
    numpy.testing.assert_allclose(whole.apply(vectors(before, names)), vectors(after, names), atol=1e-6)
    backwards = Lift(
        communicator.mixing, {p: o.argsort() for p, o in whole.permutations.items()}, whole.inverse
    )
    assert abs(backwards.apply(vectors(before, names)) - vectors(after, names)).max() > 0.1
    for group in agents.symmetry:
        alone = of_group(communicator.mixing, permutations, group.name, images == "pooled")
        for name in (m.name for m in group.members if m.axis == 0 and m.name in names):
            if before[0][name].dim() > 1:
                continue
            numpy.testing.assert_allclose(
                alone.apply(vectors(before, [name])), vectors(after, [name]), atol=1e-6
            )
    if images == "own":
        with pytest.raises(InputError, match="not inverse to each other"):
            of_parameters(communicator.mixing, *options[:3])


# What must be refused.


def test_permutations_that_are_not_inverse_are_refused():
    with pytest.raises(InputError, match=r"of \(0, 1\) and its reverse are not inverse"):
        Lift(*one_sided(5, 8, 0))
    assert not Lift(*one_sided(5, 8, 0), inverse=False).symmetric


@pytest.mark.parametrize("factor", [1.05, 0.95, -1])
def test_a_matrix_that_is_not_stochastic_is_refused(factor):
    with pytest.raises(InputError, match="mixing matrix: negative, or its rows"):
        identity(factor * FIVE, 3)


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (
            lambda orders: orders | {(0, 1): numpy.zeros(4, dtype=int)},
            r"of \(0, 1\) is no permutation of 0 to 3",
        ),
        (lambda orders: orders | {(1, 0): numpy.arange(5)}, r"of \(1, 0\) is no permutation of 0 to 3"),
        (lambda orders: orders | {(0, 2): numpy.arange(4)}, r"\(0, 2\) has a weight or a permutation"),
        (lambda orders: {p: o for p, o in orders.items() if p != (0, 1)}, r"\(0, 1\) has a weight or"),
    ],
)
def test_wrong_permutations_are_refused(corrupt, message):
    with pytest.raises(InputError, match=message):
        Lift(FIVE, corrupt(identity(FIVE, 4).permutations))


def test_unconnected_agents_and_wrong_shares_are_refused():
    apart = numpy.kron(numpy.eye(2), numpy.full((2, 2), 0.5))
    with pytest.raises(InputError, match="do not connect all agents"):
        identity(apart, 3)
    with pytest.raises(InputError, match=r"share: 1.5 of the coordinates"):
        drifted(FIVE, 3, 1.5, random_generator())


def test_an_agent_alone():
    lift = identity(numpy.ones((1, 1)), 1)
    assert (lift.capacity, lift.second_modulus(), lift.closures()) == (1, 0.0, {})
    assert lift.spectrum().tolist() == [1.0]


def test_cycles_of_fewer_links_in_a_larger_graph():
    """Two triangles joined by a path: where only one of them turns, sqrt(rho) may stay as it is."""
    edges = [[0, 1], [1, 2], [0, 2], [2, 3], [3, 4], [4, 5], [3, 5]]
    mixing = EdgeList(edge_list=edges).mixing_matrix(6)
    lift = identity(mixing, 2)
    swap = {(0, 1): numpy.array([1, 0]), (1, 0): numpy.array([1, 0])}
    turned = Lift(mixing, lift.permutations | swap)
    assert sorted(turned.closures().values()) == [0.0, 1.0]
    expected = numpy.sort(abs(numpy.linalg.eigvalsh(written_out(turned))))[-2]
    assert turned.second_modulus() == pytest.approx(expected, abs=1e-12)
