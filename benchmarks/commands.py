"""Commands of the benchmarks."""

import csv
import io
import logging
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dimat.cli.arguments import whole
from dimat.errors import InputError
from dimat.experiment.provenance import made_by
from dimat.io import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks import agents as many
    from benchmarks import merge as merging
    from benchmarks import networks as others
    from benchmarks import precision as low_precision
    from benchmarks import train as training

    BenchmarkRow = (
        merging.MergeRow
        | training.TrainingRow
        | many.AgentsRow
        | low_precision.PrecisionRow
        | others.NetworkRow
    )

MOST = 10**6
"""Of whatever is counted here."""
Threads = Annotated[int, whole("Threads of torch.", 0, MOST)]
Repeats = Annotated[int, whole("Times are the least of so many.", 0, MOST)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; auto is a GPU if there is one.")]
Output = Annotated[Path | None, typer.Option(help="CSV file to write the table to as well.")]
Note = Annotated[str, typer.Option(help="What else is to be known of the machine, for the table.")]

commands = typer.Typer()
bench = typer.Typer(help="Measure how long steps take on this machine.")
commands.add_typer(bench, name="bench")


@bench.callback()
def group() -> None:
    """Measure how long steps take on this machine."""


@bench.command()
def merge(
    model: Annotated[
        list[str] | None, typer.Option(help="resnet20, resnet20x8 or vgg16; repeatable. Default: resnet20.")
    ] = None,
    graph: Annotated[
        list[str] | None, typer.Option(help="ring or complete; repeatable. Default: ring.")
    ] = None,
    agents: Annotated[list[int] | None, whole("Repeatable. Default: 5.", 0, MOST)] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Default to resnet20 and vgg16, ring and complete, 5 and 20.")
    ] = False,
    images: Annotated[int, whole("Number of images, random ones.", 0, MOST)] = 2000,
    size: Annotated[int, whole("Height and width of an image.", 0, MOST)] = 32,
    batch: Annotated[int, whole("Images per batch.", 0, MOST)] = 100,
    threads: Threads = 2,
    repeats: Repeats = 1,
    device: Device = "auto",
    low: Annotated[bool, typer.Option("--bfloat16", help="Also measure merges in bfloat16.")] = False,
    reference: Annotated[bool, typer.Option(help="Also measure the naive reference, once.")] = True,
    output: Output = None,
    note: Note = "",
) -> None:
    """Time and memory of one merge of all agents, next to its bare passes over the images.

    A merge recalibrates N networks, looks at their features and recalibrates the N merged networks. Bare
    passes are these 3 N passes over the same images and batches and nothing else, so that `ratio` (seconds
    over theirs) says what exchange, statistics, matching and averaging cost. `merge` is the default of
    configurations; with 2 passes, statistics of normalization and of features are taken in one. Bare passes
    are in float32, merges with --bfloat16 in low precision as well. The
    reference re-runs every neighbour for every agent, N (2 d + 3) passes with d neighbours. MiB is by how
    much memory grows at most. It takes a few minutes; --all takes hours, most of it for the reference.
    """
    from benchmarks.merge import GRAPHS, MODELS, MergeCase, measure

    models = model or (list(MODELS) if every else ["resnet20"])
    graphs = graph or (list(GRAPHS) if every else ["ring"])
    numbers = agents or ([5, 20] if every else [5])
    one_of("model", models, list(MODELS))
    one_of("graph", graphs, list(GRAPHS))
    at_least("agents", min(numbers), 3)
    at_least("images", images, 2 * max(numbers))
    at_least("size", size, 32 if "vgg16" in models else 8)
    at_least("batch", batch, 2)
    at_least("repeats", repeats, 1)
    found = checked(threads, device, output)
    cases = [
        MergeCase(kind, links, number, images, size, batch, threads, found)
        for kind in models
        for links in graphs
        for number in numbers
    ]
    rows: list[merging.MergeRow] = []
    typer.echo(f"{'model':9} {'graph':9} {'agents':>6}  {'method':18} {'seconds':>8} {'ratio':>6} {'MiB':>7}")
    for case in cases:
        logging.info("%s, %s of %d agents", case.model, case.graph, case.agents)
        for row in measure(case, repeats, low, reference):
            rows.append(row)
            typer.echo(
                f"{case.model:9} {case.graph:9} {case.agents:6}  {row.method:18} "
                f"{row.seconds:8.2f} {row.ratio:6.2f} {row.mebibytes:7.0f}"
            )
    save("merge", output, found, rows, note)


