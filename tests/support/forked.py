"""Programs in processes of their own that need not import anything again, as this one has."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import traceback


def forked(main, arguments, folder):
    """Run ``main`` as the program that ``arguments`` (its name first) would start in ``folder``."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if not process:
            become(arguments, folder, out, err)
            end(main)
        _, status = os.waitpid(process, 0)
        streams = []
        for stream in (out, err):
            stream.seek(0)
            streams.append(stream.read().decode())
    return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), *streams)


def become(arguments, folder, out, err):
    """Make this process what was asked for, not one that tests anything."""
    gc.freeze()  # a collection would copy all that was imported
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for place, stream in ((1, out), (2, err)):
        os.dup2(stream.fileno(), place)
    sys.stdout, sys.stderr = (open(place, "w", 1, closefd=False) for place in (1, 2))  # noqa: SIM115
    sys.argv = list(arguments)
    os.chdir(folder)


def end(main):
    """Run ``main`` and end without what this process would do at its own end."""
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
