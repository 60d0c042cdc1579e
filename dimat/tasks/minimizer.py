"""The minimizer of a convex loss with an L2 term, to which distances are measured."""

from collections.abc import Callable

import numpy
import torch
from torch import Tensor

from dimat.errors import InputError

STEPS = 2
"""Newton steps in the end, each of which squares the error that is left, down to round-off."""


def minimizer(
    loss: Callable[[Tensor], Tensor], size: int, weight_decay: float, device: torch.device
) -> Tensor:
    """The x (size,), float64 on ``device``, with the least loss(x) + weight_decay / 2 |x|^2.

    The ``loss`` is convex. By Newton's method in a trust region, its systems solved by conjugate gradients,
    with products of the Hessian by automatic differentiation. `InputError` if the gradient does not vanish.
    """
    from scipy.optimize import minimize  # here, as planning does not need it
    from scipy.sparse.linalg import LinearOperator, cg

    def point(values: numpy.ndarray) -> Tensor:
        return torch.from_numpy(numpy.asarray(values, dtype=numpy.float64)).to(device)

    def value(x: numpy.ndarray) -> float:
        return float(loss(point(x))) + weight_decay / 2 * float(x @ x)

    def slope(x: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(loss(x), x, create_graph=True)
        return found + weight_decay * x

    def gradient(x: numpy.ndarray) -> numpy.ndarray:
        return slope(point(x).requires_grad_()).detach().cpu().numpy()

    def curved(x: numpy.ndarray, direction: numpy.ndarray) -> numpy.ndarray:
        at = point(x).requires_grad_()
        (product,) = torch.autograd.grad(slope(at) @ point(direction), at)
        return product.cpu().numpy()

    x = minimize(
        value, numpy.zeros(size), jac=gradient, hessp=curved, method="trust-ncg", options={"gtol": 1e-6}
    ).x
    for _ in range(STEPS if numpy.linalg.norm(gradient(x)) < 1e-3 else 0):
        hessian = LinearOperator((size, size), matvec=lambda v, x=x: curved(x, numpy.ravel(v)), dtype=x.dtype)
        x = x - cg(hessian, gradient(x), rtol=1e-10, maxiter=10 * size)[0]
    if not numpy.linalg.norm(gradient(x)) < 1e-9:
        raise InputError("measures: no minimizer of the loss was found; expected a larger weight_decay")
    return point(x)
