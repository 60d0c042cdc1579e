"""A finished study as a Workflow Run RO-Crate: its files, their hashes, and what made them from what.

The profile is Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5), on RO-Crate 1.1. The same
study gives the same bytes: nothing in them is of now.
"""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote

from dimat.errors import InputError
from dimat.experiment.collect import collected
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.provenance import PROJECT, commit
from dimat.experiment.sources import read_made
from dimat.io.files import read_bytes, read_checked, read_json, write
from dimat.io.names import printable
from paper.figures import figures_of
from paper.tables import tables_of

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
"""Where `sha256` and `resourceUsage` are defined, which RO-Crate 1.1 does not know."""
LICENSE = "https://spdx.org/licenses/MIT"
FORMATS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""Of files, by their endings; all others are text."""
FIRST_OF_ZIP = (1980, 1, 1, 0, 0, 0)
"""The time of all files in the zip: the earliest that it can say."""


class Agent(NamedTuple):
    """Who carried the study out."""

    name: str
    orcid: str | None = None
    """The whole address, https://orcid.org/..."""


class Output(NamedTuple):
    """A file that a study makes, as it is called in the crate."""

    path: Path
    text: str
    parameter: str | None = None
    """Its slot in the workflow's interface, for those of which every study has one."""


@dataclass(frozen=True)
class Times:
    """When the first run began and the last one ended."""

    began: datetime
    ended: datetime
    recorded: bool
    """Whether runs say so themselves; otherwise they are those of files."""


def crate(study: Study, layout: Layout, config: Path, agent: Agent | None = None) -> dict[str, bytes]:
    """The files of the crate by path, ro-crate-metadata.json among them.

    `InputError` if a run is missing, or if what is there was not made from what is there.
    """
    from rocrate.rocrate import ROCrate

    made = _finished(study, layout)
    provenance = read_json(layout.provenance)
    times = _times(study, layout, made)
    found = ROCrate(version="1.1")
    found.metadata.extra_contexts.append(TERMS)
    workflow = _workflow(found, provenance["versions"])
    inputs = [_configuration(found, workflow, study, config), *_data(found, provenance["data"])]
    results = [_output(found, workflow, layout, each) for each in outputs(study, layout)]
    _describe_root(found, study, times)
    action = _action(found, study, provenance, times, agent)
    action["instrument"], action["object"], action["result"] = workflow, inputs, results
    found.root_dataset["mentions"] = [action]
    return _files(found)


def named_agent(name: str | None, orcid: str | None) -> Agent | None:
    """Who is named on the command line, if anybody."""
    if name is None and orcid is not None:
        raise InputError(f"--orcid: {orcid!r} without --agent; expected a name, too")
    if name is None:
        return None
    if not name.strip() or not name.isprintable():
        raise InputError(f"--agent: expected a name, got {name!r}")
    if orcid is None:
        return Agent(name)
    digits = orcid.removeprefix("https://orcid.org/").replace("-", "")
    if (
        not re.fullmatch(r"(https://orcid\.org/)?([0-9]{4}-){3}[0-9]{3}[0-9X]", orcid)
        or _check_digit(digits[:-1]) != digits[-1]
    ):
        raise InputError(f"--orcid: expected an ORCID iD such as 0000-0002-1825-0097, got {orcid!r}")
    return Agent(name, f"https://orcid.org/{orcid.removeprefix('https://orcid.org/')}")


def _check_digit(digits: str) -> str:
    """The last digit of an ORCID iD, by ISO 7064 (mod 11-2), from those before it."""
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return "0123456789X"[(12 - total % 11) % 11]


def write_crate(output: Path, make: Callable[[], Mapping[str, bytes]]) -> None:
    """Write the files that ``make`` gives as a zip or, without that ending, as a folder: whole or not at all.

    What is there already is refused before anything is made.
    """
    if os.path.lexists(output):
        raise InputError(f"{output}: already there; expected a new file or folder")
    made = make()
    if output.suffix == ".zip":
        write(output, zipped(made))
        return
    temporary = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for path, content in made.items():
            write(temporary / path, content)
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of files by path."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, each in sorted(files.items()):
            entry = zipfile.ZipInfo(path, FIRST_OF_ZIP)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, each)
    return content.getvalue()


