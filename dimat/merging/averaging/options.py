"""How networks that stand alike are averaged."""

from typing import NamedTuple

from dimat.merging.averaging.coefficients import Entropy, Mixing


class Averaging(NamedTuple):
    """With which ``coefficients``; at the first merge, weights in front of normalizations are then shrunk."""

    coefficients: Mixing | Entropy = Mixing()
    shrink: float = 1.0
