"""What a setting is in which a bound is audited, and the grids of settings that bounds share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from numpy import ndarray

from dimat.errors import InputError
from dimat.randomness import Randomness
from dimat.topology import Graph
from theory.gap.graphs import ALL, EXPONENTIAL, RING
from theory.problems import PROBLEMS, Problem


@dataclass(frozen=True)
class Setting:
    """One run that is measured; ``fraction`` is that of the largest admissible step size.

    Its representation is the source of its randomness: with another, other numbers come out.
    """

    bound: str
    problem: str
    graph: Graph
    agents: int
    fraction: float
    steps: int
    local_steps: int = 1

    def randomness(self) -> Randomness:
        """A source of its own. What graphs do not do is not named, so that options change no number."""
        return Randomness(f"audit, {self}".replace("one_way=False, ", ""), 0)

    def build(self) -> tuple[Problem, ndarray]:
        """The problem and the start (agents, dimensions)."""
        generator = self.randomness().numpy("problem")
        problem = PROBLEMS[self.problem].drawn(self.agents, generator)
        return problem, generator.standard_normal((self.agents, problem.dimensions))


def few(bound: str, problems: Sequence[str], local_steps: int = 1) -> Iterator[Setting]:
    """The settings of the quick audit for a bound, beside those of `gossip`: a slow graph and a fast one."""
    for graph, fraction, problem in product((RING, EXPONENTIAL), (1.0, 0.1), problems):
        yield Setting(bound, problem, graph, 8, fraction, 1000, local_steps)


def many(bound: str, problems: Sequence[str], local_steps: Sequence[int] = (1,)) -> Iterator[Setting]:
    """The settings of the full audit for a bound.

    Graphs that do not exist over a number of agents are left out, and so are problems of too many agents.
    """
    for graph, agents in product(ALL, (2, 4, 8, 16, 32, 64)):
        try:
            graph.mixing_matrix(agents)
        except InputError:
            continue
        for problem, tau in product(problems, local_steps):
            if agents <= PROBLEMS[problem].most_agents:
                for fraction, steps in product((1.0, 0.3, 0.1, 0.01), (32, 320, 1600)):
                    yield Setting(bound, problem, graph, agents, fraction, steps, tau)
