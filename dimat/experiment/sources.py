"""What a start, a choice or a run was made from: each file says it by content, compared at every use.

Ids say which experiment a file belongs to; images, and networks trained on them, can change under an id.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dimat.errors import InputError
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Pretrained, Run
from dimat.io.files import checksum_in, read_about, read_json


def sources_of(experiment: Pretrained, layout: Layout) -> dict[str, str]:
    """SHA-256 of the images, the partition, and for a run of the start and the tuned learning rate.

    A source that is not there is left out.
    """
    paths = {
        "data": layout.prepared(experiment.partitioned.prepared.id),
        "partition": layout.partitioned(experiment.partitioned.id),
    }
    if isinstance(experiment, Run):
        paths["start"] = layout.pretrained(experiment.pretrained.id)
        if experiment.tuned is not None:
            paths["choice"] = layout.tuned(experiment.tuned.id)
    found: dict[str, str] = {}
    for kind, path in paths.items():
        if path.exists():
            about = path.stat()
            found[kind] = _content(kind, path.absolute(), about.st_ino, about.st_mtime_ns)
    return found


@cache
def _content(kind: str, path: Path, *of_file: int) -> str:
    del of_file  # another file of this name is read again
    if path.suffix == ".json":
        return checksum_in(path)
    key = {"data": "fingerprint", "start": "networks"}[kind]
    try:
        return str(read_about(path)[key])
    except (KeyError, TypeError):
        raise InputError(f"{path}: holds no {kind} of a study; delete it and run again") from None


def check_sources(path: Path, recorded: object, found: Mapping[str, str]) -> None:
    """`InputError` if what ``path`` was made from, as ``recorded``, is there and another one now."""
    if not isinstance(recorded, Mapping):
        raise InputError(f"{path}: does not say what it was made from; delete it and run again")
    for kind, sha256 in found.items():
        if recorded.get(kind) != sha256:
            raise InputError(
                f"{path}: was made from another {kind} than there is now "
                f"(SHA-256 {str(recorded.get(kind))[:12]}, now {sha256[:12]}); delete it and run again"
            )


def read_made(run: Run, layout: Layout) -> dict[str, Any]:
    """What made a run, as its ``run.json`` says it, checked to be this run's and made from what there is."""
    path = layout.run_provenance(run.id)
    made = read_json(path)
    if made.get("run") != run.id or made.get("experiment") != run.model_dump(mode="json"):
        raise InputError(f"{path}: describes another run, {made.get('run')}; delete it and run again")
    check_sources(path, made.get("made_from"), sources_of(run, layout))
    return made
