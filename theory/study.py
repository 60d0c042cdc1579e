"""What rows of the audit that rest on a study's records have in common."""

import pandas

from theory.checks import Row

SETTING = ["data", "model", "agents", "partition", "graph", "protocol"]
"""Columns of records in which methods are alike that are compared."""


def with_titles(table: pandas.DataFrame) -> pandas.DataFrame:
    """``table`` with the ``title`` of each method, without its options."""
    return table.assign(title=table.method.str.partition(", ")[0])


def study_row(
    claim: str,
    statement: str,
    quantity: str,
    setting: tuple[object, ...],
    merge: str,
    numbers: tuple[float, float, float],
    bound: float,
    seeds: int | None = None,
    strict: bool = False,
) -> Row:
    """A row about one ``setting``, values of `SETTING`; ``merge`` says how networks are averaged in it."""
    data, model, agents, partition, graph, protocol = map(str, setting)
    problem = "; ".join(filter(None, [data, model, partition, merge, protocol]))
    about = (claim, statement, quantity, graph, int(agents), None)
    return Row(*about, *numbers, bound, seeds=seeds, problem=problem, strict=strict)
