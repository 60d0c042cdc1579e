"""A finished study as a Workflow Run RO-Crate: its files, their hashes, and what made them from what.

The profile is Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5), on RO-Crate 1.1. The same
study gives the same bytes: nothing in them is of now.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_bytes, read_checked, read_json
from dimat.io.names import printable
from paper.crate.agent import Agent
from paper.crate.entities import LICENSE, add, file, realizing
from paper.crate.finished import Times, finished, times_of
from paper.crate.outputs import Output, outputs
from paper.crate.workflow import workflow_of

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


def crate(study: Study, layout: Layout, config: Path, agent: Agent | None = None) -> dict[str, bytes]:
    """The files of the crate by path, ro-crate-metadata.json among them.

    `InputError` if a run is missing, or if what is there was not made from what is there.
    """
    from rocrate.rocrate import ROCrate

    made = finished(study, layout)
    provenance = read_json(layout.provenance)
    times = times_of(study, layout, made)
    found = ROCrate(version="1.1")
    found.metadata.extra_contexts.append(TERMS)
    workflow = workflow_of(found, provenance["versions"])
    inputs = [_configuration(found, workflow, study, config), *_data(found, provenance["data"])]
    results = [_output(found, workflow, layout, each) for each in outputs(study, layout)]
    _describe_root(found, study, times)
    action = _action(found, study, provenance, times, agent)
    action["instrument"], action["object"], action["result"] = workflow, inputs, results
    found.root_dataset["mentions"] = [action]
    return _files(found)


def _configuration(found: "ROCrate", workflow: "Entity", study: Study, config: Path) -> "Entity":
    """The file of the configuration, called as the study: its own name may be none that a zip can hold."""
    path = f"config/{study.name}{'.json' if config.suffix == '.json' else '.yaml'}"
    said = "The configuration of the study"
    entity = file(found, path, read_bytes(config), description=said, alternateName=printable(config.name))
    return realizing(found, workflow, "input", "configfile", entity)


def _data(found: "ROCrate", data: Sequence[Mapping[str, Any]]) -> Iterator["Entity"]:
    """Data sets by name, where they are from, and by content; no images."""
    for number, each in enumerate(data, 1):
        source = each["source"]
        where = ", ".join(f"{key}: {value}" for key, value in source.items() if key != "content")
        entity = add(
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
    entity = file(found, path, content, description=output.text)
    return realizing(found, workflow, "output", output.parameter, entity) if output.parameter else entity


def _describe_root(found: "ROCrate", study: Study, times: Times) -> None:
    root = found.root_dataset
    root["name"] = f"DIMAT, replicated: the study {study.name}"
    root["description"] = (
        "An independent replication of DIMAT (decentralized iterative merging-and-training, CVPR 2024, arXiv "
        f"2404.08079): the workflow, the configuration {study.name}, and what was made with them."
    )
    root["datePublished"] = times.ended.isoformat()
    root["license"] = add(
        found, LICENSE, "CreativeWork",
        name="MIT License", identifier="MIT", description="A short permissive license", url=LICENSE,
    )  # fmt: skip
    root["conformsTo"] = [
        add(found, id, "CreativeWork", name=name, version=id.rpartition("/")[2])
        for id, name in PROFILES.items()
    ]


def _action(
    found: "ROCrate", study: Study, provenance: Mapping[str, Any], times: Times, agent: Agent | None
) -> "Entity":
    """That the workflow was carried out: by whom, when, on what, and at what cost."""
    source = "as run.json says" if times.recorded else "by the times of their files, as runs do not say it"
    devices = ", ".join(provenance["devices"])
    action = add(
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
        action["agent"] = add(found, agent.orcid or "#agent", "Person", name=agent.name)
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
        add(
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
