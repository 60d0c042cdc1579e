"""Balls around eigenvalues and norms, the verdicts drawn from them, and corrupted claims they must reject."""

from itertools import combinations

import numpy
import pytest
import sympy
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.topology import (
    Chain,
    Complete,
    DirectedRing,
    EdgeList,
    Exponential,
    Hypercube,
    Ring,
    Star,
    Torus,
    TwoHub,
    second_eigenvalue,
)
from theory.gap.enclosure import (
    are_eigenvalues,
    ball,
    eigenvalues,
    exact_mixing,
    is_less,
    norm,
    second_modulus,
)
from theory.gap.lift import Lift
from theory.gap.permutations import consistent, drifted, identity, independent
from theory.gap.readings import READINGS
from theory.gap.spectra import exact_root, spectrum
from theory.gap.verdicts import exact_operator, inherits_spectrum, relation

RING = Ring()
FIVE = RING.mixing_matrix(5)
UNDIRECTED = [
    RING,
    Complete(),
    TwoHub(),
    Star(),
    Chain(),
    Torus(),
    Hypercube(),
]
GRAPHS = [*UNDIRECTED, DirectedRing(), Exponential()]
BITS = [53, 106, 212]


def random_generator(seed=0):
    return numpy.random.default_rng(seed)


def planted(values, seed):
    """Q D Q^T with a rational orthogonal Q, a product of reflections: exact eigenvalues, dense entries."""
    n = len(values)
    q = fmpq_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
    for _ in range(3):
        v = fmpq_mat(n, 1, random_generator(seed).integers(1, 5, n).tolist())
        q -= v * (v.transpose() * q) * (2 / (v.transpose() * v)[0, 0])
        seed += 1
    diagonal = fmpq_mat(n, n, [values[i] if i == j else fmpq(0) for i in range(n) for j in range(n)])
    return q * diagonal * q.transpose()


fractions = st.builds(lambda p, q: fmpq(p, q), st.integers(-3, 3), st.integers(1, 4))


# Enclosures.


@pytest.mark.parametrize("bits", BITS)
@given(values=st.lists(fractions, min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_planted_eigenvalues_are_enclosed(bits, values, seed):
    """Multiple ones as well, in order, and tighter at a higher precision."""
    with ctx.workprec(bits):
        found = eigenvalues(planted(values, seed))
        expected = sorted(values, key=lambda x: int(x.p) / int(x.q))
        for enclosure, value in zip(found, expected, strict=True):
            assert enclosure.contains(value)
            assert enclosure.rad() < arb(2) ** (12 - bits)
        largest = max(abs(int(x.p) / int(x.q)) for x in values)
        assert float(norm(planted(values, seed)).mid()) == pytest.approx(largest, abs=1e-12)


def test_a_wrong_eigenvalue_is_outside():
    values = [fmpq(1, 2), fmpq(1, 2), fmpq(-1, 3)]
    found = eigenvalues(planted(values, 0))
    assert not found[2].contains(fmpq(1, 2) + fmpq(1, 10**12))
    assert not found[0].contains(fmpq(-1, 3) - fmpq(1, 10**12))


def test_algebraic_entries():
    """[[0, sqrt 2], [sqrt 2, 0]] has the eigenvalues -sqrt 2 and sqrt 2."""
    for bits in BITS:
        with ctx.workprec(bits):
            root = ball(sympy.sqrt(2)).real
            low, high = eigenvalues(arb_mat([[0, root], [root, 0]]))
            assert (low**2).overlaps(arb(2)) and (high**2).overlaps(arb(2)) and low < 0 < high


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
def test_norms_of_rectangular_matrices(rows, columns, seed):
    entries = random_generator(seed).integers(-5, 6, (rows, columns))
    enclosure = norm(fmpq_mat(rows, columns, entries.ravel().tolist()))
    assert float(enclosure.mid()) == pytest.approx(numpy.linalg.norm(entries, 2), abs=1e-5)
    assert enclosure.rad() < 1e-5


def test_a_matrix_that_is_not_symmetric_is_refused():
    corrupted = fmpq_mat([[1, 2], [fmpq(2) + fmpq(1, 10**30), 1]])
    for matrix in (corrupted, arb_mat([[1, 2], [3, 1]])):
        with pytest.raises(InputError, match="not symmetric"):
            eigenvalues(matrix)


# Comparisons.


def test_comparisons_raise_the_precision_until_they_know():
    third, near = fmpq(1, 3), fmpq(1, 3) + fmpq(1, 10**40)
    for values in ([third, near], [near, third]):
        matrices = [planted([value, value, fmpq(0)], 7) for value in values]
        less = [lambda matrix=matrix: norm(matrix) for matrix in matrices]
        assert is_less(*less) is (values[0] < values[1])
        assert is_less(*less, most_bits=106) is None


def test_equal_numbers_are_not_decided():
    assert is_less(lambda: arb(2).sqrt(), lambda: arb(8).sqrt() / 2) is None
    assert is_less(lambda: arb(1), lambda: arb(1)) is False  # both exact


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (sympy.Rational(-3, 7), -3 / 7),
        ((1 + 2 * sympy.cos(2 * sympy.pi / 7)) / 3, (1 + 2 * numpy.cos(2 * numpy.pi / 7)) / 3),
        (sympy.sqrt(sympy.sin(1) ** 2 + 2), (numpy.sin(1) ** 2 + 2) ** 0.5),
        (sympy.Abs(sympy.cos(3), evaluate=False), -numpy.cos(3)),
    ],
)
def test_closed_forms_become_balls(expression, value):
    assert float(ball(expression).real.mid()) == pytest.approx(value, abs=1e-15)
    with pytest.raises(InputError, match=r"closed form: log"):
        ball(expression + sympy.log(2))


