"""Mistakes of users as one line: what is wrong with the words of a command, and with what it writes to."""

import errno
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import typer

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What the command line's parser raises: of click, or of the copy of it that newer versions of typer hold."""
CLOSED_PIPE = 128 + signal.SIGPIPE
"""What a shell says of programs whose reader, such as `head`, has had enough."""
UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Why a stream may not be written."""


def complain(what: object) -> None:
    """One line about a mistake."""
    typer.echo(f"dimat: error: {' '.join(str(what).splitlines())}", err=True)


def leave_unwritten() -> None:
    """What is left of the standard output goes nowhere, instead of failing again at the end."""
    with suppress(OSError, ValueError):  # ValueError: a stream without a file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def misused(error: Any) -> str:
    """What is wrong with the words of a command, and what is expected, in one line."""
    context, parameter = error.ctx, getattr(error, "param", None)
    command: Any = context.command if context else None
    if parameter is not None:
        name = max(parameter.opts, key=len)
        return f"{name}: {error.message or f'missing; expected a value (see {context.command_path} --help)'}"
    if hasattr(error, "possibilities") and hasattr(error, "option_name"):
        known = [max(each.opts, key=len) for each in command.params if each.param_type_name == "option"]
        expected = f"expected one of {', '.join([*known, '--help'])}"
        return f"{error.option_name}: {context.command_path} has no such option; {expected}"
    if hasattr(error, "option_name"):
        return f"{error.option_name}: missing; expected a value after it"
    message = error.format_message().rstrip(".") or "Missing command"
    message = message[:1].lower() + message[1:]
    if hasattr(command, "commands"):
        return f"{message}; expected one of {', '.join(command.commands)}"
    return f"{message}; see {context.command_path} --help" if context else message
