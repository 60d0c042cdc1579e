"""Cells of tables and lines of figures: runs that differ in nothing but the seed, and what they are called.

A label says what is what, and adds by itself whatever else differs among the runs that are shown. Labels that
could not tell runs apart are an error: no cell joins different experiments.
"""

from collections.abc import Iterable

import pandas

from dimat.errors import InputError
from dimat.experiment.words import phrases, said
from dimat.merging.matching.weight import Weight
from dimat.methods import known_methods

SETTING = ["data", "model", "agents", "partition", "graph", "protocol"]
"""Columns of labels that say in which setting methods are compared."""
ANYWHERE = ("task", "training", "tuning", "matching", "calibration", "attack")
"""Parameters that runs of different methods share: they are said of all where any runs differ in them."""

CHOICES = ("method.coefficients",)
"""What is chosen among kinds with options of their own: the kind says all that is the same wherever it is."""


def parameters_of(runs: pandas.DataFrame) -> list[str]:
    """The columns of ``runs`` that are parameters, without the seed and without what is recorded."""
    facts = ("found.", "metric.")
    return [name for name in runs.columns if not name.startswith(facts) and name not in ("seed", "measures")]


def without(runs: pandas.DataFrame, *names: str) -> pandas.Series:
    """For each run, a key of all its parameters but the seed and ``names``, with everything below these."""
    kept = [name for name in parameters_of(runs) if not any(_below(name, other) for other in names)]
    return pandas.Series([tuple(row) for row in runs[kept].to_numpy()], index=runs.index, dtype=object)


def labelled(runs: pandas.DataFrame) -> pandas.DataFrame:
    """What each of ``runs`` is called, in columns `SETTING`, ``method``, ``rival`` and ``seed``.

    Two runs with the same setting and rival differ in nothing but the seed: otherwise `InputError` names the
    parameter in which they differ.
    """
    labels = pandas.DataFrame(index=runs.index)
    labels["data"] = _named(runs, "data", runs["found.data"])
    labels["model"] = _named(runs, "model", _said(runs, "model.name"))
    labels["agents"] = runs["agents"].astype(int)
    labels["partition"] = _named(runs, "partition", _said(runs, "partition.name", "partition.alpha"))
    labels["graph"] = _named(runs, "graph", _said(runs, "graph.name"))
    labels["protocol"] = runs["protocol"]
    labels["method"] = [known_methods[name].title for name in runs["method.name"]]
    labels["rival"] = _rivals(runs, labels["method"])
    labels["seed"] = runs["seed"].astype(int)
    _check(runs, labels)
    return labels


def _said(runs: pandas.DataFrame, *names: str) -> pandas.Series:
    """The words of some parameters, where a run has them."""
    rows = runs.reindex(columns=list(names), fill_value="").to_dict("records")
    found = [" ".join(said(name, row[name]) for name in names if row[name]) for row in rows]
    return pandas.Series(found, index=runs.index, dtype=object)


def _named(runs: pandas.DataFrame, axis: str, base: pandas.Series) -> pandas.Series:
    """``base``, with what differs on ``axis`` among those that it names alike."""
    below = [name for name in parameters_of(runs) if _below(name, axis)]
    return _completed(runs, base, {group: _varying(rows, below) for group, rows in runs.groupby(base)})


def _rivals(runs: pandas.DataFrame, titles: pandas.Series) -> pandas.Series:
    """Titles of methods with what differs: among runs of one method, and, of what is shared, among all.

    Each protocol and each data set by itself, as they are parts of the setting.
    """
    of_methods = [name for name in parameters_of(runs) if _below(name, "method")]
    elsewhere = [name for name in parameters_of(runs) if name.partition(".")[0] in ANYWHERE]
    found = []
    for _, rows in runs.groupby(["protocol", "data.name"], sort=False):
        how = [name for name in elsewhere if _below(name, "calibration") and name != "calibration.repair"]
        differing = {*_varying(rows, set(elsewhere) - set(how)), *_varying(_looking(rows), how)}
        shared = [name for name in elsewhere if name in differing]
        if "tuning.factors" in rows and set(rows["tuning.factors"].eq("")) == {True, False}:
            shared.append("tuning.factors")  # some are tuned, some are not
        own = {title: _varying(alike, of_methods) for title, alike in rows.groupby(titles[rows.index])}
        more = {title: list(dict.fromkeys([*names, *shared])) for title, names in own.items()}
        found.append(_completed(rows, titles[rows.index], more))
    return pandas.concat(found).reindex(runs.index)


