"""What data sets and starts say of themselves, for those who have the records and not the images or networks.

An outline is read from the file that it is of, or where that is not there, from what an archive kept of it.
"""

from pathlib import Path
from typing import Any

from dimat.experiment.layout import Layout
from dimat.io.files import nbytes_in, read_about, read_json, shapes_in


def data_outline(layout: Layout, id: str) -> dict[str, Any]:
    """A data set's source and fingerprint, and the shapes of its tensors."""
    path = layout.prepared(id)
    if not path.exists() and layout.data_outline(id).exists():
        return read_json(layout.data_outline(id))
    return {"about": read_about(path), "shapes": shapes_in(path)}


def start_outline(layout: Layout, id: str) -> dict[str, Any]:
    """What a start was made from and on, the SHA-256 of its networks, and the bytes of one of them."""
    path = start_file(layout, id)
    if path == layout.start_outline(id):
        return read_json(path)
    return {"about": read_about(path), "network_bytes": nbytes_in(path, "0/network/")}


def start_file(layout: Layout, id: str) -> Path:
    """The start itself, or its outline where only that is there."""
    path, outline = layout.pretrained(id), layout.start_outline(id)
    return outline if outline.exists() and not path.exists() else path
