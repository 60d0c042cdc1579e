"""The cross-entropy of two classes, judged by the area under the ROC curve."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from dimat.tasks.ranking import Ranking


class BinaryCrossEntropy(Ranking):
    """Tell two classes apart: cross-entropy of one score in training, the AUROC in the end."""

    name: Literal["logistic"] = "logistic"

    @override
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        scores = outputs[:, 0].to(torch.promote_types(outputs.dtype, torch.float32))
        return functional.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))
