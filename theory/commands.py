"""Commands of the audit."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Config, Only, Results, open_study
from dimat.errors import InputError
from dimat.experiment.config import Start
from dimat.io import files

commands = typer.Typer()


@commands.command()
def check(
    config: Config,
    results: Results = DEFAULT_RESULTS,
    full: Annotated[
        bool, typer.Option("--full", help="Every graph, problem and schedule: half an hour of one core.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the settings.")] = 1,
) -> None:
    """Compare measured numbers with derived bounds; corrupted controls must be rejected.

    Writes audit.csv (or audit-full.csv) into the study's folder of results, one row for each check and
    control: what was measured, its 95 % interval over seeds, the bound and the verdict. A check holds if its
    interval lies below the bound. If a derivation step does not follow or a control is not rejected, nothing
    is written.
    """
    from theory.audit import audit as run_audit
    from theory.report import as_csv, as_table, summary
    from theory.settings import full as full_settings
    from theory.settings import quick as quick_settings

    one_thread()
    _, layout = open_study(config, results)
    rows = run_audit(full_settings() if full else quick_settings(), processes)
    files.write_checked(layout.audit_full if full else layout.audit, as_csv(rows).encode())
    typer.echo(as_table(rows), err=True)
    for line in summary(rows):
        logging.info(line)


@commands.command()
def holonomy(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Measure the permutations that matching finds between a study's networks, at their first merge.

    Readings of the spectral gap, orbits and cycles of every layer, and the disagreement before and after
    matching. Ids are those of starts.
    """
    from dimat.cli.main import each
    from dimat.experiment.runner import Driver
    from theory.first_merges import first_merges
    from theory.holonomy import holonomy_table
    from theory.report import table_csv

    study, layout = open_study(config, results)
    driver = Driver(study, layout)

    def measure(start: Start) -> None:
        table = holonomy_table(merges[start.id], driver)
        files.write_checked(layout.holonomy(start.id), table_csv(table).encode())

    merges = first_merges(study)
    each({id: study.starts[id] for id in merges}, only, layout.holonomy, measure)


@commands.command()
def claims(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Judge every claim, from the audit and from the study's records and networks.

    Writes claims.csv, a record for each claim, and evidence.csv, the study's own rows of the audit.
    """
    from theory.evidence import evidence
    from theory.register import claims_table, judge
    from theory.report import as_frame, read_audit, table_csv

    study, layout = open_study(config, results)
    own = as_frame(evidence(study, layout))
    files.write_checked(layout.evidence, table_csv(own).encode())
    table = claims_table(judge([read_audit(layout.audit), own]))
    files.write_checked(layout.claims, table_csv(table).encode())
    for row in table.itertuples():
        logging.info("%s: %s (%s)", row.id, row.verdict, row.checks)


def one_thread() -> None:
    """Matrices of audits are small: more threads wait for each other, and add up in another order."""
    import torch

    torch.set_num_threads(1)


def constant(help: str) -> Any:
    """An option for a constant of bounds."""
    return typer.Option(help=help, show_default=False, rich_help_panel="A setting of one's own")


@commands.command()
def audit(
    claim: Annotated[
        str | None, typer.Argument(help="The claim; without, they are listed.", show_default=False)
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="Configuration of a study whose results bear on the claim too.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    graph: Annotated[str | None, constant("Communication graph, by name.")] = None,
    matrix: Annotated[Path | None, constant("CSV file of a mixing matrix, instead of a graph.")] = None,
    agents: Annotated[int | None, constant("N, number of agents.")] = None,
    bound: Annotated[str, constant("The derivation; gossip is the default. See dimat derive.")] = "gossip",
    smoothness: Annotated[float | None, constant("L, of every agent's loss.")] = None,
    noise: Annotated[float | None, constant("sigma; its square is the variance of gradients.")] = None,
    heterogeneity: Annotated[float | None, constant("kappa; its square is the heterogeneity.")] = None,
    steps: Annotated[int | None, constant("K, number of gradient steps of an agent.")] = None,
    local_steps: Annotated[int | None, constant("tau, gradient steps between merges.")] = None,
    momentum: Annotated[float | None, constant("beta, decay of the velocity.")] = None,
    smallest: Annotated[float | None, constant("m, smallest entry of preconditioners.")] = None,
    largest: Annotated[float | None, constant("M, largest entry of preconditioners.")] = None,
    gap: Annotated[float | None, constant("f - f* at the start; 1 by default.")] = None,
    disagreement: Annotated[float | None, constant("Xi_0, mean squared distance at the start; 0.")] = None,
    step_size: Annotated[float | None, constant("alpha; by default the best and the largest.")] = None,
) -> None:
    """Audit one claim: its derivations, its checks, the verdict. Or a bound in a setting of one's own.

    A claim is audited anew, within a minute; what rests on a study is taken from its results, named by
    --study. With --graph (or --matrix) and --agents, prints the admissible step sizes, the bound term by
    term, and which term rules.
    """
    from theory.claim_text import audit_text, claims_text
    from theory.own_setting import mixing_of, own_setting

    one_thread()
    given = {
        "L": smoothness,
        "sigma": noise,
        "kappa": heterogeneity,
        "K": steps,
        "tau": local_steps,
        "beta": momentum,
        "m": smallest,
        "M": largest,
        "gap_0": gap,
        "Xi_0": disagreement,
        "alpha": step_size,
    }
    constants = {name: float(value) for name, value in given.items() if value is not None}
    if graph is not None or matrix is not None:
        if claim is not None:
            raise InputError(f"{claim}: a claim has settings of its own; valid is it, or a graph")
        typer.echo(own_setting(bound, *mixing_of(graph, matrix, agents), **constants))
    elif constants or agents is not None:
        raise InputError("--graph: missing; constants are those of a setting, which needs one (or --matrix)")
    else:
        typer.echo(claims_text() if claim is None else audit_text(claim, study, results))


@commands.command()
def derive(
    name: Annotated[str, typer.Argument(help="The derivation or published rate.")] = "gossip",
    latex: Annotated[bool, typer.Option("--latex", help="Print the final bound in LaTeX instead.")] = False,
) -> None:
    """Print the derivation of a bound, step by step, each checked by machine, or a published rate.

    A step states that its left side is at most its right side, and why. It follows if sympy finds the
    difference to be a sum of nonnegative terms under the step's assumptions.

    Derivations are gossip, adapt_then_combine, local_steps, momentum and adam; published rates koloskova,
    dpsgd, sgp and cga.
    """
    from theory.derivations import DERIVATIONS
    from theory.derivations.published import PUBLISHED
    from theory.derivations.text import derivation_text, rate_text

    if name in DERIVATIONS:
        found = DERIVATIONS[name]
        typer.echo(found.latex() if latex else derivation_text(found))
    elif name in PUBLISHED:
        rate = PUBLISHED[name]
        typer.echo(rate.latex() if latex else rate_text(rate))
    else:
        raise InputError(f"derive: {name!r} is none of {', '.join([*DERIVATIONS, *PUBLISHED])}")
