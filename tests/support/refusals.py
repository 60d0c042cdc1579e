"""Whether a damaged file is refused in one line."""

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from dimat.cli import main as cli


def run(monkeypatch, *arguments):
    """Exit code, output and errors of a command in this process; a traceback of its own fails the test."""
    monkeypatch.setattr("sys.argv", ["dimat", *map(str, arguments)])
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0, out.getvalue(), err.getvalue()


def refused(code, err):
    """Whether a command ended with one line about a mistake."""
    if code == 0:
        return False
    lines = [line for line in err.splitlines() if "error" in line]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("dimat: error: "), err
    return True