def outputs(study: Study, layout: Layout) -> Iterator[Output]:
    """What a study has made so far, in the order of its making; images and networks are left out."""
    every = [
        Output(layout.runs, "Every run with all of its parameters", "runs"),
        Output(layout.records, "The records of all runs", "records"),
        Output(layout.provenance, "What made the records: versions, devices, times", "provenance"),
        *(Output(layout.run_provenance(id), f"What made the run {id}") for id in study.runs),
        *(Output(layout.tuned(id), f"The learning rate chosen for {id}") for id in study.tuned),
        *(Output(layout.policy_provenance(id), f"What made the policy {id}") for id in study.policies),
        Output(layout.at_rest, "Where congestion controllers come to rest"),
        Output(layout.simulated, "Simulated times on a link that agents share"),
        Output(layout.audit, "Measured numbers against derived bounds", "audit"),
        Output(layout.audit_full, "Measured numbers against derived bounds, over the large grid"),
        *(Output(layout.holonomy(id), f"The first merges from {id}") for id in study.pretrained),
        Output(layout.evidence, "What the study's records and networks say of the claims", "evidence"),
        Output(layout.claims, "The verdict on every claim", "claims"),
    ]
    for name, each in figures_of(study).items():
        endings = ("svg", "pdf", "png", "txt")
        every += [Output(layout.figure(name, ending), each.caption()) for ending in endings]
    for name, each in tables_of(study).items():
        every += [Output(layout.table(name, ending), each.caption()) for ending in ("csv", "tex")]
    every.append(Output(layout.pdf, "The paper of the study", "paper"))
    return (each for each in every if each.path.exists())


def _finished(study: Study, layout: Layout) -> list[dict[str, Any]]:
    """What made each run; `InputError` unless all are there, and the joined files are those of them."""
    made = [read_made(run, layout) for run in study.runs.values()]
    joined = collected(study, layout)
    provenance = json.loads(json.dumps(joined.provenance))
    there = {
        layout.runs: read_checked(layout.runs) == joined.runs,
        layout.records: read_checked(layout.records) == joined.records,
        layout.provenance: read_json(layout.provenance) == provenance,
    }
    for path, same in there.items():
        if not same:
            raise InputError(f"{path}: joining the runs again gives another one; make it with dimat collect")
    return made


def _times(study: Study, layout: Layout, made: Sequence[Mapping[str, Any]]) -> Times:
    """When runs were carried out, in whole seconds of UTC; older ones do not say it, but their files do."""
    began, ended = [], []
    for id, each in zip(study.runs, made, strict=True):
        if "ended" in each:
            began.append(datetime.fromisoformat(each["began"]))
            ended.append(datetime.fromisoformat(each["ended"]))
        else:
            written = datetime.fromtimestamp(int(layout.run_provenance(id).stat().st_mtime), UTC)
            began.append(written - timedelta(seconds=int(each["seconds"])))
            ended.append(written)
    return Times(min(began), max(ended), all("ended" in each for each in made))


def _add(found: "ROCrate", id: str, kind: str, **properties: Any) -> "Entity":
    """A new entity that is no file."""
    from rocrate.model.contextentity import ContextEntity

    entity = ContextEntity(found, id, properties={"@type": kind, **properties})
    found.add(entity)
    return entity


def _described(path: str, content: bytes, **more: Any) -> dict[str, Any]:
    """What is said of every file."""
    return {
        "name": Path(path).name,
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "encodingFormat": FORMATS.get(Path(path).suffix, "text/plain"),
        **more,
    }


def _file(found: "ROCrate", path: str, content: bytes, **more: Any) -> "Entity":
    about = _described(path, content, **more)
    return cast("Entity", found.add_file(io.BytesIO(content), path, properties=about))


