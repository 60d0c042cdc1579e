"""What is shown of which study: entries of the catalogue, and the systems that DIMAT stands among."""

from collections.abc import Container, Iterator, Mapping
from functools import cache
from importlib.resources import files as package_files
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.reading import describe
from dimat.experiment.runs import Run
from dimat.spec import OneOrMany, Spec
from paper.figures import figures_of, known_figures
from paper.shown import PaperFigure, PaperTable, by_id
from paper.tables import report_tables


def as_text(where: object) -> object:
    """Values of keys as `Run.parameters` has them; of several, any will do."""
    if not isinstance(where, Mapping):
        return where
    return {
        key: tuple(map(str, value if isinstance(value, list) else [value])) for key, value in where.items()
    }


class Entry(Spec):
    """An entry of entries.yaml, which says what its keys mean."""

    title: str
    question: str
    study: Annotated[tuple[str, ...], OneOrMany()] = ()
    figures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    _text = field_validator("where", mode="before")(as_text)

    @field_validator("figures", "tables")
    @classmethod
    def _known(cls, kinds: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = [each.kind for each in (known_figures if info.field_name == "figures" else report_tables)]
        for kind in kinds:
            if kind not in known:
                raise ValueError(f"expected kinds among {', '.join(known)}")
        return kinds

    def study_in(self, stems: Container[str]) -> str:
        """The file that it shows, of those that a catalogue has; empty if it has none."""
        return next((stem for stem in self.study if stem in stems), "")

    def figures_in(self, study: Study) -> dict[str, PaperFigure]:
        """All figures of its kinds, by id."""
        return {id: each for id, each in figures_of(study).items() if each.kind in self.figures}

    def in_body(self, figure: PaperFigure) -> bool:
        """Whether a figure has a run that is as `where` says."""
        runs = getattr(figure, "runs", {}).values()
        return not self.where or any(is_where(run, self.where) for run in runs)

    def tables_in(self, study: Study) -> dict[str, PaperTable]:
        """All tables of its kinds, by id."""
        return by_id([each for each in report_tables if each.kind in self.tables], study)


class System(Entry):
    """A system of systems.yaml, which says what its keys mean."""

    what: str
    claims: str
    departures: str = ""


def is_where(run: Run, where: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a run has one of the values of every key of the configuration."""
    parameters = run.parameters()
    return all(parameters.get(key) in values for key, values in where.items())


@cache
def entries() -> dict[str, Entry]:
    """All entries of the catalogue by id, in the order of the paper; `InputError` names one that is wrong."""
    return dict(_read(Entry, "entries.yaml", package_yaml("entries.yaml")))


@cache
def systems() -> dict[str, System]:
    """All systems by id, which is the name of their study's file; `InputError` names one that is wrong."""
    content = package_yaml("systems.yaml")
    own = {id: {"study": id, "question": "", **each} for id, each in content.items()}
    return dict(_read(System, "systems.yaml", own))


def in_paper(stem: str) -> str:
    """Where a study of a catalogue stands, in words whose order is the paper's: 02 T2, F2: a title.

    ``stem`` is the name of its file, in whatever case; of another study that is all there is to say.
    """
    known = entries() | systems()
    own = [id for id, entry in known.items() if entry.study[:1] and entry.study[0].lower() == stem.lower()]
    if not own:
        return stem
    place = list(known).index(own[0]) + 1
    return f"{place:02} {', '.join(own)}: {known[own[0]].title}"


def _read(kind: type[Any], name: str, items: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for id, content in items.items():
        try:
            yield id, kind.model_validate(content, strict=False)
        except ValidationError as error:
            raise InputError(f"{name}: {id}: {describe(error)}") from None


def package_yaml(name: str) -> dict[str, Any]:
    """A file of this folder."""
    return yaml.safe_load((package_files("paper") / "report" / name).read_text("utf-8"))
