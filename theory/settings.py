"""The settings that are audited: problems, graphs, numbers of agents and steps, step sizes, schedules."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy
from numpy import ndarray

from dimat.errors import InputError
from dimat.randomness import Randomness
from dimat.topology import (
    Chain,
    Complete,
    ErdosRenyi,
    Exponential,
    Graph,
    Hypercube,
    Ring,
    Star,
    Torus,
    TwoHub,
)
from theory.problems import Logistic, Problem, Quadratic, Separable

DIMENSIONS = 10
RING, COMPLETE, TWO_HUB = Ring(), Complete(), TwoHub()
STAR, TORUS, HYPERCUBE = Star(), Torus(), Hypercube()
EXPONENTIAL = Exponential()
PUBLISHED: tuple[Graph, ...] = (RING, COMPLETE, TWO_HUB)
"""The graphs of the published experiments."""
OTHERS: tuple[Graph, ...] = (STAR, TORUS, HYPERCUBE, EXPONENTIAL)
ALL: tuple[Graph, ...] = (
    *PUBLISHED,
    *OTHERS,
    Chain(),
    ErdosRenyi(),
)
BEYOND_GOSSIP = ("adapt_then_combine", "local_steps", "momentum", "adam")


@dataclass(frozen=True)
class Setting:
    """One run that is measured; ``fraction`` is that of the largest admissible step size."""

    bound: str
    problem: str
    graph: Graph
    agents: int
    fraction: float
    steps: int
    local_steps: int = 1

    def randomness(self) -> Randomness:
        """A source of its own."""
        return Randomness(f"audit, {self}", 0)

    def build(self) -> tuple[Problem, ndarray]:
        """The problem and the start (agents, dimensions)."""
        generator = self.randomness().numpy("problem")
        n = self.agents
        match self.problem:
            case "quadratic":
                optima = 0.3 * generator.standard_normal((n, DIMENSIONS))
                problem: Problem = Quadratic(numpy.full(DIMENSIONS, 2.0), optima, sigma=1.0)
            case "separable":
                amplitudes, phases = generator.uniform(0.5, 2, n), generator.uniform(-1, 1, n)
                problem = Separable(amplitudes, phases, DIMENSIONS, sigma=1.0)
            case _:
                problem = Logistic.of_digits(n, sigma=0.3)
        return problem, generator.standard_normal((n, problem.dimensions))


def quick() -> Iterator[Setting]:
    """A minute's worth."""
    for graph, agents in product(PUBLISHED, (4, 8, 16)):
        for fraction, steps in product((1.0, 0.1), (20, 1000)):
            yield Setting("gossip", "quadratic", graph, agents, fraction, steps)
    for fraction in (1.0, 0.1):
        for graph in OTHERS:
            yield Setting("gossip", "quadratic", graph, 8, fraction, 1000)
        for graph in (*PUBLISHED, *OTHERS):
            yield Setting("gossip", "separable", graph, 8, fraction, 1000)
            yield Setting("gossip", "logistic", graph, 8, fraction, 200)
    for bound, graph, fraction in product(BEYOND_GOSSIP, (RING, EXPONENTIAL), (1.0, 0.1)):
        for problem in ("separable",) if bound == "adam" else ("quadratic", "separable"):
            yield Setting(bound, problem, graph, 8, fraction, 1000, 5 if bound == "local_steps" else 1)


def full() -> Iterator[Setting]:
    """Everything; `quick` is not a part of it, as steps come in other numbers.

    Graphs that do not exist over a number of agents are left out, and so are problems that a bound says
    nothing about: those of Adam need bounded gradients. Logistic regression ends at 16 agents.
    """
    bounds = [("gossip", 1), ("adapt_then_combine", 1), ("momentum", 1), ("adam", 1)]
    bounds += [("local_steps", steps) for steps in (2, 4, 16)]
    for graph, agents in product(ALL, (2, 4, 8, 16, 32, 64)):
        try:
            graph.mixing_matrix(agents)
        except InputError:
            continue
        for problem, (bound, local_steps) in product(("quadratic", "separable", "logistic"), bounds):
            if (bound == "adam" and problem != "separable") or (problem == "logistic" and agents > 16):
                continue
            for fraction, steps in product((1.0, 0.3, 0.1, 0.01), (32, 320, 1600)):
                yield Setting(bound, problem, graph, agents, fraction, steps, local_steps)
