"""Commands of the audit: a word for each thing."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Config, Only, Results, open_study, real, whole
from dimat.errors import InputError
from dimat.experiment.layout import SHARED, Layout
from dimat.experiment.provenance import made_by
from dimat.experiment.runs import Pretrained
from dimat.io import files
from dimat.spec import LARGEST

commands = typer.Typer()
PACKAGES = ("dimat", "theory")
"""Whose code makes what these commands write."""


@commands.command()
def audit(
    results: Results = DEFAULT_RESULTS,
    full: Annotated[
        bool, typer.Option("--full", help="Every graph, problem and schedule: half an hour of one core.")
    ] = False,
    processes: Annotated[int, whole("Processes that share the settings.", 1, 256)] = 1,
) -> None:
    """Compare measured numbers with derived bounds; corrupted controls must be rejected.

    Writes shared/audit.csv (or audit-full.csv), which is that of all studies: a row for each comparison and
    control, with what was measured, its 95 % interval over seeds, the bound and the verdict. A check holds if
    its interval lies below the bound. If a derivation is not certified or a control is not rejected,
    nothing is written.
    """
    from theory.bounds import compared
    from theory.claims.audit import audited
    from theory.report import as_table, audit_csv, summary

    one_thread()
    layout = Layout(results / SHARED)
    rows = audited(compared.full() if full else compared.quick(), processes)
    path = layout.audit_full if full else layout.audit
    files.write_checked(path, audit_csv(rows).encode(), made_by=made_by(*PACKAGES))
    typer.echo(as_table(rows), err=True)
    for line in summary(rows):
        logging.info(line)


@commands.command()
def holonomy(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Measure the permutations that matching finds between a study's networks, at their first merge.

    Readings of the spectral gap, orbits and cycles of every layer, and the disagreement before and after
    matching. Ids are those of pretrained starts.
    """
    from dimat.cli.main import each
    from dimat.experiment.runner import Runner
    from theory.gap.first_merges import first_merges
    from theory.gap.holonomy import holonomy_table
    from theory.report import table_csv

    study, layout = open_study(config, results)
    runner = Runner(study, layout)

    def measure(start: Pretrained) -> None:
        table = table_csv(holonomy_table(merges[start.id], runner))
        made_from = [layout.partitioned(start.partitioned.id), layout.pretrained(start.id)]
        files.write_checked(layout.holonomy(start.id), table.encode(), made_from, made_by(*PACKAGES))

    merges = first_merges(study)
    each({id: study.pretrained[id] for id in merges}, only, layout.holonomy, measure)


