"""WA: periodic averaging of the neighbours' weights, without matching."""

from typing import Any, ClassVar, Literal

from typing_extensions import override

from dimat.methods.neighbourhood import NeighbourhoodMerging


class WeightAveraging(NeighbourhoodMerging):
    """The rounds of DIMAT, with every neuron left in its place."""

    name: Literal["wa"] = "wa"
    title: ClassVar[str] = "WA"
    ignores: ClassVar[frozenset[str]] = frozenset({"matching"})

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """If nothing is repaired, no image is looked at."""
        return super().canonical(point) | {"calibration": point["calibration"].without_images()}
