"""The page of benchmarks, made from the tables that `dimat bench ... --output` writes."""

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dimat.errors import InputError

Row = Mapping[str, str]

INTRODUCTION = """\
# Benchmarks

This page is made by `dimat bench page benchmarks/records/*.csv > docs/benchmarks.md` from tables that
`dimat bench` wrote with `--output`; nothing on it is typed. Above each table stand setting and machine.
"""

ABOUT = {
    "merge": """\
What a merge costs. The limit is one pass of every network to recalibrate it, one to look at its features,
and one to recalibrate the merged network (*bare passes*, in float32); `ratio` is to that. With 2 passes,
features and statistics of normalization come from one pass. The *reference* is straightforward: every
neighbour is passed through anew for every agent. Memory is what the process grows by; it does not depend on
the number of images, and neither do assignments, averages and diagnostics: the fewer images, the more these
weigh.""",
    "train": """\
What training costs. The *plain loop* is a tutorial's: a DataLoader, float32 and transforms for each image.
*Bare steps* are forward, backward and optimizer on a batch in memory; what `networks`, which is what
studies run on a CPU, takes beyond them is its data path. `recorded`, what they run on a GPU, replays steps as
CUDA graphs. `vmap` trains all networks at once.""",
    "agents": """\
Memory of many agents in one program, over that of their parameters: gradients, Adam's two moments and
merged networks are among it. `slope` is the same for the agents that a line has beyond those of the line
before.""",
    "precision": """\
Whether merges in low precision match alike. Networks are trained apart and matched in float64, float32 and
bfloat16. `same` is the share of channels assigned as in float64; `objective lost` how much of the
mean correlation, measured in float64, the assignment gives away; `accuracy` that of the merged networks.""",
    "networks": """\
Networks that others wrote, with random weights: whether their permutation symmetry is found. All groups of
channels are permuted at random. `error` is the greatest change of an output over the greatest output, in
double precision: round-off, if the symmetry is one. `share` is that of the parameters which can move,
`heads` counts attention layers whose heads can be exchanged, and `unknown` operations without a rule, around
which channels stay.""",
}
"""What stands above the tables of each command."""

SETTING = {
    "merge": ("model", "graph", "agents", "images", "size", "batch"),
    "train": ("model", "images", "size", "batch", "deterministic"),
    "agents": ("rounds",),
    "precision": ("model", "data", "agents", "images", "epochs"),
    "networks": ("source",),
}
"""What is said before a table: columns that are the same in its rows."""

Column = tuple[str, str, Callable[[str], str]]


def number(places: int) -> Callable[[str], str]:
    """How a number is written with so many decimals; nothing for what was not measured."""
    return lambda text: f"{float(text):.{places}f}" if text else ""


def mebibytes(text: str) -> str:
    """Bytes, in MiB."""
    return f"{int(text) / 2**20:.1f}"


COLUMNS: dict[str, tuple[Column, ...]] = {
    "merge": (
        ("method", "method", str),
        ("seconds", "seconds", number(2)),
        ("ratio", "ratio", number(2)),
        ("mebibytes", "MiB", number(0)),
    ),
    "train": (
        ("agents", "agents", str),
        ("precision", "precision", str),
        ("method", "method", str),
        ("images_per_second", "images/s", number(0)),
        ("to_plain", "to plain loop", number(2)),
        ("to_bare", "to bare step", number(2)),
    ),
    "agents": (
        ("agents", "agents", str),
        ("parameters", "parameters, MiB", mebibytes),
        ("peak", "peak, MiB", mebibytes),
        ("ratio", "ratio", number(2)),
        ("slope", "slope", number(2)),
    ),
    "precision": (
        ("precision", "precision", str),
        ("same", "same", number(4)),
        ("lost", "objective lost", number(6)),
        ("accuracy", "accuracy", number(4)),
    ),
    "networks": (
        ("network", "network", str),
        ("size", "image", str),
        ("groups", "groups", str),
        ("attention", "heads", str),
        ("share", "share", number(3)),
        ("error", "error", lambda text: f"{float(text):.0e}"),
        ("unknown", "unknown", str),
        ("problem", "problem", str),
    ),
}


def page(paths: Iterable[Path]) -> str:
    """The whole page: a section for each command, a table for each setting of it."""
    tables = [read(path) for path in paths]
    sections = [INTRODUCTION]
    for command, about in ABOUT.items():
        own = [rows for rows in tables if rows[0]["command"] == command]
        if own:
            sections.append(f"## `dimat bench {command}`\n\n{about}\n")
        for rows in own:
            settings = dict.fromkeys(tuple(row[key] for key in SETTING[command]) for row in rows)
            for setting in settings:
                sections.append(
                    table(
                        command,
                        [row for row in rows if tuple(row[key] for key in SETTING[command]) == setting],
                    )
                )
    return "\n".join(sections)


def read(path: Path) -> list[Row]:
    """The rows of a table; `InputError` for a file that `dimat bench` did not write."""
    try:
        with path.open(newline="") as file:
            rows: list[Row] = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {error}; expected a table of `dimat bench ... --output`") from None
    for row in rows[:1]:
        needed = {"machine", *SETTING[row["command"]]} if row.get("command") in ABOUT else {"command"}
        if needed <= row.keys():
            return rows
    raise InputError(f"{path}: no table of `dimat bench`; expected one that --output wrote")


def table(command: str, rows: list[Row]) -> str:
    """One table in Markdown, with its setting and the machine before it."""
    first = rows[0]
    setting = ", ".join(f"{key} {first[key]}" for key in SETTING[command])
    lines = [[title for _, title, _ in COLUMNS[command]], ["---"] * len(COLUMNS[command])]
    lines += [[shown(row[key]) for key, _, shown in COLUMNS[command]] for row in rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    about = [first["machine"], first["made_by"], first["date"], first.get("note")]
    return f"{setting}: {', '.join(filter(None, about))}.\n\n{text}\n"