@bench.command()
def train(
    model: Annotated[
        list[str] | None, typer.Option(help="resnet20, resnet20x8 or plain; repeatable. Default: resnet20.")
    ] = None,
    agents: Annotated[list[int] | None, whole("Repeatable. Default: 1 and 5.", 0, MOST)] = None,
    images: Annotated[
        int, whole("Number of images of all agents, random ones; whole batches of each.", 0, MOST)
    ] = 2000,
    size: Annotated[int, whole("Height and width of an image.", 0, MOST)] = 32,
    batch: Annotated[int, whole("Images per batch.", 0, MOST)] = 100,
    threads: Threads = 2,
    repeats: Repeats = 3,
    device: Device = "auto",
    cpu_time: Annotated[
        bool,
        typer.Option("--cpu-time", help="Count seconds of the CPU: for busy machines, with --threads 1."),
    ] = False,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic/--fastest",
            help="On a GPU, algorithms that give the same bits each time, or whichever are fastest.",
        ),
    ] = True,
    output: Output = None,
    note: Note = "",
) -> None:
    """Images per second of one epoch of all agents, next to a plain loop and to bare steps.

    The plain loop is a tutorial's: a DataLoader, torchvision's transforms, float32, agents one after another.
    A bare step is forward, backward and optimizer on a batch that is ready in memory, so that 1 - `/ bare` of
    `networks` is what their data path costs: they are what a study runs, with flips and crops. With several
    agents, `vmap` trains all networks in one step (float32 only), and `streams`, on a GPU, gives each agent a
    stream of its own; both give the networks that `networks` gives. On a GPU, `recorded` replays steps as
    CUDA graphs, as studies do by default. `/ plain` is speed over that of the plain loop. It takes a few
    minutes.
    """
    from benchmarks.train import MODELS, TrainingCase, measure

    models = model or ["resnet20"]
    numbers = agents or [1, 5]
    one_of("model", models, list(MODELS))
    at_least("agents", min(numbers), 1)
    at_least("batch", batch, 2)
    at_least("images", images, batch * max(numbers))
    at_least("size", size, 8)
    at_least("repeats", repeats, 1)
    found = checked(threads, device, output)
    if cpu_time and found == "cuda":
        raise InputError("--cpu-time: says nothing about a GPU; expected --device cpu with it")

    rows: list[training.TrainingRow] = []
    typer.echo(
        f"{'model':9} {'agents':>6}  {'precision':9} {'method':10} "
        f"{'images/s':>9} {'/ plain':>8} {'/ bare':>7}"
    )
    for kind in models:
        for number in numbers:
            whole = images // (batch * number) * batch * number
            case = TrainingCase(kind, number, whole, size, batch, threads, found, cpu_time, deterministic)
            logging.info("%s, %d agents", kind, number)
            for row in measure(case, repeats):
                rows.append(row)
                typer.echo(
                    f"{kind:9} {number:6}  {row.precision:9} {row.method:10} "
                    f"{row.images_per_second:9.0f} {row.to_plain:8.2f} {row.to_bare:7.2f}"
                )
    save("train", output, found, rows, note)


