"""The commands `dimat archive` and `dimat unpack`: the records of studies in one file, and back."""

from pathlib import Path
from typing import Annotated

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Configs, Results
from dimat.errors import InputError

commands = typer.Typer()
Output = Annotated[Path, typer.Option("--output", "-o", help="The archive, NAME.tar.xz.", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="Pack what is done of unfinished studies, too.")]
Archives = Annotated[list[Path], typer.Argument(help="Files that dimat archive made.", show_default=False)]


@commands.command("archive")
def archive_studies(
    paths: Configs, output: Output, results: Results = DEFAULT_RESULTS, everything: Everything = False
) -> None:
    """Pack finished studies: all that is needed to draw and judge them anew, without training.

    In it are the records of runs and trials, what made them, partitions, choices, measured first merges, the
    audit, and the checksums of data and starts; no images and no networks. With --all also the runs of
    studies that are not finished, and the starts that their other runs need, so that they can go on elsewhere
    (dimat sweep). The same records give the same bytes.
    """
    from dimat.experiment.archive import pack
    from dimat.experiment.catalogue import read_studies
    from dimat.io.files import write

    if not output.name.endswith(".tar.xz"):
        raise InputError(f"--output: {str(output)!r}; expected a name that ends in .tar.xz")
    packed, held = pack(read_studies(paths), results, everything)
    write(output, packed)
    for each in held:
        said = "" if each.packed else ", left out as it is not finished"
        if each.packed and each.measured < each.matched:
            said += f", first merges measured of {each.measured} of {each.matched} starts (dimat holonomy)"
        typer.echo(f"{each.study}: {each.there} of {each.runs} runs{said}")
    typer.echo(f"{output}: {len(packed) / 1e6:.2f} MB")


@commands.command("unpack")
def unpack_archives(paths: Archives, results: Results = DEFAULT_RESULTS) -> None:
    """Unpack what dimat archive packed into --results; no file that is there is overwritten by another."""
    from dimat.experiment.archive import unpack

    for path in paths:
        new, there = unpack(path, results)
        typer.echo(f"{path}: {new} files unpacked into {results}, {there} were there")