def workflow_folder() -> Path:
    """Where the workflow is; `InputError` where dimat was installed from a wheel, which has none."""
    folder = PROJECT / "workflow"
    if not (folder / "Snakefile").exists():
        raise InputError(f"{folder}: no workflow; expected `dimat crate` of a checkout, as a crate holds it")
    return folder


def _workflow(found: "ROCrate", versions: Sequence[Mapping[str, Any]]) -> "Entity":
    """The Snakefile as it is now, with its rules beside it, and the software that carried it out."""
    folder = workflow_folder()
    path, content = "workflow/Snakefile", read_bytes(folder / "Snakefile")
    about = _described(path, content, description=f"What runs when, as of commit {commit() or 'unknown'}")
    about |= {
        "name": "dimat: DIMAT, replicated",
        "version": ", ".join(_distinct(version_of(each) for each in versions)),
    }
    added = found.add_workflow(io.BytesIO(content), path, main=True, lang="snakemake", properties=about)
    workflow = cast("Entity", added)
    workflow["license"] = {"@id": LICENSE}
    for rules in sorted((folder / "rules").glob("*.smk")):
        said = "Rules that workflow/Snakefile includes"
        _file(found, f"workflow/rules/{rules.name}", read_bytes(rules), description=said)
    workflow["softwareRequirements"] = [
        _software(found, number, each) for number, each in enumerate(versions, 1)
    ]
    return workflow


def version_of(versions: Mapping[str, Any]) -> str:
    """The version of dimat that made something, as PEP 440 writes it, its commit among it."""
    commit = versions.get("commit")
    return versions["dimat"] + (f"+g{commit.replace('-', '.')}" if commit else "")


def _software(found: "ROCrate", number: int, versions: Mapping[str, Any]) -> "Entity":
    """One state of the code, with the versions of what it needs."""
    needed = []
    for name in sorted(versions.keys() - {"dimat", "code", "commit"}):
        version = versions[name]
        address = f"pkg:pypi/{name}@{version.partition('+')[0]}"
        if name == "python":
            address = f"https://www.python.org/downloads/release/python-{version.replace('.', '')}/"
        if (entity := found.get(f"{address}#{version}")) is None:
            entity = _add(
                found, f"{address}#{version}", "SoftwareApplication",
                name=name, url=address, softwareVersion=version,
            )  # fmt: skip
        needed.append(entity)
    said = [f"{name} {versions[name]}" for name in ("commit", "code") if versions.get(name)]
    return _add(
        found,
        f"#dimat-{number}",
        "SoftwareApplication",
        name="dimat",
        softwareVersion=version_of(versions),
        description=f"The packages that the rules call ({', '.join(said) or 'no commit known'})",
        softwareRequirements=needed,
    )


def _configuration(found: "ROCrate", workflow: "Entity", study: Study, config: Path) -> "Entity":
    """The file of the configuration, called as the study: its own name may be none that a zip can hold."""
    path = f"config/{study.name}{'.json' if config.suffix == '.json' else '.yaml'}"
    said = "The configuration of the study"
    entity = _file(found, path, read_bytes(config), description=said, alternateName=printable(config.name))
    return _realizing(found, workflow, "input", "configfile", entity)


def _data(found: "ROCrate", data: Sequence[Mapping[str, Any]]) -> Iterator["Entity"]:
    """Data sets by name, where they are from, and by content; no images."""
    for number, each in enumerate(data, 1):
        source = each["source"]
        where = ", ".join(f"{key}: {value}" for key, value in source.items() if key != "content")
        entity = _add(
            found,
            f"#data-{number}",
            "CreativeWork",
            name=each["description"],
            description=f"Images, which are not in this crate{where and f' ({where})'}",
        )
        if "content" in source:
            entity["sha256"] = source["content"]
        yield entity


