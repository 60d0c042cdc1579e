"""Starts `dimat` commands without their imports: it has imported what they need, and forks one for each.

Most steps of a study compute for less time than `import torch` takes. Snakemake starts this beside itself;
the `dimat` in this folder (client.py), which its jobs find first, asks here for a process with its own
arguments, environment, working directory and streams, passes signals on to it, and ends as it ends. Where
that is not possible, it starts `dimat` as usual.

    python server.py SOCKET    # until its standard input is closed
"""

import atexit
import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import NamedTuple, NoReturn

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Signals that a client passes on; those that reach this process itself, as of its group, are not for it."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that a process gets when its parent ends."""
PATIENCE = 5.0
"""Seconds after which a client that has connected must have asked for something."""


class Job(NamedTuple):
    """A process and the connection of whoever asked for it."""

    process: int
    handle: int
    client: socket.socket


def serve(path: Path) -> None:
    """Fork a process for each request, until standard input is closed and all have ended."""
    for number in PASSED_ON:
        signal.signal(number, lambda *_: None)
    listener = listening(path)
    import_commands()  # whoever asks meanwhile waits as long as its own imports would take
    gc.freeze()  # a collection in each process would copy all of it
    events = selectors.DefaultSelector()
    events.register(listener, selectors.EVENT_READ)
    events.register(sys.stdin, selectors.EVENT_READ)
    jobs: dict[int, Job] = {}
    while jobs or events.get_map():
        for key, _ in events.select():
            if key.fileobj is listener:
                begin(listener, events, jobs)
            elif key.fileobj is sys.stdin:
                if not os.read(sys.stdin.fileno(), 1):
                    events.unregister(sys.stdin)
                    events.unregister(listener)
                    listener.close()
                    path.unlink(missing_ok=True)
            elif key.data.process not in jobs:
                pass  # its end was seen a moment ago
            elif key.fileobj is key.data.client:
                pass_on(key.data)
            else:
                end(jobs.pop(key.data.process), events)


def begin(listener: socket.socket, events: selectors.BaseSelector, jobs: dict[int, Job]) -> None:
    """Fork a process for a new client."""
    client, content, streams = asked(listener)
    if not content:  # it is gone already
        client.close()
        return
    server, process = os.getpid(), os.fork()
    if not process:
        die_with(server)
        events.close()
        for inherited in (listener, client, *(job.client for job in jobs.values())):
            inherited.close()
        become(json.loads(content), streams)
        run()
    for stream in streams:
        os.close(stream)
    job = jobs[process] = Job(process, os.pidfd_open(process), client)
    tell(client, b"begun")
    events.register(job.handle, selectors.EVENT_READ, job)
    events.register(client, selectors.EVENT_READ, job)


def end(job: Job, events: selectors.BaseSelector) -> None:
    """Tell a client how its process ended."""
    _, status = os.waitpid(job.process, 0)
    events.unregister(job.handle)
    events.unregister(job.client)
    os.close(job.handle)
    tell(job.client, struct.pack("i", status))
    job.client.close()


def listening(path: Path) -> socket.socket:
    """A socket that this user alone may connect to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path.unlink(missing_ok=True)
    before = os.umask(0o077)
    listener.bind(str(path))
    os.umask(before)
    listener.listen(128)
    return listener


def asked(listener: socket.socket) -> tuple[socket.socket, bytes, list[int]]:
    """A new client, what it asks for, and its streams; nothing if it does not ask in time."""
    client, _ = listener.accept()
    client.settimeout(PATIENCE)
    try:
        content, streams, _, _ = socket.recv_fds(client, 2**20, 3)
    except OSError:
        return client, b"", []
    return client, content, streams


def import_commands() -> None:
    """Import what commands need: nothing that starts threads or looks for a GPU, as these survive no fork."""
    from importlib import import_module
    from importlib.metadata import entry_points

    import_module("dimat.cli.main")
    for plugin in entry_points(group="dimat.commands"):
        plugin.load()
    for name in ("torch.func", "pandas", "paper.panels"):  # which some commands import when they are called
        import_module(name)


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that ends: nobody else would pass signals on."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def become(request: dict, streams: list[int]) -> None:
    """Make this process the one that was asked for."""
    os.setsid()  # signals of a terminal reach it through its client alone
    for number in PASSED_ON:
        ignored = number in request["ignored"]
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    if signal.SIGINT not in request["ignored"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, (name, stream) in enumerate(zip(("stdin", "stdout", "stderr"), streams, strict=True)):
        os.dup2(stream, place)
        os.close(stream)
        # What Python opened at its start may have been a file, and this a pipe.
        at_once = place == 2 or os.isatty(place)
        setattr(sys, name, open(place, "w" if place else "r", 1 if at_once else -1, closefd=False))  # noqa: SIM115
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["dimat", *request["arguments"]]


def pass_on(job: Job) -> None:
    """Pass signals on to a job; one whose client was killed is killed as well."""
    for number in job.client.recv(64) or [signal.SIGKILL]:
        os.kill(job.process, number)  # it is not waited for yet, so this is no other process


def tell(client: socket.socket, message: bytes) -> None:
    """Send something to a client, if it is still there."""
    with contextlib.suppress(OSError):
        client.send(message)


def run() -> NoReturn:
    """Run the command of `sys.argv`, and end as it ends.

    What was imported is not taken apart at the end, as Python would: that writes to every page of memory,
    which is copied then, and takes ten times as long as most commands. `multiprocessing` ends alike.
    """
    from dimat.cli.main import main

    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # as Python does with what nobody caught
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
