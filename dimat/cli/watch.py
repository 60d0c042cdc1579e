"""The command `dimat watch`: how far a study has come, in the terminal."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Results, open_study, real
from dimat.errors import InputError

if TYPE_CHECKING:
    from rich.console import Group

    from dimat.experiment.progress import Standing

commands = typer.Typer()
Watched = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG", help="Configuration file, or a study's folder of results.", show_default=False
    ),
]
Once = Annotated[bool, typer.Option("--once", help="Print once and end.")]
Every = Annotated[float, real("Look again after so many seconds.", 0.1)]
WIDTH = 120
"""Columns where there is no terminal."""


@commands.command("watch")
def watch_study(
    config: Watched, results: Results = DEFAULT_RESULTS, once: Once = False, every: Every = 2.0
) -> None:
    """Show how far a study has come: what is done and begun, the time left, and scores so far.

    It reads the files that are there, locks and writes nothing, and so works beside snakemake and sweeps, and
    after they were killed. It ends when all runs are done, or with Ctrl-C.
    """
    from rich.console import Console
    from rich.live import Live

    from dimat.experiment.progress import Observer

    if config.is_dir():
        if not (config / "study.json").is_file():
            raise InputError(
                f"{config}: holds no study.json; expected a configuration file, or a folder of results that "
                "snakemake made"
            )
        config, results = config / "study.json", config.parent
    study, layout = open_study(config, results)
    observer = Observer(study, layout)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    if once:
        console.print(drawn(study.name, observer.look()))
        return
    standing = observer.look()
    try:
        with Live(drawn(study.name, standing), console=console, auto_refresh=False) as live:
            while not standing.complete:
                time.sleep(every)
                standing = observer.look()
                live.update(drawn(study.name, standing), refresh=True)
    except KeyboardInterrupt:
        return


def drawn(name: str, standing: "Standing") -> "Group":
    """What is shown of a study."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    from dimat.experiment.sweep import in_words

    steps = Table("step")
    for column in ("done", "begun", "of"):
        steps.add_column(column, justify="right")
    for step in standing.steps:
        steps.add_row(step.name, str(step.done), str(step.begun), str(step.jobs))
    parts: list[Table | str] = [escape(title_of(name, standing)), steps]
    if standing.begun:
        begun = Table()
        begun.add_column("begun", no_wrap=True)
        begun.add_column("last line")
        begun.add_column("heard of", no_wrap=True)
        for job in standing.begun:
            begun.add_row(escape(job.name), escape(job.said), f"{in_words(job.quiet)} ago")
        parts.append(begun)
    if any(score.values for score in standing.scores):
        metrics = dict.fromkeys(score.metric.title for score in standing.scores)
        parts.append(escape(f"{', '.join(metrics)}: mean over agents, then mean ± deviation over seeds"))
        scores = Table("setting", "after the last merge", "seeds")
        for score in standing.scores:
            scores.add_row(escape(score.label), score.words, f"{len(score.values)} of {score.of}")
        parts.append(scores)
    if standing.unreadable:
        parts.append(escape(f"cannot be read: {', '.join(standing.unreadable)}"))
    return Group(*parts)


def title_of(name: str, standing: "Standing") -> str:
    """One line: all done, or how long it will take."""
    from dimat.experiment.sweep import in_words

    if standing.seconds is None:
        return f"{name}: all runs are done"
    running = sum(job.runs for job in standing.begun)
    working = f"{running} running" if running else "nothing runs"
    return f"{name}: {working}, about {in_words(standing.seconds)} left"