@commands.command()
def judge(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Judge every claim, from the audit and from the study's records and networks.

    Writes claims.csv, a record for each claim, and evidence.csv, the study's own rows of the audit. A claim
    on how well agents do is decided by the comparison that it names in advance, its primary one. Intervals
    of differences over seeds are corrected for their number (Holm); fewer than 6 seeds decide nothing.
    """
    from dimat.experiment.outlines import start_file
    from theory.claims.evidence import evidence
    from theory.claims.judgement import claims_table, judgements
    from theory.gap.first_merges import first_merges
    from theory.report import EVIDENCE, as_frame, read_audit, table_csv

    study, layout = open_study(config, results)
    audited = read_audit(layout.audit)
    own = as_frame(evidence(study, layout), EVIDENCE)
    # Of starts of which only an outline is here, those first merges are judged that were measured elsewhere.
    merges = [
        path
        for id in first_merges(study)
        if (path := layout.holonomy(id)).exists() or start_file(layout, id) != layout.start_outline(id)
    ]
    made_from = [layout.audit, layout.runs, layout.records, *merges]
    files.write_checked(layout.evidence, table_csv(own).encode(), made_from, made_by(*PACKAGES))
    table = claims_table(judgements([audited, own]))
    made_from = [layout.audit, layout.evidence]
    files.write_checked(layout.claims, table_csv(table).encode(), made_from, made_by(*PACKAGES))
    for row in table.itertuples():
        logging.info("%s: %s (%s)", row.id, row.verdict, row.checks)


@commands.command()
def claim(
    id: Annotated[
        str | None, typer.Argument(help="The claim; without, they are listed.", show_default=False)
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="Configuration of a study whose results bear on the claim too.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Print the claims, or audit one: its derivations, its checks, the verdict.

    It is audited anew, within a minute; what rests on a study is taken from its results, named by --study.
    """
    from theory.claims.text import claim_text, claims_text

    one_thread()
    typer.echo(claims_text() if id is None else claim_text(id, study, results))


def constant(help: str) -> Any:
    """A real constant without a default that is worth showing."""
    return real(help, 0, show_default=False)


def count(help: str, most: int = LARGEST) -> Any:
    """A whole number from 1 on, without a default."""
    return whole(help, 1, most, show_default=False)


Graph = Annotated[str | None, typer.Option(help="Communication graph, by name.", show_default=False)]
Matrix = Annotated[
    Path | None, typer.Option(help="CSV file of a mixing matrix, instead of a graph.", show_default=False)
]
LocalSteps = Annotated[int | None, count("tau, gradient steps between merges.")]
Decay = Annotated[float | None, constant("beta, decay of the velocity.")]


@commands.command()
def bound(
    name: Annotated[str, typer.Argument(help="The derivation; see dimat derive.")] = "gossip",
    graph: Graph = None,
    matrix: Matrix = None,
    agents: Annotated[int | None, count("N, number of agents.", 1000)] = None,
    smoothness: Annotated[float | None, constant("L, of every agent's loss.")] = None,
    noise: Annotated[float | None, constant("sigma; its square is the variance of gradients.")] = None,
    heterogeneity: Annotated[float | None, constant("kappa; its square is the heterogeneity.")] = None,
    steps: Annotated[int | None, count("K, number of gradient steps of an agent.")] = None,
    local_steps: LocalSteps = None,
    momentum: Decay = None,
    smallest: Annotated[float | None, constant("m, smallest entry of preconditioners.")] = None,
    largest: Annotated[float | None, constant("M, largest entry of preconditioners.")] = None,
    gap: Annotated[float | None, constant("f - f* at the start; 1 by default.")] = None,
    disagreement: Annotated[float | None, constant("Xi_0, mean squared distance at the start; 0.")] = None,
    step_size: Annotated[float | None, constant("alpha; by default the best and the largest.")] = None,
) -> None:
    """Print what a derived bound says of a setting of one's own, with --graph (or --matrix) and --agents.

    That are the admissible step sizes, the bound term by term, and which term rules.
    """
    from theory.bounds.own_setting import mixing_of, own_setting

    options = {
        "L": ("--smoothness", smoothness),
        "sigma": ("--noise", noise),
        "kappa": ("--heterogeneity", heterogeneity),
        "K": ("--steps", steps),
        "tau": ("--local-steps", local_steps),
        "beta": ("--momentum", momentum),
        "m": ("--smallest", smallest),
        "M": ("--largest", largest),
        "gap_0": ("--gap", gap),
        "Xi_0": ("--disagreement", disagreement),
        "alpha": ("--step-size", step_size),
    }
    constants = {symbol: float(value) for symbol, (_, value) in options.items() if value is not None}
    setting = mixing_of(graph, matrix, agents)
    with named(options):
        typer.echo(own_setting(name, *setting, **constants))


@contextmanager
def named(options: Mapping[str, tuple[str, float | None]]) -> Iterator[None]:
    """An `InputError` that names symbols names the options that set them, too."""
    try:
        yield
    except InputError as error:
        symbols = str(error).partition(":")[0].split(", ")
        meant = [option for symbol, (option, _) in options.items() if symbol in symbols]
        raise InputError(f"{', '.join(meant)}: {error}" if meant else str(error)) from None


@commands.command("worst-case")
def worst_case(
    name: Annotated[
        str,
        typer.Argument(
            help="The method: gossip, adapt_then_combine, local_steps, momentum, gradient_tracking."
        ),
    ] = "gossip",
    graph: Graph = None,
    matrix: Matrix = None,
    agents: Annotated[int | None, count("N, number of agents, 2 to 8.", 1000)] = None,
    steps: Annotated[int | None, count("K, gradient steps of an agent, up to 10.")] = None,
    smoothness: Annotated[float | None, constant("L, of every agent's loss; 1.")] = None,
    heterogeneity: Annotated[float | None, constant("kappa; its square is the heterogeneity; 1.")] = None,
    local_steps: LocalSteps = None,
    momentum: Decay = None,
    gap: Annotated[float | None, constant("f - f* at the start; 1.")] = None,
    disagreement: Annotated[float | None, constant("Xi_0, mean squared distance at the start; 0.")] = None,
    step_size: Annotated[float | None, constant("alpha; by default the bound's largest.")] = None,
    of: Annotated[
        Literal["gradient", "disagreement"], typer.Option(help="Whose mean over k < K it is.")
    ] = "gradient",
) -> None:
    """Bracket the worst case of a small setting over all smooth losses, beside its derived bound.

    A solver looks for both ends of the bracket; each is then proved in rational numbers: the upper one by
    multipliers, the lower one by losses that attain it. Nothing is printed that is not proved.
    """
    from theory.bounds.own_setting import mixing_of
    from theory.worst_case.own_case import own_case

    options = {
        "N": ("--agents", None),
        "L": ("--smoothness", 1.0 if smoothness is None else smoothness),
        "kappa": ("--heterogeneity", 1.0 if heterogeneity is None else heterogeneity),
        "K": ("--steps", steps),
        "tau": ("--local-steps", local_steps),
        "beta": ("--momentum", momentum),
        "gap_0": ("--gap", gap),
        "Xi_0": ("--disagreement", disagreement),
        "alpha": ("--step-size", step_size),
    }
    constants = {symbol: float(value) for symbol, (_, value) in options.items() if value is not None}
    label, mixing = mixing_of(graph, matrix, agents)
    with named(options):
        typer.echo(own_case(name, label, mixing, of, constants))


@commands.command()
def tightness(
    results: Results = DEFAULT_RESULTS,
    processes: Annotated[int, whole("Processes that share the settings.", 1, 256)] = 1,
    search: Annotated[
        Path | None,
        typer.Option(help="Search all worst cases anew and write their proofs here.", show_default=False),
    ] = None,
) -> None:
    """Print docs/tightness.md: certified worst cases beside derived bounds, and the power of the audit.

    Writes shared/power.csv: the largest factor of every bound, and of every term, that the audit rejects. The
    proofs that are stored are checked in rational numbers; with --search, all are sought anew, for ten
    minutes.
    """
    from theory.claims.power import power
    from theory.claims.tightness_page import tightness_page
    from theory.report import table_csv
    from theory.worst_case.proof import as_json
    from theory.worst_case.search import proved
    from theory.worst_case.stored import cases, stored

    one_thread()
    proofs = [proved(case, graph) for graph, case in cases()] if search else stored()
    if search:
        files.write(search, as_json(proofs).encode())
    powers = power(processes)
    path = Layout(results / SHARED).power
    files.write_checked(path, table_csv(powers).encode(), made_by=made_by(*PACKAGES))
    typer.echo(tightness_page(proofs, powers), nl=False)


@commands.command()
def derive(
    name: Annotated[str, typer.Argument(help="The derivation or published rate.")] = "gossip",
    latex: Annotated[bool, typer.Option("--latex", help="Print the final bound in LaTeX instead.")] = False,
) -> None:
    """Print the derivation of a bound, step by step, each checked by machine, or a published rate.

    A step states that its left side is at most its right side, and names the facts that it uses: axioms,
    squares, and earlier steps. It follows if the difference, less all facts times nonnegative factors, is
    shown to be nonnegative in the ranges of the symbols. An unknown name lists all.
    """
    from theory.bounds.derivations import DERIVATIONS
    from theory.bounds.derivations.published import PUBLISHED_RATES
    from theory.bounds.derivations.text import derivation_text, rate_text

    if name in DERIVATIONS:
        found = DERIVATIONS[name]
        typer.echo(found.latex() if latex else derivation_text(found))
    elif name in PUBLISHED_RATES:
        rate = PUBLISHED_RATES[name]
        typer.echo(rate.latex() if latex else rate_text(rate))
    else:
        raise InputError(f"derive: {name!r}; expected one of {', '.join([*DERIVATIONS, *PUBLISHED_RATES])}")


@commands.command()
def mutations(
    names: Annotated[
        list[str] | None, typer.Argument(help="Derivations; all by default.", show_default=False)
    ] = None,
    every: Annotated[int, whole("Check one mutant in so many.", 1, 10**4)] = 1,
    processes: Annotated[int, whole("Processes that share the mutants.", 1, 256)] = 1,
) -> None:
    """Change one thing at a time in every derivation, and print how many changes its check rejects.

    All of them take half an hour of one core. docs/mutations.md is what it prints.
    """
    from theory.bounds.derivations import DERIVATIONS
    from theory.bounds.derivations.mutation_score import fates, page

    if unknown := [name for name in names or () if name not in DERIVATIONS]:
        raise InputError(f"mutations: {unknown[0]!r}; expected some of {', '.join(DERIVATIONS)}")
    typer.echo(page(fates(names or list(DERIVATIONS), every, processes)))


def one_thread() -> None:
    """Matrices of audits are small: more threads wait for each other, and add up in another order."""
    import torch

    torch.set_num_threads(1)
