"""The comparison that decides a claim, named before the runs; all others of the claim are secondary."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from dimat.experiment.records import flattened
from dimat.merging.calibration.options import Repair
from dimat.merging.matching.options import Matching
from dimat.methods import known_methods
from dimat.methods.dimat import Dimat
from dimat.methods.weight_averaging import WeightAveraging
from dimat.spec import Spec

SEEDS = 6
"""Fewer decide nothing: a t-test trusts that differences are normal, which so few cannot show. From six on, a
sign test, which trusts in nothing, can reject at 5 % as well (2 / 2^6; with five 2 / 2^5)."""
CHECK_OF = {"first merge": "initial-gain", "first round": "initial-gain", "last merge": "final-gain"}
"""The checks whose rows are paired differences over seeds, by when these are taken."""
KEYS = {
    "averaging": ("calibration.", "method.coefficients.", "method.shrink"),
    "training": ("training.", "method.optimizer."),
    "tuning": ("tuning.",),
}
"""What may have to be the same of both, and how its keys of the configuration begin."""
PUBLISHED = flattened({"matching": Matching().model_dump(mode="json")})
DIMAT, AVERAGING = Dimat().name, WeightAveraging().name
RIVALS = [name for name, each in known_methods.items() if each.communicates != "never" and name != DIMAT]


def _rival(name: str) -> str:
    if name not in RIVALS:
        raise ValueError(f"expected another method that communicates: {', '.join(RIVALS)}")
    return name


class Primary(Spec):
    """DIMAT with the published matching against a rival, in the task's metric, in every setting."""

    rival: Annotated[str, AfterValidator(_rival)]
    when: Literal["first merge", "first round", "last merge"]
    """After the gradient steps of the first round, or right after a merge; at the first one only against
    averaging, as all others have done something else before."""
    alike: tuple[Literal["averaging", "training", "tuning"], ...]
    """In what both must be the same; see `KEYS`."""
    repair: Repair
    """What DIMAT repairs after averaging."""

    @model_validator(mode="after")
    def _at_the_first_merge(self) -> Self:
        if self.when == "first merge" and self.rival != AVERAGING:
            raise ValueError(f"expected first round or last merge, as its rival is not {AVERAGING}")
        return self

    @property
    def check(self) -> str:
        """The id of the check that has its rows."""
        return CHECK_OF[self.when]

    def joins(self, own: Mapping[str, str], other: Mapping[str, str]) -> bool:
        """Whether runs with these parameters, in one setting, are compared."""
        return (
            (own["method.name"], other["method.name"]) == (DIMAT, self.rival)
            and own.get("calibration.repair") == self.repair
            and _below(own, "matching.") == PUBLISHED
            and all(_below(own, *KEYS[each]) == _below(other, *KEYS[each]) for each in self.alike)
        )

    def said(self) -> str:
        """In words."""
        alike = f", alike in {', '.join(self.alike)}" if self.alike else ""
        title = known_methods[self.rival].title
        at = "after" if self.when == "first round" else "at"
        return f"{title} - {Dimat.title} {at} the {self.when}{alike} (repair: {self.repair})"


def _below(parameters: Mapping[str, str], *beginnings: str) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if value and key.startswith(beginnings)}
