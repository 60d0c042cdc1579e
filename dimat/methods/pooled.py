"""Pooled training: one network, all images in one place."""

from typing import Any, Literal

from dimat.methods.local import Local


class Pooled(Local):
    """The upper bound: a single agent that holds every image, trained for as many epochs."""

    name: Literal["pooled"] = "pooled"
    title = "pooled training"
    ignores = frozenset({"graph", "merge", "partition"})

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Whatever the grid says, there is one agent."""
        return super().canonical(point) | {"agents": 1}
