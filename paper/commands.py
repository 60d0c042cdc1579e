"""Commands of the paper."""

import typer

commands = typer.Typer()