@bench.command()
def agents(
    agents: Annotated[list[int] | None, whole("Repeatable. Default: 8, 16, 32, 64.", 0, MOST)] = None,
    rounds: Annotated[int, whole("Rounds of merging and training.", 0, MOST)] = 20,
    threads: Threads = 2,
    device: Device = "auto",
    output: Output = None,
    note: Note = "",
) -> None:
    """Memory of many agents in one program, over that of their parameters.

    A ring of small networks (0.9 MB) on random 16x16 images merges and trains; each number of agents has a
    process of its own. `ratio` is the peak growth of memory over the parameters of all agents, `slope`
    the same for the agents that a line has more than the line before. Parameters and merged networks are 2;
    while it trains, an agent also needs gradients and Adam's two moments. It takes a few minutes.
    """
    from benchmarks.agents import measure

    numbers = sorted(set(agents or [8, 16, 32, 64]))
    at_least("agents", min(numbers), 3)
    at_least("rounds", rounds, 1)
    found = checked(threads, device, output)

    rows: list[many.AgentsRow] = []
    typer.echo(f"{'agents':>6} {'parameters MiB':>15} {'peak MiB':>9} {'ratio':>6} {'slope':>6}")
    for number in numbers:
        row = measure(number, rounds, threads, found, rows[-1] if rows else None)
        rows.append(row)
        slope = "" if row.slope is None else f"{row.slope:.2f}"
        typer.echo(
            f"{number:6} {row.parameters / 2**20:15.1f} {row.peak / 2**20:9.1f} {row.ratio:6.2f} {slope:>6}"
        )
    save("agents", output, found, rows, note)


@bench.command()
def precision(
    model: Annotated[str, typer.Option(help="plain, resnet20 or vgg16.")] = "plain",
    data: Annotated[str, typer.Option(help="Data set: a name, name:path, or a mapping in YAML.")] = "digits",
    agents: Annotated[int, whole("On a ring.", 0, MOST)] = 5,
    images: Annotated[int, whole("Training images of all agents at most.", 0, MOST)] = 2000,
    epochs: Annotated[int, whole("Epochs that each agent trains before they merge.", 0, MOST)] = 10,
    threads: Threads = 2,
    device: Device = "auto",
    output: Output = None,
    note: Note = "",
) -> None:
    """Whether merges in float32 and bfloat16 match and end as in float64, on networks trained apart.

    `same` is the share of channels that are assigned as in float64, `lost` how much of the mean correlation,
    measured in float64, an assignment gives away. It takes a minute for the digits.
    """
    from benchmarks.precision import MODELS, PrecisionCase, measure
    from dimat.cli.merge import parsed
    from dimat.data import AnyDataSet

    one_of("model", [model], list(MODELS))
    at_least("agents", agents, 3)
    found = checked(threads, device, output)
    chosen = parsed("--data", AnyDataSet, data, {"train_limit": images})
    case = PrecisionCase(model, chosen.label(), agents, images, epochs, threads, found)
    rows = measure(case, chosen, Path("results") / "downloads")
    typer.echo(f"{'precision':9} {'same':>7} {'lost':>9} {'accuracy':>9}")
    for row in rows:
        accuracy = "" if row.accuracy is None else f"{row.accuracy:.4f}"
        typer.echo(f"{row.precision:9} {row.same:7.4f} {row.lost:9.6f} {accuracy:>9}")
    save("precision", output, found, rows, note)


@bench.command()
def networks(
    source: Annotated[str, typer.Option(help="torchvision or timm (where it is installed).")] = "torchvision",
    network: Annotated[
        list[str] | None, typer.Option(help="Repeatable. Default: one of each family.")
    ] = None,
    threads: Threads = 2,
    output: Output = None,
    note: Note = "",
) -> None:
    """Whether the symmetry of networks that others wrote is found, and how much of them can be permuted.

    Each network has random weights. All its groups are permuted at random; `error` is the greatest change of
    an output over the greatest output, in double precision. It takes a few minutes.
    """
    from benchmarks.networks import TIMM, TORCHVISION, measure

    known = {"torchvision": list(TORCHVISION), "timm": list(TIMM)}
    one_of("source", [source], list(known))
    names = network or known[source]
    one_of("network", names, known[source])
    found = checked(threads, "cpu", output)
    torch_threads(threads)
    rows: list[others.NetworkRow] = []
    typer.echo(f"{'network':30} {'groups':>6} {'heads':>5} {'share':>6} {'error':>8} {'seconds':>7}")
    for row in measure(source, names):
        rows.append(row)
        typer.echo(
            f"{row.network:30} {row.groups:6} {row.attention:5} {row.share:6.3f} {row.error:8.1e} "
            f"{row.seconds:7.1f} {row.problem}"
        )
    save("networks", output, found, rows, note)


