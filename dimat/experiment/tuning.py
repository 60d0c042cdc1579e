"""Learning rates, chosen by the primary metric on held-out training images within one budget."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from dimat.spec import Many, Spec
from dimat.tasks.task import Metric


class Tuning(Spec):
    """Before the runs of a method, its learning rate is chosen among multiples of the one it is given.

    Every factor is tried once, in the setting of the runs, on training images alone: a share of them is held
    out, agents are pre-trained without it and evaluated on it. No test image is looked at.
    """

    factors: Annotated[Many[Annotated[float, Field(gt=0, le=1e3)]], Field(min_length=1)] = (
        0.1,
        0.3,
        1.0,
        3.0,
    )
    """Multiples of the method's learning rate; as many trials for each method."""
    validation: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of the training images that is held out."""
    seed: Annotated[int, Field(ge=0)] = 1000
    """Seed of the trials; another one than those of the runs."""

    @field_validator("factors")
    @classmethod
    def _distinct(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        if repeated := [factor for factor, count in Counter(factors).items() if count > 1]:
            raise ValueError(f"{repeated[0]:g} is listed twice")
        return factors


def best(values: Mapping[float, float | None], metric: Metric) -> float:
    """The factor with the best value of the ``metric``; of equal ones the smallest. `None` is divergence.

    All diverged: the smallest factor.
    """

    def gain(factor: float) -> float:
        value = values[factor]
        return -math.inf if value is None else metric.gain(value)

    return max(sorted(values), key=gain)
