"""What sees all operations that torch carries out."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Seeing(TorchDispatchMode):
    """A mode that does not load torch's compiler, which takes as long to import as torch."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def counts(func: Any, result: Any) -> bool:
    """Whether an operation counts as a step: the same in training, and with numbers of fewer bits."""
    of_numbers = isinstance(result, Tensor) and result.is_floating_point()
    return of_numbers and func.overloadpacket is not torch.ops.aten._to_copy
