"""Permutation symmetries of a network, found by following its channels through all operations.

The hidden channels of a network can be re-ordered without changing its function, if every tensor that
produces or consumes them is re-ordered alike. Channels that must move together are a `Group`; `wiring`
finds them. Input channels and outputs (class logits) are never permuted.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from typing_extensions import override

from dimat.models.checking import check_symmetry
from dimat.models.following import follow, plainly, unreached
from dimat.models.groups import Group, Member, Permutations, mix_axis, permute, permute_axis
from dimat.models.modes import evaluated
from dimat.models.tracing import Interpreter, UnsupportedOperation, remember, structure, traced
from dimat.models.wiring.found import groups_of
from dimat.models.wiring.seeing import Seeing, counts

__all__ = [
    "Group",
    "Member",
    "Observed",
    "Permutations",
    "UnsupportedOperation",
    "checked_groups",
    "mix_axis",
    "permutation_groups",
    "permute",
    "permute_axis",
    "trace",
]

BATCH = 2
"""So many examples pass through a network to find its symmetry: the axis of one alone would be none."""


@dataclass(frozen=True)
class Traced:
    """What was found on one pass through a network.

    ``unreached`` are the parameters that no operation used, evaluated or in training. ``unknown`` are
    operations whose channels stay in place, each with where it was met first.
    """

    groups: list[Group]
    unreached: list[str]
    unknown: dict[str, str]


def trace(model: nn.Module, inputs: Sequence[Any]) -> Traced:
    """The symmetry of a network whose forward pass takes ``inputs``, two examples or more."""
    flow = follow(model, inputs)
    return Traced(groups_of(flow.wires, flow.features), unreached(model, flow), flow.unknown)


def permutation_groups(model: nn.Module, image_shape: tuple[int, ...]) -> list[Group]:
    """The groups of hidden channels that can be permuted without changing the function.

    ``image_shape`` is (channels, height, width). What an operation without a known symmetry takes stays in
    place. No values are looked at but those of constants: parameters may be on the meta device.
    """
    with evaluated(model):
        alike = structure(model)
    if alike is not None and (alike, image_shape) in _groups:
        return list(_groups[alike, image_shape])
    like = next(model.parameters())
    groups = trace(model, [torch.zeros(BATCH, *image_shape, device=like.device, dtype=like.dtype)]).groups
    if alike is not None:
        remember(_groups, (alike, image_shape), tuple(groups))
    return groups


_groups: dict[Hashable, tuple[Group, ...]] = {}


def checked_groups(model: nn.Module, image_shape: tuple[int, ...]) -> list[Group]:
    """`permutation_groups`, tried on the network itself: `UnsupportedOperation` where outputs change."""
    groups = permutation_groups(model, image_shape)
    like = next(model.parameters())
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, *image_shape, generator=generator).to(like)
    check_symmetry(model, groups, [images])
    return groups


class _Steps(Seeing):
    """While it is entered, keeps the results of some operations, by their number."""

    def __init__(self, steps: set[int]) -> None:
        super().__init__()
        self.steps = steps
        self.kept: dict[int, Tensor] = {}
        self.step = 0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if counts(func, result):
            if self.step in self.steps:
                self.kept[self.step] = result
            self.step += 1
        return result


class Observed:
    """A view of ``model`` (the same layers) that stops at the features of every group on its way."""

    def __init__(self, model: nn.Module, groups: list[Group]) -> None:
        self._graph = traced(model)
        self._interpreter = Interpreter(model, self._graph)
        self._groups: dict[str, list[Group]] = {}
        for group in groups:
            self._groups.setdefault(group.node, []).append(group)

    def features(self, images: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """Each group in the order of the network, with its features (batch, C, ...) of ``images``.

        The network runs as far as the group asked for, or to its end, and keeps only values it still needs:
        features are to be used before the next are asked for. Groups that show none are left out.
        """
        run = self._interpreter
        run.env, run.args_iter = {}, iter((images,))
        for node in self._graph.nodes:
            groups = self._groups.get(node.name, ())
            inside = _Steps({group.step for group in groups} - {-1})
            run.env[node] = self._inside(node, inside) if inside.steps else run.run_node(node)
            for group in groups:
                value = run.env[node] if group.step < 0 else inside.kept[group.step]
                yield group, group.features(value)
            del inside
            for used in run.user_to_last_uses.get(node, ()):
                del run.env[used]

    def _inside(self, node: fx.Node, steps: _Steps) -> Any:
        with plainly(), torch.no_grad(), steps:
            return self._interpreter.run_node(node)
