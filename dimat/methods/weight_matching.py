"""WM: weight matching in the loop, as the paper compares with."""

from typing import Any, ClassVar, Literal

from typing_extensions import override

from dimat.merging.matching.weight import Weight
from dimat.methods.neighbourhood import NeighbourhoodMerging


class WeightMatching(NeighbourhoodMerging):
    """The rounds of DIMAT, with the neurons of every neighbour matched to one's own by their weights.

    The published code matches each neighbour with the sum of those before it, so that their order matters.
    """

    name: Literal["wm"] = "wm"
    title: ClassVar[str] = "WM"

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Whatever the grid says, weights are matched; if nothing is repaired, no image is looked at."""
        return super().canonical(point) | {
            "matching": point["matching"].model_copy(update={"matcher": Weight(), "passes": 3}),
            "calibration": point["calibration"].without_images(),
        }
