"""Problems whose constants are known, and what agents learn of them: one file each."""

from theory.problems.logistic import Logistic
from theory.problems.problem import Problem
from theory.problems.quadratic import Quadratic
from theory.problems.separable import Separable
from theory.problems.zigzag import Zigzag

PROBLEMS: dict[str, type[Problem]] = {each.name: each for each in (Quadratic, Separable, Logistic)}
"""All problems that the audit draws, by name."""

__all__ = ["PROBLEMS", "Logistic", "Problem", "Quadratic", "Separable", "Zigzag"]
