"""WM: weight matching in the loop, as the paper compares with."""

from typing import Any, Literal

from dimat.merging.matching.weight import Weight
from dimat.methods.dimat import Dimat


class WeightMatching(Dimat):
    """The rounds of DIMAT, with the neurons of every neighbour matched to one's own by their weights.

    The published code matches each neighbour with the sum of those before it, so that their order matters.
    """

    name: Literal["wm"] = "wm"
    title = "WM"

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Whatever the grid says, weights are matched."""
        merge = point["merge"].model_copy(update={"matcher": Weight(), "passes": 3})
        return super().canonical(point | {"merge": merge})
