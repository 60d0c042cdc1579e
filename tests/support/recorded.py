"""Tables of runs and records as a study of networks gives them, written by hand."""

from functools import reduce

import pandas

from dimat.experiment.reading import parse_study

METRIC = {"name": "score", "title": "score", "unit": "%", "scale": "100.0", "better": "higher"}
METRIC |= {"share": "true", "examples": "400"}


def a_run(method, seed, metric=METRIC, **changed):
    """A row of runs.csv with a short id; a dot in the name of what is changed is two underscores."""
    content = {"name": "s", "data": "digits", "model": "plain", "partition": "iid", "graph": "ring"}
    content |= {"agents": 3, "calibration": {"images": "own"}, "method": {"name": method}, "seeds": [seed]}
    for name, value in changed.items():
        *above, last = name.split("__")
        reduce(lambda inner, key: inner.setdefault(key, {}), above, content)[last] = value
    (run,) = parse_study(content, "study").runs.values()
    found = {"found.data": "d", "found.learning_rate": "0.1"}
    return (
        {"run": f"{method}-{seed}"}
        | run.parameters()
        | found
        | {f"metric.{key}": value for key, value in metric.items()}
    )


def runs_of(*rows):
    """As `read_runs` gives them."""
    return pandas.DataFrame(rows).fillna("").set_index("run")


def records_of(values_of_runs):
    """As `read_records` gives them, from the values of each run by (round, agent, metric)."""
    return pandas.DataFrame(
        {"run": run, "round": round, "stage": "merged" if round else "start", "agent": agent, "layer": ""}
        | {"metric": metric, "value": float(value)}
        for run, values in values_of_runs.items()
        for (round, agent, metric), value in values.items()
    )