def torch_threads(threads: int) -> None:
    """Let torch use so many threads."""
    import torch

    torch.set_num_threads(threads)


@bench.command()
def page(tables: Annotated[list[Path], typer.Argument(help="Files that --output wrote.")]) -> None:
    """Print docs/benchmarks.md: tables of other commands as a page to read."""
    from benchmarks.page import page as made

    typer.echo(made(tables), nl=False)


@bench.command()
def throughput(
    threads: Threads = 2,
    device: Device = "auto",
    repeats: Repeats = 5,
    write: Annotated[
        bool, typer.Option("--write", help="Put the result into dimat/experiment/throughput.json.")
    ] = False,
    note: Note = "",
) -> None:
    """Operations and bytes a second, and the time of a call, by which plans and estimates reckon.

    Steps and passes of some networks are timed, each dominated by something else, and the three rates fitted
    to all of them. `worst` is the factor by which the fit is off where it is worst. It takes a minute or two.
    """
    from benchmarks.throughput import measure
    from dimat.experiment.throughput import TABLE, write_device

    at_least("repeats", repeats, 1)
    found = checked(threads, device, None)
    result = measure(threads, found, repeats)
    typer.echo(f"{result.device.name}, threads {threads}: products {result.device.products:.3g} FLOP/s")
    typer.echo(f"{'work':7} {'precision':9} {'FLOP/s':>9} {'bytes/s':>9} {'seconds a call':>15} {'worst':>6}")
    for work, rates in (("steps", result.device.steps), ("passes", result.device.passes)):
        for precision, rate in rates.items():
            typer.echo(
                f"{work:7} {precision:9} {rate.flops:9.3g} {rate.bandwidth:9.3g} {rate.call:15.3g} "
                f"{result.worst[f'{work} {precision}']:6.2f}"
            )
    if write:
        command = f"dimat bench throughput --threads {threads} --device {found} --repeats {repeats} --write"
        measured = ", ".join(filter(None, [str(date.today()), note]))
        write_device(replace(result.device, measured=measured, command=command))
        logging.info("%s written", TABLE)


def checked(threads: int, device: str, output: Path | None) -> str:
    """The type of device to use; `InputError` if it, the threads or the output are not valid."""
    from dimat.experiment.devices import choose_device

    at_least("threads", threads, 1)
    one_of("device", [device], ["auto", "cpu", "cuda"])
    if output is not None and output.is_dir():
        raise InputError(f"--output: {output} is a folder; expected a file")
    return choose_device(device).type


def one_of(option: str, names: list[str], known: list[str]) -> None:
    """`InputError` for the first name that is not valid."""
    for name in names:
        if name not in known:
            raise InputError(f"--{option}: {name!r} is not one of {', '.join(known)}")


def at_least(option: str, value: int, least: int) -> None:
    """`InputError` for a value that is too small."""
    if value < least:
        raise InputError(f"--{option}: {value}; expected {least} or more")


def save(command: str, output: Path | None, device: str, rows: "Sequence[BenchmarkRow]", note: str) -> None:
    """Write the table to a file, if one is given: all rows with their cases, one a line, below a header.

    Each says what was measured, on which machine, by which version and when.
    """
    if output is None:
        return
    from benchmarks.measuring import processor

    about = {
        "command": command,
        "machine": processor(device),
        "note": note,
        "made_by": made_by("dimat", "benchmarks"),
        "date": date.today().isoformat(),  # the day where it was measured
    }
    text = io.StringIO()
    lines = [asdict(row) for row in rows]
    lines = [about | line.pop("case", {}) | line for line in lines]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    files.write(output, text.getvalue().encode())
