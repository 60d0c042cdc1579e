"""A derived bound with all that its audit needs: the method, its constants, and the settings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dimat.methods.every_step import Synchronous
from theory.bounds.derivations.derivation import Derivation
from theory.bounds.settings import Setting
from theory.problems import Problem


def none(problem: Problem) -> Mapping[str, float]:
    """No constants of a bound's own."""
    return {}


@dataclass(frozen=True, kw_only=True)
class AuditedBound(Derivation):
    """A derivation, and how it is held against the library's own method."""

    rule: Callable[[float, int], Synchronous]
    """The method that it is about, with a step size and a number of steps between merges."""
    known: Callable[[Problem], Mapping[str, float]] = none
    """Constants of the method on a problem, by their symbols' names, beside those that all bounds have."""
    local_steps: int = 1
    """Gradient steps between merges in the quick audit and in controls."""
    quick: Callable[[], Iterator[Setting]]
    """Its settings in the quick audit."""
    full: Callable[[], Iterator[Setting]]
    """Its settings in the full audit."""

    @property
    def bounds_disagreement(self) -> bool:
        """Whether the disagreement has a bound as well."""
        return self.disagreement is not None

    def constants_on(
        self, problem: Problem, root: float, steps: int, local_steps: int, **more: float
    ) -> dict[str, float]:
        """Constants by their symbols' names, on a graph with sqrt(rho) = ``root``; ``more`` count first."""
        values = {
            "L": problem.smoothness,
            "sigma": problem.sigma,
            "kappa": problem.heterogeneity,
            "N": problem.agents,
            "K": steps,
            "s": root,
            "tau": local_steps,
            **self.known(problem),
            **more,
        }
        names = map(str, self.constants())
        return {name: values[name] for name in names if name in values}
