"""Entities of a crate: files, what they are, and what is no file."""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

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


def add(found: "ROCrate", id: str, kind: str, **properties: Any) -> "Entity":
    """A new entity that is no file."""
    from rocrate.model.contextentity import ContextEntity

    entity = ContextEntity(found, id, properties={"@type": kind, **properties})
    found.add(entity)
    return entity


def described(path: str, content: bytes, **more: Any) -> dict[str, Any]:
    """What is said of every file."""
    return {
        "name": Path(path).name,
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "encodingFormat": FORMATS.get(Path(path).suffix, "text/plain"),
        **more,
    }


def file(found: "ROCrate", path: str, content: bytes, **more: Any) -> "Entity":
    """A new file at ``path`` in the crate."""
    about = described(path, content, **more)
    return cast("Entity", found.add_file(io.BytesIO(content), path, properties=about))


def realizing(found: "ROCrate", workflow: "Entity", way: str, name: str, entity: "Entity") -> "Entity":
    """The file, as what fills the slot ``name`` among the inputs or outputs of the workflow."""
    id, text = f"#{way}-{name}", str(entity["description"])
    added = found.add_formal_parameter(name, "File", id, text, valueRequired=way == "input")
    slot = cast("Entity", added)
    slot["workExample"], entity["exampleOfWork"] = entity, slot
    workflow.append_to(way, slot)
    return entity
