"""A claim: what is said, and the checks that it rests on. The register has a file for each."""

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import ValidationError

from dimat.errors import InputError
from dimat.experiment.reading import describe
from dimat.spec import Spec
from theory.bounds.derivations import DERIVATIONS
from theory.claims.checks import IDS
from theory.claims.primary import CHECK_OF, Primary


class Claim(Spec):
    """A file of theory/claims/register; its name is the claim's id."""

    statement: str
    where: str
    """Where the paper says it."""
    unread: str
    """What of the paper bears on it and was not read."""
    kind: Literal["theorem", "measurement"]
    """A theorem is refuted by one counterexample. A measurement may hold in some settings, and not in others:
    it does where some checks hold and none is violated."""
    assumptions: tuple[str, ...]
    checks: tuple[str, ...]
    """The ids of the checks that it rests on; see `theory.claims.checks`."""
    primary: Primary | None = None
    """The comparison that decides it, if a check is of paired differences over seeds."""
    derivations: tuple[str, ...] = ()
    """The derived bounds that bear on it, by key."""
    conditions: str = ""
    """Under which a theorem holds, if not always."""
    instead: str = ""
    """What holds in its place, or what else there is to say."""

    def source(self) -> str:
        """Where it is said, and what of that was not read."""
        return f"{self.where}. Not read: {self.unread}"


@cache
def register() -> dict[str, Claim]:
    """All claims by id, in order; `InputError` names a file that is wrong."""
    folder = files("theory") / "claims" / "register"
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(".yaml")), key=lambda path: path.name)
    return {path.name.removesuffix(".yaml"): claim_of(path.read_text("utf-8"), path.name) for path in paths}


def primaries() -> dict[str, Primary]:
    """The comparison that decides, for each check of paired differences."""
    found: dict[str, Primary] = {}
    for id, claim in register().items():
        if (own := claim.primary) is not None and found.setdefault(own.check, own) != own:
            raise InputError(f"{id}.yaml: primary: expected that of the other claim on {own.check}")
    return found


def claim_of(text: str, name: str) -> Claim:
    """A claim from the ``text`` of a file; `InputError` for a check or a derivation that there is not."""
    try:
        claim = Claim.model_validate(yaml.safe_load(text), strict=False)
    except ValidationError as error:
        raise InputError(f"{name}: {describe(error)}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    known = {"checks": (claim.checks, IDS), "derivations": (claim.derivations, tuple(DERIVATIONS))}
    for key, (found, expected) in known.items():
        if unknown := [each for each in found if each not in expected]:
            raise InputError(f"{name}: {key}: {unknown[0]!r} is none; expected one of {', '.join(expected)}")
    paired = [check for check in claim.checks if check in CHECK_OF.values()]
    decided = [] if claim.primary is None else [claim.primary.check]
    if paired != decided:
        of, wanted = (" and ".join(each) or "nothing" for each in (decided, paired))
        raise InputError(f"{name}: primary: decides {of}; expected one that decides {wanted}, as checks say")
    return claim
