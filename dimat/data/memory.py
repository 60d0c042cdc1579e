"""How much memory this process may use."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path


def memory_limit(process: Path = Path("/proc/self"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes: the machine's memory, or what a container, a job's control group or ``ulimit`` leaves of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    own = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min([machine, *(limit for limit in own if limit > 0), *_of_groups(process, groups)])


def _of_groups(process: Path, groups: Path) -> Iterator[int]:
    """The limits of the process's control groups, version 1 and 2, and of all that hold these.

    In a container the own group may be mounted at the root, under a name that only its host knows.
    """
    try:
        lines = (process / "cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            roots, name = (groups, groups / "unified"), "memory.max"
        elif "memory" in controllers.split(","):
            roots, name = (groups / "memory", groups / controllers), "memory.limit_in_bytes"
        else:
            continue
        for root in roots:
            place = root / group.lstrip("/")
            for folder in (place, *place.parents):
                if folder == root or root in folder.parents:
                    yield from _number(folder / name)


def _number(path: Path) -> Iterator[int]:
    try:
        text = path.read_text().strip()
    except OSError:
        return
    if text.isdigit():  # "max" is no limit
        yield int(text)
