"""All studies of folders: parts of those that are finished, and what the others take."""

from collections.abc import Sequence
from pathlib import Path

from dimat.errors import InputError
from dimat.experiment.archive import finished
from dimat.experiment.catalogue import read_studies, study_files
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.provenance import PROJECT
from dimat.processes import pool_of
from paper.report.entries import Entry
from paper.report.studies import Left, left_of, part_of

FULL = PROJECT / "config" / "paper"
"""The catalogue at full size, in a checkout of the project."""


class Gathered:
    """What was found of ``folders`` of studies, in so many ``processes``; the first names all.

    Of files with one name in several folders, as twins of the catalogue have, the first that is finished is
    shown: what was measured on more comes first, and what is not measured there yet is shown from elsewhere.
    ``parts`` and ``left`` are by the names of files, as is ``full``, of the catalogue at full size.
    `InputError` if no study is finished, or none has an audit.
    """

    def __init__(self, folders: Sequence[Path], results: Path, processes: int) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise InputError(f"{folder}: no such folder; expected one that holds configurations")
        self.name = folders[0].resolve().name
        by_stem: dict[str, list[Study]] = {}
        files = [file for folder in folders for file in study_files(folder)]
        for file, study in zip(files, read_studies(files), strict=True):
            by_stem.setdefault(file.stem, []).append(study)
        self.studies = {stem: _first_finished(each, results) for stem, each in by_stem.items()}
        stems = list(self.studies)
        self._layouts = layouts = {stem: Layout(results / study.name) for stem, study in self.studies.items()}
        full = study_files(FULL) if FULL.is_dir() and folders[0].resolve() != FULL else []
        by_size = sorted(self.studies, key=lambda stem: -len(self.studies[stem].runs))
        with pool_of(processes, ["paper.report.studies", "paper.panels"]) as pool:
            full_size = pool.submit(_at_full_size, full)  # one job, as its studies have networks in common
            found = {
                stem: pool.submit(part_of, stem, self.studies[stem], layouts[stem], stems) for stem in by_size
            }
            left = {stem: pool.submit(left_of, stem, self.studies[stem], layouts[stem]) for stem in by_size}
            self.parts = {stem: part for stem in stems if (part := found[stem].result())}
            self.left: dict[str, Left] = {stem: left[stem].result() for stem in stems}
            self.full: dict[str, Left] = full_size.result()
        if not self.parts:
            raise InputError(f"{folders[0]}: no study is finished in {results}; expected one")
        audits = [layout.audit for layout in layouts.values() if layout.audit.exists()]
        if not audits:
            raise InputError(f"{layouts[stems[0]].audit}: no such file; dimat audit makes it")
        self.audit = audits[0]

    def reads(self) -> list[Path]:
        """The files that the paper is made from."""
        joined = [
            path for stem in self.parts for path in (self._layouts[stem].runs, self._layouts[stem].records)
        ]
        return [self.audit, *joined]

    def study_of(self, entry: Entry) -> str:
        """The file that an entry shows, here or else at full size."""
        return entry.study_in(self.studies) or entry.study_in(self.full)

    def left_for(self, stem: str, question: int | None = None) -> str:
        """What a study, or a question to it, waits for: here, or else at full size."""
        here = self.left.get(stem) if stem not in self.parts else None
        for left, where in ((here, self.name), (self.full.get(stem), f"config/{FULL.name}")):
            said = (left.all if question is None else left.by_question.get(question)) if left else None
            if said:
                return f"not measured yet: {said} ({where})"
        return "not in this catalogue"


def _first_finished(studies: Sequence[Study], results: Path) -> Study:
    """The first study that is finished; else the first."""
    return next((each for each in studies if finished(each, Layout(results / each.name))), studies[0])


def _at_full_size(files: Sequence[Path]) -> dict[str, Left]:
    """What is left of studies none of whose runs are there, by the names of their files."""
    opened = zip(files, read_studies(files), strict=True)
    return {file.stem: left_of(file.stem, study, Layout(Path("none") / study.name)) for file, study in opened}
