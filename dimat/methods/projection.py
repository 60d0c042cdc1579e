"""The projection of CGA: the nearest direction that no gradient objects to."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-12
"""A projection is done when the conditions of optimality hold up to this share of the norms."""
SWEEPS = 100_000
CHUNK = 2**26
"""At most so many entries of gradients are held in double precision at a time (512 MB)."""


class Constrained(NamedTuple):
    """The vectors to be projected, ``gradients`` (n, d), and ``constraints[i]``, those (d,) for row i."""

    gradients: Tensor
    constraints: Sequence[Sequence[Tensor]]

    @property
    def most(self) -> int:
        """The number of constraints m of the row that has most of them."""
        return max(map(len, self.constraints))

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Gradients (n, columns) and constraints (n, m, columns), some columns at a time, float64.

        Constraints that a row does not have are 0.
        """
        count, size = self.gradients.shape
        columns = max(1, CHUNK // (count * self.most))
        for first in range(0, size, columns):
            part = slice(first, first + columns)
            targets = self.gradients[:, part].double()
            rows = targets.new_zeros(count, self.most, targets.shape[1])
            for row, vectors in zip(rows, self.constraints, strict=True):
                row[: len(vectors)] = torch.stack([vector[part] for vector in vectors])
            yield targets, rows


def project(gradients: Tensor, constraints: Sequence[Sequence[Tensor]], margin: float = 0.0) -> Tensor:
    """The nearest vectors to ``gradients`` (n, d) with no negative inner product with their ``constraints``.

    ``constraints[i]`` are the vectors (d,) for row i. The problems of the rows are solved together, in their
    dual form: with A the constraints, g + A^T v for the v >= ``margin`` that minimizes ||g + A^T v||^2, by
    exact minimization over one coordinate after the other (Hildreth 1957). A margin above 0 adds so much of
    every constraint at least. Vectors are scaled to norm 1, and bounds with them, which changes nothing.
    """
    (found,) = project_each([Constrained(gradients, constraints)], margin)
    return found


def project_each(problems: Sequence[Constrained], margin: float = 0.0) -> list[Tensor]:
    """`project`, of each of the ``problems``, which lie on one device.

    The dual forms are small, and how many sweeps they take depends on their numbers: they are solved on the
    CPU, which waits for the device once.
    """
    duals = [_dual(problem, margin) for problem in problems]
    here = iter(torch.cat([part.flatten() for dual in duals for part in dual]).cpu().split(
        [part.numel() for dual in duals for part in dual]
    ))  # fmt: skip
    solved = [_solution(_Dual(*[next(here).view(part.shape) for part in dual]), margin) for dual in duals]
    device = problems[0].gradients.device
    sent = torch.cat([v.flatten() for v in solved]).to(device, non_blocking=True)
    parts = sent.split([v.numel() for v in solved])
    return [
        _along(problem, v.view(dual.norms.shape), dual.norms)
        for problem, v, dual in zip(problems, parts, duals, strict=True)
    ]


class _Dual(NamedTuple):
    """What the dual forms of n rows need: ``gram`` (n, m, m), ``slope`` and ``norms`` (n, m), ``scale`` (n,).

    ``slope`` is that of the dual objective at the least v.
    """

    gram: Tensor
    slope: Tensor
    norms: Tensor
    scale: Tensor


def _dual(problem: Constrained, margin: float) -> _Dual:
    lengths = [(rows.norm(dim=2), targets.norm(dim=1)) for targets, rows in problem.chunks()]
    norms, scale = (_together(parts) for parts in zip(*lengths, strict=True))
    gram = slope = None
    for targets, rows in problem.chunks():
        rows /= norms[:, :, None].clamp_min(1e-300)
        products, along = rows @ rows.mT, (rows @ targets[:, :, None]).squeeze(2)
        gram = products if gram is None else gram + products
        slope = along if slope is None else slope + along
    assert gram is not None and slope is not None  # as vectors have entries
    return _Dual(gram, slope + (gram @ (margin * norms)[:, :, None]).squeeze(2), norms, scale)


def _together(norms: Sequence[Tensor]) -> Tensor:
    """The norms of vectors whose parts have these."""
    return norms[0] if len(norms) == 1 else torch.stack(list(norms)).norm(dim=0)


def _solution(dual: _Dual, margin: float) -> Tensor:
    """The multipliers v (n, m) of constraints of norm 1; changes the slope."""
    gram, slope, norms, scale = dual
    least = margin * norms
    if margin:
        scale = torch.maximum(scale, least.amax(1))
    v = least.clone()
    if not bool(slope.isfinite().all()):  # of agents that diverge: no sweep would meet the conditions
        return torch.full_like(v, torch.nan)
    for _ in range(SWEEPS):
        for k in range(v.shape[1]):
            move = torch.maximum(v[:, k] - slope[:, k], least[:, k]) - v[:, k]  # the diagonal of gram is 1
            v[:, k] += move
            slope += gram[:, :, k] * move[:, None]
        # 0 exactly where the conditions of Karush, Kuhn and Tucker hold
        residual = (v - torch.maximum(v - slope, least)).abs().amax(1)
        if bool((residual <= TOLERANCE * scale).all()):
            break
    return v


def _along(problem: Constrained, v: Tensor, norms: Tensor) -> Tensor:
    """The gradients and ``v`` times their constraints, which are scaled by their ``norms``."""
    found = []
    for targets, rows in problem.chunks():
        rows /= norms[:, :, None].clamp_min(1e-300)
        found.append((targets + (v[:, None] @ rows).squeeze(1)).to(problem.gradients.dtype))
    return torch.cat(found, dim=1)
