"""Several studies at once: the files of a folder, and which of them has what studies share."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.reading import read_study

SharedKind = Literal["prepared", "partitioned", "pretrained", "tuned", "runs", "policies"]
"""What studies share, as the attributes of `Study` that list it."""


def study_files(path: Path) -> list[Path]:
    """The configurations that a path means: a file, or all of a folder in the order of their names."""
    if not path.is_dir():
        return [path]
    if not (files := sorted(path.glob("*.yaml"))):
        raise InputError(f"{path}: holds no configuration; expected files NAME.yaml")
    return files


def read_studies(paths: Iterable[Path]) -> list[Study]:
    """The studies of files and folders; no two may have one folder of results."""
    found: dict[str, tuple[Study, Path]] = {}
    for file in (file for path in paths for file in study_files(path)):
        study = read_study(file)
        if study.name in found:
            raise InputError(
                f"{file}: name: {study.name!r} is that of {found[study.name][1]}; expected another"
            )
        found[study.name] = study, file
    return [study for study, _ in found.values()]


def name_in_catalogue(file: Path) -> str:
    """The name of the study in a file of a catalogue: that of its folder and its own."""
    return f"{file.parent.name}-{file.stem}".lower()


class Catalogue:
    """Studies by name: the one ``given``, and those of ``folders``, each read when it is first asked for.

    A pipeline so plans what it makes and no more. Files of folders are named as `name_in_catalogue` says.
    """

    def __init__(self, given: Study, folders: Iterable[Path]) -> None:
        self._files = {name_in_catalogue(file): file for folder in folders for file in study_files(folder)}
        self._files.pop(given.name, None)  # the user's own of this name
        self._studies = {given.name: given}
        self._used: dict[str, Study] = {}
        self._holders: dict[tuple[SharedKind, str], Study] = {}
        self.names = (given.name, *self._files)
        """All that can be asked for, in order."""

    @property
    def used(self) -> Mapping[str, Study]:
        """Those that were asked for, or hold what was."""
        return self._used

    def __getitem__(self, name: str) -> Study:
        return self._used.setdefault(name, self._read(name))

    def _read(self, name: str) -> Study:
        if name not in self._studies:
            study = read_study(file := self._files[name])
            if study.name != name:
                raise InputError(f"{file}: name: {study.name!r} is not valid: expected {name!r}")
            self._studies[name] = study
        return self._studies[name]

    def of_folder(self, folder: Path) -> list[Study]:
        """All studies of one of the folders."""
        return [self[name_in_catalogue(file)] for file in study_files(folder)]

    def holder(self, kind: SharedKind, id: str) -> Study:
        """The first study that has something; the same whatever else was asked for before.

        It alone decides how that is made: on which device, with how many threads, in one program or in ranks,
        and what is kept. None of this is in an id: what is there, checkpoints too, another study takes as it
        is, and a file says what made it.
        Jobs of a cluster ask by themselves, and must find what the pipeline found. KeyError if none has it.
        """
        if (kind, id) not in self._holders:
            holders = (name for name in self.names if id in getattr(self._read(name), kind))
            if (found := next(holders, None)) is None:
                raise KeyError(f"{kind} {id} of {', '.join(self.names)}")
            self._holders[kind, id] = self[found]
        return self._holders[kind, id]