def _looking(runs: pandas.DataFrame) -> pandas.DataFrame:
    """Those of ``runs`` in which agents look at images: to repair, or to match."""
    if "calibration.repair" not in runs:
        return runs
    matcher = runs.get("matching.matcher.name", pandas.Series("", runs.index))
    return runs[(runs["calibration.repair"] != "none") | ~matcher.isin(["", Weight().name])]


def _completed(runs: pandas.DataFrame, base: pandas.Series, more: dict[str, list[str]]) -> pandas.Series:
    """Each ``base`` with the words of the parameters that are named for it in ``more``.

    What a base says already is not said again, and `phrases` are short, but where that could not tell runs
    apart.
    """
    used = list(dict.fromkeys(name for names in more.values() for name in names))
    rows = (
        list(zip(base, runs[used].to_dict("records"), strict=True)) if used else [(each, {}) for each in base]
    )
    chosen = [{name: row[name] for name in more.get(label, ()) if row[name]} for label, row in rows]
    whole = [[said(*each) for each in parameters.items()] for parameters in chosen]
    short = [_joined(label, phrases(each)) for (label, _), each in zip(rows, chosen, strict=True)]
    meanings: dict[str, set[tuple[str, ...]]] = {}
    for label, words in zip(short, whole, strict=True):
        meanings.setdefault(label, set()).add(tuple(words))
    found = [
        label if len(meanings[label]) == 1 else ", ".join([old, *words])
        for label, (old, _), words in zip(short, rows, whole, strict=True)
    ]
    return pandas.Series(found, index=runs.index, dtype=object)


def _joined(label: str, words: list[str]) -> str:
    return ", ".join(filter(None, [label, *(word for word in words if word not in label)]))


def _varying(runs: pandas.DataFrame, names: Iterable[str]) -> list[str]:
    """Of ``names``, those in which runs differ that have them."""
    return [
        name
        for name in names
        if (len(set(runs[name]) - {""}) > 1 or _missing_in_some(runs, name)) and not _implied(runs, name)
    ]


def _implied(runs: pandas.DataFrame, name: str) -> bool:
    """Whether a parameter is one of `CHOICES`, and the same in all runs that made one choice."""
    choice = name.rpartition(".")[0]
    kind = f"{choice}.name"
    if choice not in CHOICES or name == kind:
        return False
    return bool((runs.groupby(kind)[name].nunique() == 1).all())


def _missing_in_some(runs: pandas.DataFrame, name: str) -> bool:
    """Whether a parameter that may be left out is, in some runs, and not for want of all of its axis."""
    values = set(runs[name])
    if "" not in values or len(values) == 1:
        return False
    axis = name.partition(".")[0]
    of_axis = runs[[other for other in runs.columns if _below(other, axis)]]
    present = (of_axis != "").any(axis=1)
    siblings = runs.loc[present, name]
    return bool((siblings == "").any() and (siblings != "").any())


def _below(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.")


def _check(runs: pandas.DataFrame, labels: pandas.DataFrame) -> None:
    """`InputError` if runs with equal labels differ in more than the seed, or not even in that."""
    varying = [name for name in parameters_of(runs) if runs[name].nunique() > 1]
    experiments, seeds = [tuple(row) for row in runs[varying].to_numpy()], runs["seed"].to_list()
    cells: dict[tuple[object, ...], list[int]] = {}
    for place, names in enumerate(labels[[*SETTING, "rival"]].itertuples(index=False, name=None)):
        cells.setdefault(names, []).append(place)
    for names, places in cells.items():
        first = experiments[places[0]]
        if any(experiments[place] != first for place in places):
            rows = runs.iloc[places]
            differing = [name for name in varying if rows[name].nunique() > 1]
        else:
            differing = []
        if differing or len({seeds[place] for place in places}) < len(places):
            what = differing[0] if differing else "nothing"
            one, another = runs.index[places[:2]]
            raise InputError(
                f"runs {one} and {another} differ in {what}, which the label "
                f"{', '.join(str(part) for part in names if part)!r} does not show; expected one "
                "study for each"
            )
