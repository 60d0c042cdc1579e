"""Adam with second moments of each agent's own rests where signs of gradients add up to 0."""

import numpy
import pytest

from dimat.methods.cdsgd import Cdsgd
from theory.bounds.gossip_adam import GossipAdam
from theory.bounds.own_moments import (
    OPTIMA,
    counterexample,
    own_moments_controls,
    own_moments_rows,
    squared_gradients,
)


def by_hand(optima, steps):
    """Adam with averaging on (x - b)^2 / 2, from the minimizer of the mean loss, one coordinate each."""
    rate, x = 0.5 / steps**0.5, numpy.full(len(optima), optima.mean())
    m, v, total = numpy.zeros(len(optima)), numpy.zeros(len(optima)), 0.0
    for k in range(1, steps + 1):
        total += (x.mean() - optima.mean()) ** 2
        gradient = x - optima
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x = x.mean() - rate * m / (1 - 0.9**k) / (numpy.sqrt(v / (1 - 0.999**k)) + 1e-8)
    return total / steps


def test_the_mean_squared_gradient_is_that_of_a_loop_by_hand():
    few, many = squared_gradients(GossipAdam, OPTIMA)
    assert few == pytest.approx(by_hand(OPTIMA, 400), rel=1e-9)
    assert many == pytest.approx(by_hand(OPTIMA, 6400), rel=1e-9)
    assert many > few > 0.3  # it tends to (1 - 0)^2: from the mean of b to their median
    assert max(squared_gradients(Cdsgd, OPTIMA)) < 1e-20


def test_three_agents_are_the_fewest():
    found = counterexample()
    assert len(found.optima) == 3
    assert str(found).startswith("3 agents, complete graph") and "SGD stays where it is" in str(found)
    assert max(squared_gradients(GossipAdam, OPTIMA[-2:])) < 1e-20  # both vote against each other


def test_rows():
    (row,) = own_moments_rows()
    (control,) = own_moments_controls()
    assert (row.verdict, control.verdict, row.agents, control.agents) == ("violated", "rejected", 3, 5)
