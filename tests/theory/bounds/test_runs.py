"""Methods on problems against recursions written by hand, other frames, and closed forms."""

import numpy
import pytest
import torch

from dimat.agents.agents import Agents
from dimat.agents.optimizers import Momentum, Sgd
from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.gradient_tracking import GradientTracking
from dimat.methods.ld_sgd import LdSgd
from dimat.methods.quasi_global import QuasiGlobal
from dimat.methods.sgp import Sgp
from dimat.randomness import Randomness
from dimat.topology import Complete, Exponential, Ring
from theory.bounds.equivalence import Shuffled, difference
from theory.bounds.gossip_adam import GossipAdam
from theory.bounds.network_equivalence import AS_THEY_STAND, network_difference
from theory.bounds.rates import exponents, mean_squared_gradients, noise_alone, t_interval
from theory.bounds.runs import DenseProduct, Learners, run_method
from theory.gap.permutations import consistent, independent
from theory.problems import Quadratic, Separable
from theory.problems.task import ProblemTask

AGENTS, DIMENSIONS = 5, 4
RATE = {"learning_rate": 0.05}
RANDOMNESS = Randomness("runs", 0)
RING = Ring().mixing_matrix(AGENTS)
METHODS = [
    Cdsgd(**RATE),
    Dpsgd(momentum=0.8, **RATE),
    Cdmsgd(**RATE),
    LdSgd(local_steps=2, gossip_steps=1, **RATE),
    QuasiGlobal(**RATE),
    Sgp(**RATE),
    GradientTracking(**RATE),
    GossipAdam(**RATE),
]
methods = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def separable(seed=0):
    generator = numpy.random.default_rng(seed)
    amplitudes, phases = generator.uniform(0.5, 2, AGENTS), generator.uniform(-1, 1, AGENTS)
    start = generator.standard_normal((AGENTS, DIMENSIONS))
    return Separable(amplitudes, phases, DIMENSIONS, sigma=0.7), start


def quadratic(sigma, seed=1):
    generator = numpy.random.default_rng(seed)
    optima, start = generator.standard_normal((2, AGENTS, DIMENSIONS))
    return Quadratic(generator.uniform(0.5, 2, DIMENSIONS), optima, sigma), start


# Runs.


