"""Which method a derived bound is about, and the constants that the bound has of a problem and a graph."""

from collections.abc import Mapping
from dataclasses import dataclass

from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.every_step import Synchronous
from dimat.methods.ld_sgd import LdSgd
from theory.derivations import DERIVATIONS, Derivation
from theory.gossip_adam import GossipAdam
from theory.problems import Problem, Separable
from theory.runs import Run

MOMENTUM = 0.5
"""Decay of the velocity where there is one."""
EPSILON = 10.0
"""Of preconditioners 1 / (sqrt(v) + epsilon): large, or they differ too much for a bound to say anything."""


@dataclass(frozen=True)
class Claim:
    """The bound with ``key`` in `DERIVATIONS`, on a problem, for a graph with sqrt(rho) = ``root``."""

    key: str
    problem: Problem
    root: float
    steps: int
    local_steps: int = 1
    """Gradient steps between merges, where the bound knows of them."""

    @property
    def derivation(self) -> Derivation:
        """What the bound was derived in."""
        return DERIVATIONS[self.key]

    def method(self, step_size: float) -> Synchronous:
        """The method that the bound is about."""
        rate = {"learning_rate": step_size}
        match self.key:
            case "gossip":
                return Cdsgd(**rate)
            case "adapt_then_combine":
                return Dpsgd(**rate)
            case "local_steps":
                return LdSgd(local_steps=self.local_steps - 1, gossip_steps=1, **rate)
            case "momentum":
                return Cdmsgd(momentum=MOMENTUM, **rate)
        return GossipAdam(first=0.0, epsilon=EPSILON, **rate)

    def step_size(self) -> float:
        """The largest admissible step size."""
        return self.derivation.largest_step_size(**self._known({}))

    def constants(self, step_size: float, run: Run, claimed: Mapping[str, float]) -> dict[str, float]:
        """All constants of the bound by their symbols' names.

        ``claimed`` replaces some, as one who has them wrong would.
        """
        start = {"alpha": step_size, "gap_0": run.gap_0, "Xi_0": run.disagreement_0}
        return self._known(start | claimed)

    def _known(self, more: Mapping[str, float]) -> dict[str, float]:
        known = {
            "L": self.problem.smoothness,
            "sigma": self.problem.sigma,
            "kappa": self.problem.heterogeneity,
            "N": self.problem.agents,
            "K": self.steps,
            "s": self.root,
            "tau": self.local_steps,
            "beta": MOMENTUM,
        }
        if self.key == "adam":
            known |= {"m": 1 / (largest_entry(self.problem) + EPSILON), "M": 1 / EPSILON}
        names = map(str, self.derivation.constants())
        values = known | more
        return {name: values[name] for name in names if name in values}


def largest_entry(problem: Problem) -> float:
    """What no entry of any stochastic gradient exceeds: it exists where losses have bounded slopes."""
    if not isinstance(problem, Separable):
        raise TypeError(f"gradients of the problem {problem.name} are not bounded")
    return float(problem.amplitudes.max()) + problem.sigma / problem.dimensions**0.5
