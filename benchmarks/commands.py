"""Commands of the benchmarks."""

import csv
import io
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dimat import files
from dimat.errors import InputError

if TYPE_CHECKING:
    from benchmarks.merge import Row

commands = typer.Typer()
bench = typer.Typer(help="Measure how long steps take on this machine.", no_args_is_help=True)
commands.add_typer(bench, name="bench")


@bench.callback()
def group() -> None:
    """Measure how long steps take on this machine."""


@bench.command()
def merge(
    model: Annotated[
        list[str] | None, typer.Option(help="resnet20 or vgg16; repeatable. Default: resnet20.")
    ] = None,
    graph: Annotated[
        list[str] | None, typer.Option(help="ring or complete; repeatable. Default: ring.")
    ] = None,
    agents: Annotated[list[int] | None, typer.Option(help="Repeatable. Default: 5.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Default to resnet20 and vgg16, ring and complete, 5 and 20.")
    ] = False,
    images: Annotated[int, typer.Option(help="Number of images, random ones.")] = 2000,
    size: Annotated[int, typer.Option(help="Height and width of an image.")] = 32,
    batch: Annotated[int, typer.Option(help="Images per batch.")] = 100,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 2,
    repeats: Annotated[int, typer.Option(help="Times are the least of so many.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto is a GPU if there is one.")] = "auto",
    reference: Annotated[bool, typer.Option(help="Also measure the naive reference, once.")] = True,
    output: Annotated[Path | None, typer.Option(help="CSV file to write the table to as well.")] = None,
) -> None:
    """Time and memory of one merge of all agents, next to its bare passes over the images.

    A merge recalibrates N networks, looks at their features and recalibrates the N merged networks. Bare
    passes are these 3 N passes over the same images and batches and nothing else, so that `ratio` (seconds
    over theirs) says what exchange, statistics, matching and averaging cost. `merge` is the default of
    configurations; with 2 passes, statistics of normalization and of features are taken in one. The
    reference re-runs every neighbour for every agent, N (2 d + 3) passes with d neighbours. MiB is by how
    much memory grows at most. It takes a few minutes; --all takes hours, most of it for the reference.
    """
    from benchmarks.merge import GRAPHS, MODELS, Case, measure
    from dimat.driver import choose_device

    models = model or (list(MODELS) if every else ["resnet20"])
    graphs = graph or (list(GRAPHS) if every else ["ring"])
    numbers = agents or ([5, 20] if every else [5])
    one_of("model", models, list(MODELS))
    one_of("graph", graphs, list(GRAPHS))
    one_of("device", [device], ["auto", "cpu", "cuda"])
    at_least("agents", min(numbers), 3)
    at_least("images", images, 2 * max(numbers))
    at_least("size", size, 32 if "vgg16" in models else 8)
    at_least("batch", batch, 2)
    at_least("threads", threads, 1)
    at_least("repeats", repeats, 1)
    if output is not None and output.is_dir():
        raise InputError(f"--output: {output} is a folder; valid is a file")

    found = choose_device(device).type
    cases = [
        Case(kind, links, number, images, size, batch, threads, found)
        for kind in models
        for links in graphs
        for number in numbers
    ]
    rows: list[Row] = []
    typer.echo(f"{'model':9} {'graph':9} {'agents':>6}  {'method':16} {'seconds':>8} {'ratio':>6} {'MiB':>7}")
    for case in cases:
        logging.info("%s, %s of %d agents", case.model, case.graph, case.agents)
        for row in measure(case, repeats, reference):
            rows.append(row)
            typer.echo(
                f"{case.model:9} {case.graph:9} {case.agents:6}  {row.method:16} "
                f"{row.seconds:8.2f} {row.ratio:6.2f} {row.mebibytes:7.0f}"
            )
    if output is not None:
        files.write(output, as_csv(rows).encode())


def one_of(option: str, names: list[str], valid: list[str]) -> None:
    """`InputError` for the first name that is not valid."""
    for name in names:
        if name not in valid:
            raise InputError(f"--{option}: {name!r} is not valid; valid: {', '.join(valid)}")


def at_least(option: str, value: int, least: int) -> None:
    """`InputError` for a value that is too small."""
    if value < least:
        raise InputError(f"--{option}: {value} is not valid here; valid is {least} or more")


def as_csv(rows: list["Row"]) -> str:
    """All rows with their cases, one a line, below a header."""
    text = io.StringIO()
    lines = [asdict(row) for row in rows]
    lines = [line.pop("case") | line for line in lines]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
