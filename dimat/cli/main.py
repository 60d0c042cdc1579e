"""The command line: one command for each step of the pipeline, usable without Snakemake."""

import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from dimat.agents.agents import Diverged
from dimat.cli import archive as archives
from dimat.cli import congestion, watch
from dimat.cli import merge as merge_files
from dimat.cli import sweep as whole_study
from dimat.cli.arguments import DEFAULT_RESULTS, Config, Log, Only, Results, open_study
from dimat.cli.extras import find_extras
from dimat.cli.mistakes import CLOSED_PIPE, UNWRITTEN, UsageError, complain, leave_unwritten, misused
from dimat.errors import InputError, LostAgent
from dimat.experiment import collect as collected
from dimat.experiment.interruption import EXIT_CODE, Interrupted, asked_to_leave, listen
from dimat.experiment.logs import check_installed
from dimat.experiment.reading import read_study
from dimat.experiment.runner import Runner
from dimat.experiment.runs import Identified
from dimat.experiment.schema import json_schema, reference

app = typer.Typer(
    help=(
        "DIMAT replicated: partition images among agents, train and merge their networks, record.\n\n"
        "The steps are: prepare, partition, pretrain, tune, train, collect; policy and simulate, where "
        "agents share a link; audit, holonomy and judge; then figure, table and pdf. Each but audit, which "
        "is that of all studies, takes a configuration and "
        "carries out its step for everything in it that is not done yet, or for the one id given with --only."
    ),
    add_completion=False,
    pretty_exceptions_enable=False,
)

Item = TypeVar("Item", bound=Identified)


def open_runner(config: Path, results: Path) -> Runner:
    """The runner for a configuration and its folder of results."""
    return Runner(*open_study(config, results))


def each(
    items: Mapping[str, Item],
    only: str | None,
    output: Callable[[str], Path],
    step: Callable[[Item], None],
    settle: Callable[[Item], object] | None = None,
) -> None:
    """Carry out ``step`` for the item ``only``, or for all items whose output is not there yet.

    Those that are there are `settle`d: whoever made them may have been killed before it could. One that
    diverges does not stop the others; all that did are named in the end.
    """
    if only is not None:
        step(chosen(items, only)[only])
        return
    diverged: dict[str, Diverged] = {}
    for id, item in items.items():
        if not output(id).exists():
            if asked_to_leave():
                raise Interrupted(f"asked to leave; run again to go on with {id}")
            try:
                step(item)
            except Diverged as error:
                logging.error("%s: %s", id, error)
                diverged[id] = error
            continue
        logging.info("%s: already there", output(id))
        if settle is not None:
            settle(item)
    if len(diverged) == 1:
        raise next(iter(diverged.values()))
    if diverged:
        raise Diverged(
            f"{len(diverged)} of {len(items)} diverged: {', '.join(diverged)}; expected smaller rates"
        )


def chosen(items: Mapping[str, Item], only: str | None, option: str = "--only") -> Mapping[str, Item]:
    """The item ``only``, which an ``option`` names, or all items."""
    if only is not None and only not in items:
        raise InputError(
            f"{option}: {only!r} is not in this configuration; expected one that `dimat ids CONFIG` lists"
        )
    return items if only is None else {only: items[only]}