# Mixing matrices.


@pytest.mark.parametrize("graph", GRAPHS, ids=str)
def test_closed_forms_are_not_refuted_and_wrong_ones_are(graph):
    for agents in (4, 8, 16):
        exact = exact_mixing(graph.mixing_matrix(agents))
        values = spectrum(graph, agents)
        assert are_eigenvalues(values, exact)
        assert not are_eigenvalues(values[:-1], exact)
        assert not are_eigenvalues([*values[:-1], values[-1] + sympy.Rational(1, 10**20)], exact)
        assert not are_eigenvalues([values[0], *values[:-1]], exact)  # the right numbers, the wrong times
        root = ball(exact_root(graph, agents)).real
        assert root.overlaps(second_modulus(exact))
        ones = fmpq_mat(agents, agents, [fmpq(1, agents)] * agents**2)
        assert root.overlaps(norm(exact - ones))
        assert float(root.mid()) == pytest.approx(second_eigenvalue(graph.mixing_matrix(agents)), abs=1e-12)


@pytest.mark.parametrize("factor", [1.05, 0.95])
def test_matrices_without_such_weights_are_refused(factor):
    with pytest.raises(InputError, match="off weights of links 1 / n and rows that sum to 1"):
        exact_mixing(factor * FIVE)
    with pytest.raises(InputError, match="off weights of links 1 / n"):
        exact_mixing(Ring(weights="fastest").mixing_matrix(5))
    with pytest.raises(InputError, match="1 is none of its eigenvalues"):
        second_modulus(exact_mixing(FIVE) * fmpq(21, 20))


# Verdicts on rho'.


def by_name(lift):
    return {reading.name: reading.verdict(lift) for reading in READINGS}


@given(
    st.sampled_from(UNDIRECTED[:5]), st.integers(3, 5), st.integers(1, 5), st.sampled_from([0.0, 0.4, 1.0]),
    st.integers(0, 10**6),
)  # fmt: skip
def test_verdicts_and_numbers_agree(graph, agents, size, share, seed):
    lift = drifted(graph.mixing_matrix(agents), size, share, random_generator(seed))
    root = second_eigenvalue(lift.mixing)
    for reading in READINGS:
        verdict, value = reading.verdict(lift), reading.of(lift)
        assert float(verdict.reading.mid()) == pytest.approx(value, abs=1e-5)
        assert float(verdict.root.mid()) == pytest.approx(root, abs=1e-9)
        assert verdict.relation in ("above", "equal", "undecided")
        if verdict.relation != "undecided":
            assert (verdict.relation == "above") == (value > root + 1e-9)
    merge, mixing = exact_operator(lift), exact_mixing(lift.mixing)
    assert inherits_spectrum(merge, mixing)
    assert divmod(merge.charpoly(), mixing.charpoly())[1] == 0  # the same, said of polynomials
    assert (merge.charpoly() == mixing.charpoly() ** size) == lift.consistent


