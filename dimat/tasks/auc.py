"""The AUC of a score by its square loss on pairs, as a min-max problem of single images.

Of a score h in [0, 1], a positive image x+ and a negative one x-, (1 - h(x+) + h(x-))^2 stands for the pair
being in the wrong order. Its mean over pairs is the value of a min-max problem whose loss is a mean over
single images, which agents can sample (Guo, Liu, Yuan, Shen, Liu and Yang 2020, arXiv 2005.02426).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from dimat.tasks.ranking import Ranking

if TYPE_CHECKING:
    from dimat.tasks.auc_task import AucTask


class Auc(Ranking):
    """Tell two classes apart: a min-max form of the square loss of pairs in training, the AUROC in the end.

    Beside its network an agent has three numbers: a and b, which descend with it, and alpha, which ascends.
    """

    name: Literal["auc"] = "auc"
    lacks: ClassVar[Mapping[str, str]] = MappingProxyType(
        {**Ranking.lacks, "optimum": "its loss is not convex in the parameters"}
    )

    @override
    def task(self, *of_agents: Any, **options: Any) -> "AucTask":
        from dimat.tasks.auc_task import AucTask  # here, as it is one of objectives

        return AucTask(self, *of_agents, **options)

    @override
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over pairs of (1 - h(x+) + h(x-))^2, h the sigmoid of ``outputs`` (n, 1)."""
        scores = outputs[:, 0].sigmoid()
        positives, negatives = scores[labels == 1], scores[labels == 0]
        spread = positives.var(correction=0) + negatives.var(correction=0)
        return spread + (1 - positives.mean() + negatives.mean()).square()


def saddle_loss(scores: Tensor, labels: Tensor, share: float, a: Tensor, b: Tensor, alpha: Tensor) -> Tensor:
    """The mean of F over images with ``scores`` and ``labels`` (n,); positives have a ``share`` p of all.

    F = (1 - p) (h - a)^2 - 2 (1 + alpha) (1 - p) h of a positive, p (h - b)^2 + 2 (1 + alpha) p h of a
    negative, both less p (1 - p) alpha^2. At best a and b are the mean scores of positives and negatives,
    alpha is b - a, and F is p (1 - p) (the mean loss of pairs - 1).
    """
    of_positive = (1 - share) * ((scores - a).square() - 2 * (1 + alpha) * scores)
    of_negative = share * ((scores - b).square() + 2 * (1 + alpha) * scores)
    return torch.where(labels == 1, of_positive, of_negative).mean() - share * (1 - share) * alpha.square()