@app.command()
def prepare(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Read, check and decode data sets."""
    runner = open_runner(config, results)
    each(runner.study.prepared, only, runner.layout.prepared, runner.prepare, runner.check_prepared)


@app.command()
def partition(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Deal training images out to agents."""
    runner = open_runner(config, results)
    each(runner.study.partitioned, only, runner.layout.partitioned, runner.partition, runner.check_partition)


@app.command()
def pretrain(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Train agents apart, before the first merge."""
    listen()
    runner = open_runner(config, results)
    each(runner.study.pretrained, only, runner.layout.pretrained, runner.pretrain, runner.settle)


@app.command()
def tune(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS) -> None:
    """Choose learning rates on held-out training images, where the configuration asks for it."""
    listen()
    runner = open_runner(config, results)
    each(runner.study.tuned, only, runner.layout.tuned, runner.tune, runner.check_choice)


@app.command()
def train(config: Config, only: Only = None, results: Results = DEFAULT_RESULTS, log: Log = None) -> None:
    """Merge and train in rounds, and record what is measured."""
    check_installed(log)
    listen()
    runner = replace(open_runner(config, results), log=log)
    each(runner.study.runs, only, runner.layout.run, runner.train, runner.settle)


@app.command()
def collect(config: Config, results: Results = DEFAULT_RESULTS) -> None:
    """Join all runs and their records into one file each, and sum up what made them."""
    collected.collect(*open_study(config, results))


@app.command()
def verify(
    config: Config,
    only: Only = None,
    rerun: Annotated[str | None, typer.Option(help="A run to train again.", show_default=False)] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Check a study from its images to its tables, or the run --only; exit code 1 if anything is wrong.

    Each file must be made from the files that are there. Partitions, choices of learning rates, collected
    files and, where keep_checkpoints kept what it needs, the last round of each run are made again and
    compared. What cannot be proved is said in the end. With --rerun one run, which may come from an archive,
    is trained again from its images, beside what is there, and all of its numbers are compared.
    """
    from dimat.experiment.verify import NOT_PROVED, verify_again, verify_run, verify_study

    runner = open_runner(config, results)
    if rerun is not None:
        findings = verify_again(runner, chosen(runner.study.runs, rerun, "--rerun")[rerun])
    elif only is None:
        findings = verify_study(runner)
    else:
        findings = verify_run(runner, chosen(runner.study.runs, only)[only])
    wrong = 0
    for what, right, found in findings:
        wrong += right is False
        typer.echo(f"{ {True: 'right', False: 'WRONG', None: 'not proved'}[right] }: {what}: {found}")
    for what in NOT_PROVED if rerun is None else ():
        typer.echo(f"not proved: {what}")
    if wrong:
        typer.echo(f"{wrong} wrong", err=True)
        raise typer.Exit(1)


@app.command()
def ids(config: Config) -> None:
    """List the ids of data sets, partitions, pretrained starts, tuned learning rates, runs and policies."""
    study = read_study(config)
    for kind in ("prepared", "partitioned", "pretrained", "tuned", "runs", "policies"):
        for id in getattr(study, kind):
            typer.echo(f"{kind.replace('ies', 'y').removesuffix('s')} {id}")


@app.command()
def schema(markdown: Annotated[bool, typer.Option(help="As a page to read.")] = False) -> None:
    """Print the configuration's JSON schema, or its documentation."""
    typer.echo(reference() if markdown else json_schema(), nl=False)


def main() -> None:
    """Entry point: a mistake becomes one line and exit code 2, `Interrupted` one and exit code 75."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is None:  # closed: nobody wants to read it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold what is no text
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    find_extras()
    own = (merge_files.commands, whole_study.commands, watch.commands, congestion.commands, archives.commands)
    for more in (*own, *(plugin.load() for plugin in entry_points(group="dimat.commands"))):
        for kind in ("registered_commands", "registered_groups"):
            known = getattr(app, kind)
            known += [new for new in getattr(more, kind) if new not in known]  # none at a second call
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False, prog_name="dimat")
        sys.stdout.flush()
        sys.exit(code or 0)
    except Interrupted as request:
        logging.info("%s", request)
        sys.exit(EXIT_CODE)
    except LostAgent as error:
        complain(error)
        sys.stderr.flush()
        os._exit(1)  # other threads may wait for the lost process for ever
    except UsageError as error:
        complain(misused(error))
        sys.exit(2)
    except InputError as error:
        complain(error)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (error.name or "dimat").startswith("dimat"):
            raise
        complain(f"{error.name} is not installed, which this needs; pip install 'dimat[pipeline,audit]'")
        sys.exit(2)
    except typer.Abort:  # Ctrl-C
        complain("interrupted; run again to go on")
        sys.exit(128 + signal.SIGINT)
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        leave_unwritten()  # typer has seen to the error
        sys.exit(CLOSED_PIPE)
    except BrokenPipeError:
        leave_unwritten()
        sys.exit(CLOSED_PIPE)
    except OSError as error:  # a full disk, a folder that is none, no permission
        name = error.filename
        if name is None and error.errno in UNWRITTEN:  # all files of ours are written by `files.write`
            name = "standard output"
            leave_unwritten()
        complain(f"{name}: {error.strerror}" if name and error.strerror else error)
        sys.exit(2)
