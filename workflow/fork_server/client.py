#!/usr/bin/env -S python3 -S -E
"""`dimat`, in a process that server.py forks; as usual where that is not possible."""

import json
import os
import signal
import socket
import struct
import sys
from typing import NoReturn

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def as_usual() -> NoReturn:
    """Become the next `dimat` on the path."""
    here = os.path.dirname(os.path.abspath(__file__))
    folders = os.environ["PATH"].split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(folder for folder in folders if os.path.abspath(folder) != here)
    os.execvp("dimat", ["dimat", *sys.argv[1:]])


def asked() -> socket.socket | None:
    """The connection to a server that has started this command; none if it cannot."""
    # One of another job of Slurm has other limits; libraries ask how many threads they have when imported.
    own = ":".join(os.environ.get(name, "") for name in ("SLURM_JOB_ID", "OMP_NUM_THREADS"))
    if own != os.environ.get("DIMAT_FORK_SERVER"):
        return None
    request = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "ignored": [number for number in FORWARDED if signal.getsignal(number) is signal.SIG_IGN],
    }
    try:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.connect(os.environ["DIMAT_FORK_SOCKET"])
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        return server if server.recv(8) else None
    except OSError:
        return None


def main() -> NoReturn:
    """Have the command run, and end as it ends."""
    server = asked()
    if server is None:
        as_usual()
    for number in FORWARDED:
        # As `dimat` itself: what nohup ignores stays ignored; what Snakemake does for SIGUSR1 is its own.
        if signal.getsignal(number) is not signal.SIG_IGN or number not in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda number, _: server.send(bytes([number])))
    answer = server.recv(8)
    if not answer:
        sys.exit("dimat: the server of processes is gone")
    (status,) = struct.unpack("i", answer)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) in FORWARDED:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


main()
