"""Derived bounds against simulations; corrupted versions must be caught."""

import csv
from collections import Counter
from dataclasses import replace

import numpy
import pytest
from typer.testing import CliRunner

from dimat.topology import Complete, Ring
from theory.bounds.compared import bound_rows, checks_of, full, ids_of, quick, setting_rows
from theory.bounds.derivations import DERIVATIONS, GOSSIP
from theory.bounds.derivations.adam import ADAM, largest_entry
from theory.bounds.near_worst import BUILDERS
from theory.bounds.settings import Setting
from theory.claims import audit as audit_module
from theory.claims.audit import AuditError, audited, rows_of
from theory.claims.checks import CHECKS, IDS, OF_STUDIES
from theory.commands import commands
from theory.problems import PROBLEMS
from theory.report import COLUMNS, as_table, audit_csv, summary
from theory.rows import Row
from theory.worst_case.rows import worst_case_rows


def _third(every, bound):
    """A third of the drawn settings of a bound, and all that are near its worst."""
    own = [setting for setting in every if setting.bound == bound]
    return [s for s in own if s.problem in PROBLEMS][::3] + [s for s in own if s.problem in BUILDERS]


@pytest.fixture(scope="module")
def settings(long):
    """Those of the default study, or a third of each bound's."""
    every = list(quick())
    if long:
        return every
    return [setting for bound in DERIVATIONS for setting in _third(every, bound)]


@pytest.fixture(scope="module")
def rows(settings):
    return audited(settings)


@pytest.mark.parametrize(
    ("limit", "verdicts"),
    [
        (4.0, ("holds", "accepted")),
        (3.0, ("undecided", "undecided")),
        (2.0, ("undecided", "undecided")),
        (0.5, ("violated", "rejected")),
        (float("nan"), ("undecided", "undecided")),
    ],
)
def test_verdict_looks_at_the_whole_interval(limit, verdicts):
    row = Row("check", "statement", "quantity", "ring", 4, 1, 2.0, 1.0, 3.0, limit)
    assert (row.verdict, row.as_control("this").verdict) == verdicts


def test_audit_finds_no_violation(rows, settings, long):
    claimed = [row for row in rows if not row.control]
    others = ("spectral-gap", "mean", "subnet-bias", "adam-own-moments")  # see test_register
    ours = [row for row in claimed if row.check not in others]
    assert all(row.verdict == "holds" for row in ours), [row for row in ours if not row.holds]
    assert Counter(row.check for row in claimed) == {
        "spectrum": 21,
        "contraction": 9,
        **Counter(check for setting in settings for check in checks_of(setting))
        + Counter(row.check for row in worst_case_rows()),
        "equivalence": 6,
        "orbits.gradient": 20,
        "orbits.disagreement": 20,
        "orbits.networks": 4,
        "new-frames.price": 7,
        "new-frames.gradient": 7,
        "drift.gradient": 11,
        "rate": 4,
        "adam-own-moments": 1,
        "dot-admm": 48,
        "subnet-fixed-point": 14,
        "subnet-contraction": 32,
        "subnet-gradients": 12,
        "subnet-bias": 3,
        "disagreement.dif_maml": 8,
        "optimum.dif_maml": 8,
        "spectral-gap": 83,
        "mean": 28,
    }
    known = {id for bound in DERIVATIONS for id in ids_of(bound)}
    bounds = [row for row in claimed if row.check in known]
    assert {row.problem for row in bounds} == {*PROBLEMS, *BUILDERS, "worst case"}
    assert len({row.graph for row in bounds if row.problem in PROBLEMS}) == 7
    if long:
        each = {"gossip": 79, "adapt_then_combine": 15, "local_steps": 15, "momentum": 14, "adam": 6}
        each |= dict.fromkeys(("sharper_gossip", "sharper_adapt_then_combine", "sharper_momentum"), 10)
        assert Counter(setting.bound for setting in settings) == each
    assert all(row.tightness > 1 for row in bounds)


def test_ids_are_of_one_check_each_and_of_its_rows(rows):
    ids = [id for check in CHECKS for id in check.ids]
    assert len(set(ids)) == len(ids)
    assert {row.check for row in rows} == set(ids)
    assert set(IDS) == {*ids, *OF_STUDIES}
    controls = {row.check for row in rows if row.control}
    for check in CHECKS:
        assert controls & set(check.ids), check.ids


def test_every_control_is_rejected_by_itself(rows):
    corrupted = [row for row in rows if row.control]
    assert {row.verdict for row in corrupted} == {"rejected"}
    assert {row.check for row in corrupted} == {row.check for row in rows}
    for bound in DERIVATIONS:
        assert any(bound in row.statement for row in corrupted), bound


