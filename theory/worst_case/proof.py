"""A bracket around a worst case, with all that proves it, as it is stored.

Numbers are whole multiples of 1 / UNIT. A stored proof is checked when it is read: its ends come from exact
arithmetic, and no solver is asked.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from flint import fmpq
from numpy import ndarray

from theory.worst_case.case import Case, exact
from theory.worst_case.conditions import conditions_of
from theory.worst_case.lower import Instance, lower_end
from theory.worst_case.upper import repaired, upper_end

UNIT = 10**8
STORED = Path(__file__).parent / "proofs.json"


@dataclass(frozen=True)
class Proof:
    """The worst case of ``case`` lies in [``low``, ``high``], exactly.

    ``multipliers`` prove the upper end once they are `repaired`; ``instance`` attains the lower one.
    ``graph`` is a label of the mixing matrix, ``seconds`` of a processor are what the search took.
    """

    case: Case
    graph: str
    multipliers: tuple[fmpq, ...]
    instance: Instance
    seconds: float
    low: fmpq
    high: fmpq


def checked(
    case: Case, graph: str, multipliers: tuple[fmpq, ...], instance: Instance, seconds: float
) -> Proof:
    """The proof, if it is one; `NotCertified` if not."""
    return Proof(
        case,
        graph,
        multipliers,
        instance,
        seconds,
        low=lower_end(case, instance),
        high=high_end(case, multipliers),
    )


def high_end(case: Case, multipliers: tuple[fmpq, ...]) -> fmpq:
    """The upper end that multipliers prove once their values cancel."""
    conditions = conditions_of(case, shared=False)
    return upper_end(conditions, repaired(conditions, multipliers))


def rationals(numbers: Any) -> tuple[fmpq, ...]:
    """The nearest whole multiples of 1 / UNIT of a sequence of floats."""
    return tuple(fmpq(round(float(number) * UNIT), UNIT) for number in numbers)


def as_json(proofs: list[Proof]) -> str:
    """All proofs, one a line."""
    return "[\n" + ",\n".join(json.dumps(_plain(proof), separators=(",", ":")) for proof in proofs) + "\n]\n"


def _plain(proof: Proof) -> dict[str, Any]:
    case, instance = proof.case, proof.instance
    return {
        "rule": case.rule,
        "graph": proof.graph,
        "mixing": [[str(entry) for entry in row] for row in case.mixing],
        "steps": case.steps,
        "step_size": str(case.step_size),
        "heterogeneity": str(case.heterogeneity),
        "disagreement": str(case.disagreement),
        "gap": str(case.gap),
        "local_steps": case.local_steps,
        "decay": str(case.decay),
        "quantity": case.quantity,
        "seconds": round(proof.seconds, 1),
        "multipliers": _whole(proof.multipliers),
        "start": [_whole(row) for row in instance.start],
        "tilts": [_whole(row) for row in instance.tilts],
        "slopes": [_whole(row) for row in instance.slopes],
        "values": _whole(instance.values),
    }


def _whole(numbers: Any) -> list[int]:
    return [int(number * UNIT) for number in numbers]


def read_proofs(text: str) -> list[Proof]:
    """Proofs of `as_json`, each checked; `NotCertified` if one does not prove its bracket."""
    return [_read(plain) for plain in json.loads(text)]


def _read(plain: dict[str, Any]) -> Proof:
    graph, case, instance = read_instance(plain)
    return checked(case, graph, _fractions(plain["multipliers"]), instance, plain["seconds"])


def read_instance(plain: dict[str, Any]) -> tuple[str, Case, Instance]:
    """The graph, the case and the instance of a stored proof, unchecked."""
    case = Case(
        rule=plain["rule"],
        mixing=tuple(tuple(map(exact, row)) for row in plain["mixing"]),
        steps=plain["steps"],
        step_size=exact(plain["step_size"]),
        heterogeneity=exact(plain["heterogeneity"]),
        disagreement=exact(plain["disagreement"]),
        gap=exact(plain["gap"]),
        local_steps=plain["local_steps"],
        decay=exact(plain["decay"]),
        quantity=plain["quantity"],
    )
    slopes = _rows(plain["slopes"], 0)
    width = slopes.shape[1]
    instance = Instance(
        _rows(plain["start"], width), _rows(plain["tilts"], width), slopes, _fractions(plain["values"])
    )
    return plain["graph"], case, instance


def _fractions(whole: list[int]) -> tuple[fmpq, ...]:
    return tuple(fmpq(number, UNIT) for number in whole)


def _rows(whole: list[list[int]], width: int) -> ndarray:
    return numpy.array([_fractions(row) for row in whole], object).reshape(len(whole), -1 if whole else width)
