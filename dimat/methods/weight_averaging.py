"""WA: periodic averaging of the neighbours' weights, without matching."""

from typing import Any, Literal

from dimat.methods.dimat import Dimat


class WeightAveraging(Dimat):
    """The rounds of DIMAT, with every neuron left in its place."""

    name: Literal["wa"] = "wa"
    title = "WA"

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Whatever the grid says, nothing is matched."""
        return point | {"merge": point["merge"].without_matching()}
