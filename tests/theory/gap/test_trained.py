"""Permutations of networks that the audit trains: what they are, and the gradients that they leave alike."""

import numpy
import pytest
import torch

from dimat.topology import Hypercube, Ring
from theory.bounds.changing_merges import NetworksFrames, like_networks, spread
from theory.bounds.network_orbits import network_orbit_controls, network_orbit_rows
from theory.gap import trained

MIXINGS = [Ring().mixing_matrix(8), Hypercube().mixing_matrix(8), Ring().mixing_matrix(5)]


def best(scores):
    """The largest sum of an assignment of a few rows, by trying all that one exchange leads to."""
    size = len(scores)
    order = list(range(size))
    value = sum(scores[row][place] for row, place in enumerate(order))
    gained = True
    while gained:
        gained = False
        for a in range(size):
            for b in range(a):
                other = order.copy()
                other[a], other[b] = other[b], other[a]
                found = sum(scores[row][place] for row, place in enumerate(other))
                if found > value + 1e-12:
                    order, value, gained = other, found, True
    return value


@pytest.mark.parametrize("size", trained.WIDTHS)
@pytest.mark.parametrize("mixing", MIXINGS, ids=["ring of 8", "hypercube", "ring of 5"])
def test_links_by_themselves_close_no_cycle_and_frames_close_all(mixing, size):
    for epoch in range(trained.EPOCHS):
        alone, framed = (way(mixing, size, epoch) for way in (trained.per_link, trained.in_common_frame))
        assert alone.symmetric and not alone.consistent and alone.capacity < size
        assert framed.symmetric and framed.consistent and framed.capacity == size


def test_a_link_is_matched_at_least_as_well_as_by_exchanges():
    (group,) = [each for each in trained._groups() if each.size == trained.WIDTHS[0]]
    lift = trained.per_link(MIXINGS[0], group.size)
    for i, j in trained.links(MIXINGS[0]):
        scores = trained._similarities()[-1][i, j].correlations[group.name].tolist()
        found = sum(scores[row][place] for row, place in enumerate(lift.permutations[i, j].tolist()))
        assert found >= best(scores) - 1e-12


def test_networks_are_trained_and_in_double_precision():
    agents = trained._trained()
    assert {parameter.dtype for model in agents.models for parameter in model.parameters()} == {torch.float64}
    digits = trained._digits()
    images = digits.normalized(digits.test_images).double()
    trained.gradients(trained.parameters() + 1)  # leaves them as they are
    with torch.no_grad():
        right = [
            (model.eval()(images).argmax(1) == digits.test_labels).double().mean() for model in agents.models
        ]
    assert min(map(float, right)) > 0.5


def test_gradients_at_the_means_of_orbits_are_constant_on_them():
    rows = list(network_orbit_rows())
    assert len(rows) == 4 and {row.verdict for row in rows} == {"holds"}
    left = [int(row.statement.split(" of ")[0].split()[-1]) for row in rows]
    assert left[1] == left[3] == len(trained.parameters()[0])
    assert max(left[0], left[2]) < left[1] / 2
    assert {row.verdict for row in network_orbit_controls()} == {"rejected"}


def test_gradients_are_those_of_the_loss():
    points = trained.parameters()
    agents = trained._trained()
    sample = next(agents.task.samples(0, 1))
    direction = numpy.random.default_rng(0).standard_normal(points.shape[1])
    direction *= 1e-6 / numpy.linalg.norm(direction)

    def loss(point):
        from dimat.tasks.network_task import At

        state = agents.by_name(torch.from_numpy(point))
        with torch.no_grad():
            return float(agents.task.loss(At(agents.models[0].train(), state), sample))

    slope = (loss(points[0] + direction) - loss(points[0] - direction)) / 2
    assert trained.gradients(points)[0] @ direction == pytest.approx(slope, rel=1e-4)


def test_agents_move_to_the_first_frames_and_hold_them():
    problem, start = like_networks("test")
    merges = NetworksFrames(problem, MIXINGS[0], 1)
    x = start
    for _ in range(4):
        before = spread(numpy.take_along_axis(x, merges.orders, 1))
        merged = merges(x)
        assert spread(numpy.take_along_axis(x, merges.orders, 1)) <= before
        x = merged
    assert (merges.orders == trained.frames_of(MIXINGS[0], 10, 0)).all()
    assert len(merges.prices) == 1