@pytest.mark.parametrize("limit", [1e9, 1.0], ids=["accepted", "undecided"])
def test_one_control_that_is_not_rejected_breaks_the_audit(monkeypatch, rows, limit):
    row = next(row for row in rows if row.control)
    spared = replace(row, low=0.0, high=2.0, bound=limit, statement="made to pass")
    check = replace(CHECKS[0], controls=lambda: [row, spared, row])
    monkeypatch.setattr(audit_module, "CHECKS", [check])
    with pytest.raises(AuditError, match=r"not rejected by its check: spectrum, ring, made to pass$"):
        audited(())


def test_a_step_that_does_not_follow_breaks_the_audit(monkeypatch):
    first, *_, last = GOSSIP.steps
    wrong = replace(GOSSIP, steps=(first, replace(last, right=last.right / 2)))
    monkeypatch.setattr(audit_module, "DERIVATIONS", {"gossip": wrong})
    with pytest.raises(AuditError, match=r"does not follow: gossip, "):
        audited(())


def test_rows_of_some_checks_are_those_of_the_audit(rows, settings):
    some = {"disagreement.momentum", "contraction"}
    assert list(rows_of(some, settings)) == [row for row in rows if row.check in some and not row.control]


def test_settings_are_shared_between_processes_without_a_change():
    some = [setting for setting in full() if setting.steps == 32 and setting.agents == 8]
    some = [setting for bound in DERIVATIONS for setting in [s for s in some if s.bound == bound][::25]]
    assert {setting.problem for setting in some} == {*PROBLEMS}
    serial = [row for setting in some for row in setting_rows(setting)]
    assert all(row.verdict == "holds" for row in serial)
    assert bound_rows(some, processes=2) == serial


def test_a_bound_that_is_attained_holds():
    """On a complete graph, adapt then combine agrees after one step: mean Xi_k = Xi_0 / K, on both sides."""
    attained = Setting("adapt_then_combine", "separable", Complete(), 2, 0.01, 32)
    for agents in (2, 4, 8):
        _, spread, *_ = setting_rows(replace(attained, agents=agents))
        assert spread.check == "disagreement.adapt_then_combine" and spread.verdict == "holds"
        assert spread.tightness == pytest.approx(1, rel=1e-11)


def test_the_full_audit_covers_every_graph_bound_and_size():
    settings = list(full())
    assert len(set(settings)) == len(settings)
    assert {setting.bound for setting in settings} == set(DERIVATIONS)
    assert {setting.agents for setting in settings} == {2, 4, 8, 16, 32, 64}
    assert len({setting.graph for setting in settings}) == 9
    assert all(setting.steps % setting.local_steps == 0 for setting in settings)
    assert max(setting.agents for setting in settings if setting.problem == "logistic") == 16


@pytest.mark.parametrize("key", DERIVATIONS)
def test_settings_of_a_bound_are_its_own_and_give_its_rows(key):
    bound = DERIVATIONS[key]
    assert {setting.bound for setting in (*bound.quick(), *bound.full())} == {key}
    assert bound.bounds_disagreement == (len(ids_of(key)) == 2)


def test_adam_needs_bounded_gradients():
    quadratic, _ = Setting("gossip", "quadratic", Ring(), 4, 1.0, 1).build()
    with pytest.raises(TypeError, match=r"gradients of the problem quadratic are not bounded"):
        ADAM.constants_on(quadratic, 0.5, 10, 1)


@pytest.mark.parametrize("seed", range(3))
def test_no_stochastic_gradient_has_a_larger_entry(seed):
    problem, _ = Setting("gossip", "separable", Ring(), 4, 1.0, seed + 1).build()
    generator = numpy.random.default_rng(seed)
    x = 3 * generator.standard_normal((4, 5000, problem.dimensions))
    found = abs(problem.gradients(x) + next(problem.noises(5000, generator))).max()
    assert 0.99 * largest_entry(problem) < found <= largest_entry(problem)


def test_report(rows):
    head, *lines = csv.reader(audit_csv(rows).splitlines())
    assert tuple(head) == COLUMNS
    assert len(lines) == len(rows) and {line[-1] for line in lines} == {
        "holds",
        "violated",
        "equal",
        "rejected",
    }
    assert len(as_table(rows).splitlines()) == len(rows) + 1
    controls = sum(row.control for row in rows)
    assert list(summary(rows))[-1] == f"controls: {controls}, {controls} rejected"


def test_commands(tmp_path, rows, monkeypatch):
    def same(settings, processes):  # the audit takes half a minute, and `rows` are what it gives
        assert list(settings) == list(quick()) and processes == 2
        return rows

    monkeypatch.setattr(audit_module, "audited", same)
    done = CliRunner().invoke(commands, ["audit", "--results", str(tmp_path), "--processes", "2"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"audit.csv", "audit.csv.sha256"}
    assert (tmp_path / "shared" / "audit.csv").read_text() == audit_csv(rows)
    assert done.stdout == "" and "rejected" in done.stderr
