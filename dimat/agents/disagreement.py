"""How far agents are from their mean."""

from torch import Tensor


def disagreement(parameters: Tensor) -> float:
    """Mean squared distance of the rows x_i of ``parameters`` (N, d) from their mean."""
    return float((parameters - parameters.mean(0)).double().square().sum() / len(parameters))
