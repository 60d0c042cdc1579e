"""Commands for a link that agents share: controllers that learn, and simulated times."""

import logging

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Config, Only, Results, open_study
from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.provenance import made_by
from dimat.io.files import write_checked

commands = typer.Typer()


@commands.command()
def policy(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Train the congestion controllers that learn, where agents share a link (bottleneck): seconds each."""
    from dimat.cli.main import each

    study, layout = open_study(config, results)
    each(study.policies, only, layout.policy, lambda item: item.train(layout), lambda item: item.load(layout))


@commands.command()
def simulate(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Let the exchanges of all runs take their time on the link that agents share; nothing is trained.

    Writes simulated.csv, and at-rest.csv: how few and many flows share the link in the long run.
    """
    study, layout = open_study(config, results)
    simulate_study(study, layout)


def simulate_study(study: Study, layout: Layout) -> None:
    """Both files of a ``study`` with a shared link; `InputError` if it has none."""
    from dimat.experiment.simulated import resting_csv, simulated_csv

    if study.bottleneck is None:
        raise InputError("bottleneck: none is in this configuration; expected one, to simulate what it does")
    policies = {key: each.load(layout) for key, each in study.policies_by_seed.items()}
    sources = [layout.policy(id) for id in study.policies]
    resting = resting_csv(study.bottleneck, policies, sorted({run.seed for run in study.runs.values()}))
    write_checked(layout.at_rest, resting, sources, made_by("dimat"))
    exchanges = simulated_csv(study, layout, policies)
    write_checked(layout.simulated, exchanges, [layout.records, *sources], made_by("dimat"))
    for path in (layout.at_rest, layout.simulated):
        logging.info("%s written", path)
