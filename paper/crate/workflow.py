"""The workflow in a crate, with its rules and the software that carried it out."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dimat.errors import InputError
from dimat.experiment.provenance import PROJECT, commit
from dimat.io.files import read_bytes
from paper.crate.entities import LICENSE, add, described, file

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate


def workflow_folder() -> Path:
    """Where the workflow is; `InputError` where dimat was installed from a wheel, which has none."""
    folder = PROJECT / "workflow"
    if not (folder / "Snakefile").exists():
        raise InputError(f"{folder}: no workflow; expected `dimat crate` of a checkout, as a crate holds it")
    return folder


def workflow_of(found: "ROCrate", versions: Sequence[Mapping[str, Any]]) -> "Entity":
    """The Snakefile as it is now, with its rules beside it, and the software that carried it out."""
    folder = workflow_folder()
    path, content = "workflow/Snakefile", read_bytes(folder / "Snakefile")
    about = described(path, content, description=f"What runs when, as of commit {commit() or 'unknown'}")
    about |= {
        "name": "dimat: DIMAT, replicated",
        "version": ", ".join(_distinct(version_of(each) for each in versions)),
    }
    added = found.add_workflow(io.BytesIO(content), path, main=True, lang="snakemake", properties=about)
    workflow = cast("Entity", added)
    workflow["license"] = {"@id": LICENSE}
    for rules in sorted((folder / "rules").glob("*.smk")):
        said = "Rules that workflow/Snakefile includes"
        file(found, f"workflow/rules/{rules.name}", read_bytes(rules), description=said)
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
            entity = add(
                found, f"{address}#{version}", "SoftwareApplication",
                name=name, url=address, softwareVersion=version,
            )  # fmt: skip
        needed.append(entity)
    said = [f"{name} {versions[name]}" for name in ("commit", "code") if versions.get(name)]
    return add(
        found,
        f"#dimat-{number}",
        "SoftwareApplication",
        name="dimat",
        softwareVersion=version_of(versions),
        description=f"The packages that the rules call ({', '.join(said) or 'no commit known'})",
        softwareRequirements=needed,
    )


def _distinct(values: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(values))
