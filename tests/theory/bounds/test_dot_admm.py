"""The operator of DOT-ADMM, and the exact factor of a communication, against draws of what fails."""

import numpy
import pytest
from scipy import linalg

from dimat.randomness import Randomness
from dimat.topology import Complete, Ring, TwoHub
from theory.bounds.dot_admm import AGENTS, DIMENSIONS, Operator, library_difference

FAILING = [
    Ring(),
    Complete(link_failures=0.5, one_way=True),
    Ring(link_failures=0.4, agent_failures=0.3, one_way=True),
    TwoHub(agent_failures=0.5),
]
graphs = pytest.mark.parametrize("graph", FAILING, ids=lambda graph: graph.label())


@graphs
@pytest.mark.parametrize(("relaxation", "penalty"), [(0.5, 1.0), (0.3, 0.2), (0.9, 3.0)])
def test_what_the_proof_says_of_the_operator(graph, relaxation, penalty):
    operator = Operator.drawn(graph, relaxation, penalty)
    identity = numpy.eye(len(operator.linear))
    reflected = (operator.linear - (1 - relaxation) * identity) / relaxation
    assert numpy.linalg.norm(reflected, 2) == pytest.approx(1, abs=1e-9)
    assert abs((operator.linear - identity) @ operator.fixed).max() < 1e-12
    assert max(abs(numpy.linalg.eigvals(reflected))) < 1 + 1e-9
    z = Randomness("test", 0).numpy("z").standard_normal((len(identity), 200))
    apart = z - operator.fixed @ (operator.fixed.T @ z)
    moved = z - operator.linear @ z
    ratios = numpy.linalg.norm(apart, axis=0) / numpy.linalg.norm(moved, axis=0)
    assert ratios.max() <= operator.gamma * (1 + 1e-9)
    assert operator.factor() < operator.bound()


def distance(operator, z):
    """dist_p (n,)^2 of z (arcs * d, n): least squares, with weights."""
    root = numpy.repeat(operator.updated, DIMENSIONS)[:, None] ** -0.5
    nearest = linalg.lstsq(root * operator.fixed, root * z)[0]
    return ((root * (z - operator.fixed @ nearest)) ** 2).sum(0)


@graphs
def test_the_factor_is_what_draws_say_and_no_z_does_worse(graph):
    operator = Operator.drawn(graph, 0.5, 1.0)
    size, draws, randomness = len(operator.linear), 2000, Randomness("test", 0)
    z = randomness.numpy("z").standard_normal((size, 30))
    before, after = distance(operator, z), numpy.zeros(30)
    updates = numpy.zeros(len(operator.arcs))
    for time in range(draws):
        mixing = graph.mixing_at(AGENTS, time, randomness)
        arrived = numpy.array([mixing[arc] > 0 for arc in operator.arcs])
        updates += arrived
        mask = numpy.repeat(arrived, DIMENSIONS)[:, None]
        after += distance(operator, numpy.where(mask, operator.linear @ z, z))
    ratios = after / draws / before
    numpy.testing.assert_allclose(updates / draws, operator.updated, atol=0.05)
    of_forms = [numpy.einsum("an,ab,bn->n", z, form, z) for form in operator.forms]
    numpy.testing.assert_allclose(of_forms[1], before, rtol=1e-9)
    numpy.testing.assert_allclose(of_forms[0] / of_forms[1], ratios, rtol=0.05)
    assert ratios.max() < operator.factor()


def test_the_library_follows_the_operator_and_not_that_of_receivers_that_forget():
    operator = Operator.drawn(Ring(link_failures=0.5, one_way=True), 0.3, 0.5)
    assert library_difference(operator) < 1e-12
    assert library_difference(operator, forgets=True) > 1e-3
