"""How networks that stand alike are averaged."""

from typing import Annotated, NamedTuple

from dimat.merging.averaging.adamerging import AdaMerging
from dimat.merging.averaging.coefficients import Entropy, Mixing
from dimat.merging.averaging.task_vectors import TaskArithmetic
from dimat.spec import OneOf

AnyCoefficients = Annotated[Mixing | Entropy | TaskArithmetic | AdaMerging, OneOf()]


class Averaging(NamedTuple):
    """With which ``coefficients``; at the first merge, weights in front of normalizations are then shrunk."""

    coefficients: Mixing | Entropy | TaskArithmetic | AdaMerging = Mixing()
    shrink: float = 1.0
