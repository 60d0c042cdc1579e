"""Commands of the audit."""

import typer

commands = typer.Typer()