@pytest.mark.parametrize(
    ("method", "step"),
    [
        (METHODS[0], lambda x, gradient, k: RING @ x - 0.05 * gradient),
        (Dpsgd(**RATE), lambda x, gradient, k: RING @ (x - 0.05 * gradient)),
        (
            LdSgd(local_steps=2, gossip_steps=1, **RATE),
            lambda x, gradient, k: (RING if k % 3 == 2 else numpy.eye(AGENTS)) @ (x - 0.05 * gradient),
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_is_measured_are_the_points_where_steps_start(method, step):
    problem, start = quadratic(sigma=0.0)
    x, gradients, disagreements = start, 0.0, 0.0
    for k in range(7):
        gradients += (problem.gradient(x.mean(0)) ** 2).sum()
        disagreements += ((x - x.mean(0)) ** 2).sum() / AGENTS
        x = step(x, problem.curvature * (x - problem.optima), k)
    found = run_method(method, problem, RING, 7, 2, start, RANDOMNESS)
    assert found.mean_squared_gradient == pytest.approx([gradients / 7] * 2, rel=1e-12)
    assert found.mean_disagreement == pytest.approx([disagreements / 7] * 2, rel=1e-12)
    assert found.gap_0 == pytest.approx(problem.gap(start.mean(0)))
    assert found.disagreement_0 == pytest.approx(((start - start.mean(0)) ** 2).sum(1).mean())


class OneOf(ProblemTask):
    """One seed alone, with the noise that it has among three."""

    def __init__(self, seed, problem, start):
        super().__init__(problem, start, 1, RANDOMNESS)
        self.together = ProblemTask(problem, start, 3, RANDOMNESS)
        self.seed = seed

    def noises(self, round):
        noises = self.together.noises(round)
        return (noise.view(AGENTS, 3, -1)[:, self.seed] for noise in noises)


@methods
def test_seeds_side_by_side_are_each_alone(method):
    problem, start = separable()
    together = Learners(ProblemTask(problem, start, 3, RANDOMNESS), 20)
    method.learn(together, DenseProduct(RING), 1)
    found = together.parameters.view(AGENTS, 3, DIMENSIONS)
    assert not torch.allclose(found[:, 0], found[:, 1])
    for seed in range(3):
        alone = Learners(OneOf(seed, problem, start), 20)
        method.learn(alone, InProcess(RING), 1)
        torch.testing.assert_close(alone.parameters, found[:, seed], rtol=0, atol=1e-12)
        assert alone.squared_gradients[0] == pytest.approx(together.squared_gradients[seed], rel=1e-12)
        assert alone.disagreements[0] == pytest.approx(together.disagreements[seed], rel=1e-12)


def test_gradients_of_all_rows_are_those_of_each():
    problem, start = separable()
    learners = Learners(ProblemTask(problem, start, 3, RANDOMNESS), 1)
    (step,) = learners.steps(1)
    points = torch.randn(AGENTS, 3 * DIMENSIONS, dtype=torch.float64)
    torch.testing.assert_close(step.gradients(points), Agents.gradients(learners, step.samples, points))
    for row in range(AGENTS):
        torch.testing.assert_close(next(learners.samples(row, 1)), step.samples[row])


def test_agents_of_one_process_learn_as_among_all():
    """A task draws for each agent what it draws for it among all, and evaluates by the gap to the minimum."""
    problem, start = separable()
    task = ProblemTask(problem, start, 1, RANDOMNESS)
    everyone = Vectors(task, RANDOMNESS, steps_per_epoch=1)
    some = Vectors(task, RANDOMNESS, steps_per_epoch=1, local_agents=[1, 3])
    (all_steps,), (own_steps,) = everyone.steps(1), some.steps(1)
    expected = all_steps.gradients(everyone.parameters)[[1, 3]]
    assert torch.equal(own_steps.gradients(some.parameters), expected)
    assert some.evaluate(1) == {task.metric.name: pytest.approx(problem.gap(start[3:4])[0])}


@pytest.mark.parametrize("graph", [Ring(), Complete()], ids=str)
def test_one_product_mixes_as_links_do(graph):
    matrix = graph.mixing_matrix(AGENTS)
    values = torch.randn(AGENTS, 7, dtype=torch.float64)
    expected = InProcess(matrix).mix(values, "models")
    torch.testing.assert_close(DenseProduct(matrix).mix(values, "models"), expected, rtol=0, atol=1e-15)
    other = InProcess(matrix).mix(values, "models", RING)
    torch.testing.assert_close(DenseProduct(matrix).mix(values, "models", RING), other, rtol=0, atol=1e-15)


def test_adam_of_one_agent_is_that_of_the_library():
    problem = Separable(numpy.ones(1), numpy.zeros(1), DIMENSIONS, sigma=0.0)
    start = numpy.linspace(0.5, 2, DIMENSIONS)[None]
    point = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.Adam([point], lr=0.05)
    for _ in range(30):
        point.grad = torch.sin(point.detach())
        optimizer.step()
    learners = Learners(ProblemTask(problem, start, 1, RANDOMNESS), 30)
    GossipAdam(**RATE).learn(learners, DenseProduct(numpy.eye(1)), 1)
    torch.testing.assert_close(learners.parameters, point.detach(), rtol=0, atol=1e-12)


# Rates.


def test_noise_alone_gives_its_closed_form():
    """With curvature 1, E |grad f(xbar_k)|^2 = alpha^2 sigma^2 / N (1 - q^k) / (1 - q), q = (1 - alpha)^2."""
    steps, alpha = 400, 0.05
    problem, start = noise_alone(AGENTS)
    found = run_method(Cdsgd(learning_rate=alpha), problem, RING, steps, 200, start, RANDOMNESS)
    q = (1 - alpha) ** 2
    expected = alpha**2 / AGENTS * (1 - (1 - q**steps) / (steps * (1 - q))) / (1 - q)
    _, low, high = t_interval(found.mean_squared_gradient)
    assert low - (high - low) < expected < high + (high - low)
    assert not low - (high - low) < 0.9 * expected < high + (high - low)


def test_exponents_of_a_power_law():
    steps, agents = (100, 200, 800), (2, 4, 16)
    law = 3 * numpy.array(steps)[:, None, None] ** -0.7 * numpy.array(agents)[:, None] ** 0.2
    noise = numpy.exp(0.01 * numpy.random.default_rng(0).standard_normal((3, 3, 50)))
    for exponent, expected in zip(exponents(steps, agents, law * noise), (-0.7, 0.2), strict=True):
        assert exponent[0] == pytest.approx(expected, abs=0.003)
        assert exponent[1] < exponent[0] < exponent[2]
    exact = exponents(steps, agents, law.repeat(2, axis=2))
    assert exact[0] == pytest.approx((-0.7,) * 3) and exact[1] == pytest.approx((0.2,) * 3)


def test_the_speed_up_needs_its_step_size():
    steps, agents = (200, 400, 800), (2, 4, 8)
    graph = Exponential()
    with_it = mean_squared_gradients(noise_alone, graph, steps, agents, 16)
    without = mean_squared_gradients(noise_alone, graph, steps, agents, 16, lambda n, k: k**-0.5)
    assert exponents(steps, agents, with_it)[1][0] == pytest.approx(-0.5, abs=0.06)
    assert exponents(steps, agents, without)[1][0] == pytest.approx(-1, abs=0.06)


def test_interval_is_that_of_student():
    # t(0.975, 3) = 3.18245 from tables; the standard deviation of 1, 2, 3, 4 is sqrt(5/3)
    half = 3.18245 * (5 / 3) ** 0.5 / 2
    assert t_interval(numpy.array([1.0, 2, 3, 4])) == pytest.approx((2.5, 2.5 - half, 2.5 + half), rel=1e-5)


# Merging with permutations.


@methods
def test_consistent_permutations_are_plain_gossip_in_another_frame(method):
    generator = numpy.random.default_rng(2)
    closed = consistent(RING, DIMENSIONS, generator)
    free = independent(RING, DIMENSIONS, generator)
    settings = {"steps": 100, "randomness": RANDOMNESS}
    (problem, start), (ordered, other_start) = separable(), quadratic(sigma=0.7)
    shuffled = Shuffled(problem, start, RANDOMNESS, closed).start
    assert not torch.equal(shuffled, torch.from_numpy(start))
    assert (closed.aligned(shuffled.numpy()) == start).all()
    assert difference(method, problem, closed, start=start, **settings) < 1e-12
    assert difference(method, ordered, closed, start=other_start, **settings) > 1e-2
    assert difference(method, problem, free, start=start, **settings) > 1e-2


@pytest.mark.parametrize("optimizer", [Sgd(learning_rate=0.1), Momentum()], ids=lambda o: o.name)
def test_shuffled_networks_merged_by_dimat_are_averaged_ones(optimizer):
    assert network_difference(optimizer) < 1e-6
    assert network_difference(optimizer, AS_THEY_STAND) > 1e-2
