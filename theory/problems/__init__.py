"""Problems whose constants are known: one file each."""

from theory.problems.logistic import Logistic
from theory.problems.problem import Problem
from theory.problems.quadratic import Quadratic
from theory.problems.separable import Separable

__all__ = ["Logistic", "Problem", "Quadratic", "Separable"]