def test_verdicts_on_the_ring_of_five():
    generator = random_generator()
    stay, shuffled = by_name(identity(FIVE, 20)), by_name(consistent(FIVE, 20, generator))
    apart = by_name(independent(FIVE, 20, generator))
    assert {verdict.relation for verdict in stay.values()} == {"equal"}
    assert [verdict.relation for verdict in shuffled.values()] == ["equal", "above", "above", "equal"]
    assert {verdict.relation for verdict in apart.values()} == {"above"}
    assert shuffled["eigenvalue"].because == "all cycles close: W = Q (Pi kron I) Q^T"


def swapped(edges, agents, turned):
    """Two coordinates, swapped on the links ``turned``."""
    mixing = EdgeList(edge_list=edges).mixing_matrix(agents)
    swap = numpy.array([1, 0])
    turns = {pair: swap for i, j in turned for pair in ((i, j), (j, i))}
    return Lift(mixing, identity(mixing, 2).permutations | turns)


def test_rho_may_stay_although_cycles_do_not_close():
    """Two complete graphs of four, joined by the slow link: what turns within them is faster than that."""
    halves = [list(combinations(range(start, start + 4), 2)) for start in (0, 4)]
    inner = [*halves[0], *halves[1]]
    lift = swapped([*map(list, inner), [3, 4]], 8, inner)
    assert lift.capacity == 1
    found = by_name(lift)
    assert [verdict.relation for verdict in found.values()] == ["equal", "above", "equal", "equal"]
    assert found["eigenvalue"].because == "what spec(W) has beyond spec(Pi) lies below sqrt(rho)"


def test_equal_norms_are_an_argument():
    """Two triangles joined by a link: one link that swaps slows down consensus, and not what norms read."""
    found = by_name(swapped([[0, 1], [1, 2], [0, 2], [2, 3], [3, 4], [4, 5], [3, 5]], 6, [(0, 1)]))
    assert [verdict.relation for verdict in found.values()] == ["above", "equal", "equal", "above"]
    assert found["from the mean"].because == "off all u kron 1 the norm lies below sqrt(rho)"


def test_permutations_that_are_not_inverse_get_no_verdict():
    generator = random_generator()
    orders = {pair: generator.permutation(6) for pair in identity(FIVE, 6).permutations}
    with pytest.raises(InputError, match="P_ji = P_ij"):
        READINGS[0].verdict(Lift(FIVE, orders, inverse=False))


def test_too_small_a_reading_is_found_below():
    """A claimed sqrt(rho') below sqrt(rho), and a merge that does shrink: the comparison can say so."""
    exact = exact_mixing(FIVE)
    root = exact_root(RING, 5)
    assert relation(lambda: ball(root).real, lambda: ball(root * sympy.Rational(99, 100)).real) == "below"
    off_diagonal = exact_operator(consistent(FIVE, 4, random_generator()))
    shrunk = off_diagonal * fmpq(9, 10)
    assert not inherits_spectrum(shrunk, exact)
    ones = fmpq_mat(5, 5, [fmpq(1, 5)] * 25)
    apart = exact - ones
    assert relation(lambda: norm(apart), lambda: norm(apart * fmpq(9, 10))) == "below"


@pytest.mark.parametrize("entry", [(0, 0), (0, 5), (7, 3)])
def test_one_wrong_entry_of_an_operator_is_noticed(entry):
    merge = exact_operator(independent(FIVE, 4, random_generator()))
    merge[entry] += fmpq(1, 100)
    assert not inherits_spectrum(merge, exact_mixing(FIVE))
