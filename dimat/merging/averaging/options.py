"""How networks that stand alike are averaged."""

from typing import Annotated, NamedTuple

from dimat.merging.averaging.adamerging import AdaMerging
from dimat.merging.averaging.coefficients import Entropy, Mixing
from dimat.merging.averaging.robust import Median, TrimmedMean
from dimat.merging.averaging.task_vectors import TaskArithmetic
from dimat.spec import OneOf

Coefficients = Mixing | Entropy | TaskArithmetic | AdaMerging | Median | TrimmedMean
AnyCoefficients = Annotated[Coefficients, OneOf()]


class Averaging(NamedTuple):
    """With which ``coefficients``; at the first merge, weights in front of normalizations are then shrunk."""

    coefficients: Coefficients = Mixing()
    shrink: float = 1.0
