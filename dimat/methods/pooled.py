"""Pooled training: one network, all images in one place."""

from typing import Any, ClassVar, Literal

from typing_extensions import override

from dimat.methods.local import Alone


class Pooled(Alone):
    """The upper bound: a single agent that holds every image, trained for as many epochs."""

    name: Literal["pooled"] = "pooled"
    title: ClassVar[str] = "pooled training"
    ignores: ClassVar[frozenset[str]] = Alone.ignores | {"partition"}

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Whatever the grid says, there is one agent."""
        return super().canonical(point) | {"agents": 1}