def _output(found: "ROCrate", workflow: "Entity", layout: Layout, output: Output) -> "Entity":
    inside = output.path.is_relative_to(layout.root)
    path = output.path.relative_to(layout.root if inside else layout.results).as_posix()
    if output.path.suffix == ".json":
        read_json(output.path)  # whole, and its own
        content = read_bytes(output.path)
    else:
        content = read_checked(output.path)
    entity = _file(found, path, content, description=output.text)
    return _realizing(found, workflow, "output", output.parameter, entity) if output.parameter else entity


def _realizing(found: "ROCrate", workflow: "Entity", way: str, name: str, entity: "Entity") -> "Entity":
    """The file, as what fills the slot ``name`` among the inputs or outputs of the workflow."""
    id, text = f"#{way}-{name}", str(entity["description"])
    added = found.add_formal_parameter(name, "File", id, text, valueRequired=way == "input")
    slot = cast("Entity", added)
    slot["workExample"], entity["exampleOfWork"] = entity, slot
    workflow.append_to(way, slot)
    return entity


def _describe_root(found: "ROCrate", study: Study, times: Times) -> None:
    root = found.root_dataset
    root["name"] = f"DIMAT, replicated: the study {study.name}"
    root["description"] = (
        "An independent replication of DIMAT (decentralized iterative merging-and-training, CVPR 2024, arXiv "
        f"2404.08079): the workflow, the configuration {study.name}, and what was made with them."
    )
    root["datePublished"] = times.ended.isoformat()
    root["license"] = _add(
        found, LICENSE, "CreativeWork",
        name="MIT License", identifier="MIT", description="A short permissive license", url=LICENSE,
    )  # fmt: skip
    root["conformsTo"] = [
        _add(found, id, "CreativeWork", name=name, version=id.rpartition("/")[2])
        for id, name in PROFILES.items()
    ]


def _action(
    found: "ROCrate", study: Study, provenance: Mapping[str, Any], times: Times, agent: Agent | None
) -> "Entity":
    """That the workflow was carried out: by whom, when, on what, and at what cost."""
    source = "as run.json says" if times.recorded else "by the times of their files, as runs do not say it"
    devices = ", ".join(provenance["devices"])
    action = _add(
        found,
        f"#{study.name}-{study.content[:12]}",
        "CreateAction",
        name=f"The study {study.name}",
        description=(
            f"{provenance['runs']} runs on {devices}. It started with the first of these runs and ended with "
            f"the last, {source}; the starts were trained before, figures, tables and verdicts made from the "
            "records afterwards."
        ),
        startTime=times.began.isoformat(),
        endTime=times.ended.isoformat(),
        actionStatus="http://schema.org/CompletedActionStatus",
    )
    if agent:
        action["agent"] = _add(found, agent.orcid or "#agent", "Person", name=agent.name)
        found.root_dataset["author"] = action["agent"]
    used = {
        "runs": (provenance["runs"], None),
        "seconds": (provenance["seconds"], "https://qudt.org/vocab/unit/SEC"),
        "peak_memory_bytes": (provenance["peak_memory_bytes"], "https://qudt.org/vocab/unit/BYTE"),
        "resumed": (provenance["resumed"], None),
        "devices": (devices, None),
        "threads": (", ".join(map(str, provenance["threads"])), None),
    }
    action["resourceUsage"] = [
        _add(
            found, f"#used-{name}", "PropertyValue", name=name, propertyID=f"dimat.provenance.{name}",
            value=str(value), **({"unitCode": unit} if unit else {}),
        )
        for name, (value, unit) in used.items()
    ]  # fmt: skip
    return action


def _files(found: "ROCrate") -> dict[str, bytes]:
    """What rocrate would write, by path; a list of one is written as that one, as RO-Crate 1.1 has it."""
    for entity in found.get_entities():
        for name, value in entity.properties().items():
            if isinstance(value, list) and len(value) == 1:
                entity.properties()[name] = value[0]
    files: dict[str, bytes] = {}
    for entity in [*found.data_entities, *found.default_entities]:
        for path, content in entity.stream():
            if entity is found.root_dataset:
                continue
            files[unquote(path)] = files.get(unquote(path), b"") + content
    return files


def _distinct(values: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(values))
