"""Commands of the audit."""

import logging
from typing import Annotated

import typer

from dimat import files
from dimat.arguments import DEFAULT_RESULTS, Config, Results, open_study
from dimat.errors import InputError

commands = typer.Typer()


@commands.command()
def audit(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Compare measured numbers with derived bounds; corrupted controls must be rejected.

    Writes audit.csv into the study's folder of results, one row for each check and control: what was
    measured, its 95 % interval over seeds, the bound and the verdict. A check holds if its interval lies
    below the bound. If a derivation step does not follow or a control is not rejected, nothing is written.
    """
    from theory.audit import audit as run_audit
    from theory.report import as_csv, as_table, summary

    _, layout = open_study(config, results)
    rows = run_audit()
    files.write(layout.audit, as_csv(rows).encode())
    typer.echo(as_table(rows), err=True)
    for line in summary(rows):
        logging.info(line)


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
