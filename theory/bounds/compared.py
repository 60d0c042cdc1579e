"""Derived bounds against what the library's methods do: measured means with 95 % intervals over seeds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from numpy import ndarray

from dimat.processes import pool_of
from dimat.randomness import Randomness
from dimat.topology import Graph, second_eigenvalue
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.near_worst import BEARS_ON, BUILDERS, near_worst
from theory.bounds.rates import t_interval
from theory.bounds.runs import run_method
from theory.bounds.settings import Setting
from theory.problems import Problem
from theory.rows import ROUND_OFF, Row

SEEDS = 16


def quick() -> Iterator[Setting]:
    """A minute's worth of settings."""
    return chain(chain.from_iterable(bound.quick() for bound in DERIVATIONS.values()), near_worst())


def full() -> Iterator[Setting]:
    """All settings; `quick` is not a part of them, as steps come in other numbers."""
    return chain(chain.from_iterable(bound.full() for bound in DERIVATIONS.values()), near_worst())


def ids_of(bound: str) -> set[str]:
    """The ids of the checks of a bound."""
    found = {f"convergence.{bound}"}
    return found | {f"disagreement.{bound}"} if DERIVATIONS[bound].bounds_disagreement else found


def bounds_of(setting: Setting) -> list[str]:
    """The keys of the bounds that a setting is held against: its own, and those that sharpen it."""
    return [key for key, each in DERIVATIONS.items() if setting.bound in (key, each.sharpens)]


def checks_of(setting: Setting) -> set[str]:
    """The ids of the checks for which a setting has a row."""
    keys = bounds_of(setting)
    if setting.problem in BEARS_ON:
        return {f"{BEARS_ON[setting.problem]}.{key}" for key in keys}
    return set().union(*map(ids_of, keys))


def bound_rows(settings: Iterable[Setting], processes: int = 1) -> list[Row]:
    """Derived bounds in ``settings``, each by itself: what is found does not depend on ``processes``."""
    if processes == 1:
        found = list(map(setting_rows, settings))
    else:
        with pool_of(processes, [__name__]) as pool:
            found = list(pool.map(setting_rows, settings, chunksize=16))
    return [row for rows in found for row in rows]


def setting_rows(setting: Setting) -> list[Row]:
    """What is measured in one setting, against the bound, and against those that sharpen it."""
    build = BUILDERS.get(setting.problem, Setting.build)
    problem, start = build(setting)
    rows = compared(
        [DERIVATIONS[key] for key in bounds_of(setting)],
        problem,
        setting.graph,
        setting.fraction,
        setting.steps,
        start,
        setting.randomness(),
        local_steps=setting.local_steps,
    )
    about = checks_of(setting)
    return [replace(row, problem=setting.problem) for row in rows if row.check in about]


def compared(
    bounds: Sequence[AuditedBound],
    problem: Problem,
    graph: Graph,
    fraction: float,
    steps: int,
    start: ndarray,
    randomness: Randomness,
    *,
    local_steps: int = 1,
    links: ndarray | None = None,
    **claimed: float,
) -> list[Row]:
    """The mean squared gradient, and the mean disagreement if there is a bound, each against its bounds.

    The method is run once, that of the first of the ``bounds``; ``fraction`` is of its largest admissible
    step size. ``links`` replace the graph's mixing matrix, and
    ``claimed`` constants of the bound, by their symbols' names, as one who has them wrong would.
    """
    bound, mixing = bounds[0], graph.mixing_matrix(problem.agents)
    given = (problem, second_eigenvalue(mixing), steps, local_steps)
    step_size = fraction * bound.largest_step_size(**bound.constants_on(*given))
    method = bound.rule(step_size, local_steps)
    done = run_method(method, problem, mixing if links is None else links, steps, SEEDS, start, randomness)
    found = {"alpha": step_size, "gap_0": done.gap_0, "Xi_0": done.disagreement_0} | claimed
    where = (graph.label(), problem.agents, steps)
    how = {"step_size": step_size, "seeds": SEEDS, "problem": problem.name}
    rows = []
    for each in bounds:
        constants = each.constants_on(*given, **found)
        title = each.title + f", tau = {local_steps}" * (local_steps > 1)
        # Bounds are attained: where one merge ends all disagreement, both sides differ by round-off alone.
        terms = each.term_values(**constants)
        limit = sum(terms.values()) * (1 + ROUND_OFF)
        numbers = t_interval(done.mean_squared_gradient)
        gradient = Row(f"convergence.{each.key}", title, "mean |grad f|^2", *where, *numbers, limit, **how)
        rows.append(replace(gradient, terms=tuple(terms.items())))
        if each.bounds_disagreement:
            limit = each.disagreement_bound(**constants) * (1 + ROUND_OFF)
            numbers = t_interval(done.mean_disagreement)
            rows.append(Row(f"disagreement.{each.key}", title, "mean Xi_k", *where, *numbers, limit, **how))
    return rows
