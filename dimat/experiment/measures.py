"""What a study may ask to be recorded beside scores on the test set, and when that is measured."""

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

from dimat.spec import OneOrMany

Measure = Literal["training_loss", "parts", "mean_model", "optimum", "adaptation"]


def in_order(measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """The same measures, each once, in the order in which `Measure` has them."""
    asked = set(measures)
    return tuple(each for each in get_args(Measure) if each in asked)


Measures = Annotated[tuple[Measure, ...], OneOrMany(), AfterValidator(in_order)]


def due(measures: Iterable[Measure], round: int, stage: str, last: int) -> frozenset[Measure]:
    """Those of ``measures`` that are taken at a stage of a round of a run whose ``last`` round is given.

    None after local training; all else at the start and after every merge, but parts of the test set only at
    the start and after the first and the last merge, and adaptation only at the start and in the end.
    """
    if stage == "trained":
        return frozenset()
    rare = {"parts": (0, 1, last), "adaptation": (0, last)}
    return frozenset(each for each in measures if round in rare.get(each, (round,)))
