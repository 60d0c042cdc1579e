"""Two classes told apart by one score, and judged by how well it ranks: the area under the ROC curve."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from dimat.tasks.objective import Objective
from dimat.tasks.task import Metric

if TYPE_CHECKING:
    from dimat.tasks.scored_images import ScoredImages


class Ranking(Objective):
    """What objectives have in common that look at two classes, of which positives are to score higher.

    Networks have one output, the score's logit. Thresholds do not matter, and so it does not matter either
    how rare positives are among the test images.
    """

    metric: ClassVar[Metric] = Metric("test_auroc", "test AUROC")
    classes: ClassVar[int | None] = 2
    lacks: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **Objective.lacks,
            "parts": "the AUROC is the same on all, as they differ in the weight of whole classes alone",
        }
    )

    @override
    def outputs(self, classes: int) -> int:
        return 1

    @override
    def task(self, *of_agents: Any, **options: Any) -> "ScoredImages":
        from dimat.tasks.scored_images import ScoredImages  # here, as it is one of objectives

        return ScoredImages(self, *of_agents, **options)
