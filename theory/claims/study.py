"""What rows of the audit that rest on a study's records have in common."""

import pandas

from dimat.experiment.cells import SETTING, labelled
from dimat.experiment.records import flattened
from dimat.merging.matching.options import Matching
from dimat.methods import known_methods
from dimat.methods.dimat import Dimat
from theory.rows import Numbers, Row


def communicating(runs: pandas.DataFrame) -> pandas.DataFrame:
    """The labels of ``runs`` whose agents communicate, with ``averaging`` and ``published``.

    ``averaging`` says how networks are averaged and calibrated, as a key; ``published`` whether it is DIMAT
    that matches as in the paper. ``how`` is the rival's label without the title of its method.
    """
    runs = runs[[known_methods[name].communicates != "never" for name in runs["method.name"]]]
    if runs.empty:
        return pandas.DataFrame(columns=[*SETTING, "method", "rival", "seed"])
    labels = labelled(runs)
    titled = zip(labels.rival, labels.method, strict=True)
    return labels.assign(
        averaging=_averaging(runs),
        published=(labels.method == Dimat.title) & _matched_as_published(runs),
        how=[rival.removeprefix(title).removeprefix(", ") for rival, title in titled],
    )


def _averaging(runs: pandas.DataFrame) -> list[str]:
    """Calibration and coefficients; whose images there are counts only if something is repaired on them."""
    usual = flattened({"method": Dimat().model_dump(mode="json")})
    found = []
    for row in runs.to_dict("records"):
        repairs = row["calibration.repair"] != "none"
        kept = ("calibration.repair", *["calibration."] * repairs, "method.coefficients.", "method.shrink")
        said = {name: row[name] for name in runs.columns if name.startswith(kept)}
        differing = (f"{name} {value}" for name, value in said.items() if value not in ("", usual.get(name)))
        found.append("; ".join(differing))
    return found


def _matched_as_published(runs: pandas.DataFrame) -> pandas.Series:
    usual = flattened({"matching": Matching().model_dump(mode="json")})
    names = [name for name in runs.columns if name.startswith("matching.")]
    return (runs[names] == pandas.Series({name: usual.get(name, "") for name in names})).all(axis=1)


def study_row(
    check: str,
    statement: str,
    quantity: str,
    setting: tuple[object, ...],
    how: str,
    numbers: Numbers,
    bound: float,
    seeds: int | None = None,
    strict: bool = False,
) -> Row:
    """A row about one ``setting``, values of `SETTING`; ``how`` says what else is particular about it."""
    data, model, agents, partition, graph, protocol = map(str, setting)
    problem = "; ".join(filter(None, [data, model, partition, how, protocol]))
    about = (check, statement, quantity, graph, int(agents), None)
    return Row(*about, *numbers, bound, seeds=seeds, problem=problem, strict=strict)
