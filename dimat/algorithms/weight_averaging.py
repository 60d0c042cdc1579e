"""WA: periodic averaging of the neighbours' weights, without matching."""

from typing import Any, Literal

from dimat.algorithms.dimat import Dimat
from dimat.merging.identity import Identity
from dimat.merging.options import Merge


class WeightAveraging(Dimat):
    """The rounds of DIMAT, with every neuron left in its place."""

    name: Literal["wa"]
    title = "WA"

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """The matcher is `identity`; without repair, no images are used either."""
        identity = Identity(name="identity")
        if point["merge"].repair == "none":
            return point | {"merge": Merge(matcher=identity, repair="none")}
        return point | {"merge": point["merge"].model_copy(update={"matcher": identity})}
