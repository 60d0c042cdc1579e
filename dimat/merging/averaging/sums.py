"""What there is to say about coefficients that need not sum to 1."""

from collections.abc import Mapping
from statistics import mean

import torch
from torch import Tensor

from dimat.communication.communicator import Communicator
from dimat.merging.matching.diagnostics import Diagnostic


def sums_of(coefficients: Mapping[int, Mapping[str, Tensor]], communicator: Communicator) -> list[Diagnostic]:
    """``coefficient_sum``: the sum over parents, as mean over agents, for each tensor and as mean over these.

    ``coefficients`` has (n,) for each tensor, or all (""), by agent of this process; nothing is said of none.
    """
    found = {
        (name, agent): value
        for agent, by_name in coefficients.items()
        if by_name
        for name, value in zip(
            by_name, torch.stack([row.sum() for row in by_name.values()]).tolist(), strict=True
        )
    }
    by_tensor: dict[str, list[float]] = {}
    for (name, _), value in sorted(communicator.collect(found).items()):
        by_tensor.setdefault(name, []).append(value)
    means = {name: mean(values) for name, values in by_tensor.items()}
    whole = {"": mean(means.values())} if means else {}
    return [Diagnostic(name, "coefficient_sum", value) for name, value in (whole | means).items()]
