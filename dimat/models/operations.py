"""What networks compute, operation by operation: whether two of equal shapes are of one architecture."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves
from typing_extensions import override

from dimat.models.checking import Unrandom
from dimat.models.following import names_of, plainly
from dimat.models.modes import evaluated
from dimat.models.tracing import UnsupportedOperation, structure
from dimat.models.wiring.seeing import Seeing


def check_same_operations(models: Sequence[nn.Module], inputs: Sequence[Any]) -> None:
    """`UnsupportedOperation` unless all networks compute the same with their own weights.

    Names the first operation in which one differs from network 0: another activation, stride or skip.
    """
    first, known = structure(models[0]), None
    for number, model in enumerate(models[1:], 1):
        if first is not None and structure(model) == first:
            continue
        known = known or operations_of(models[0], inputs)
        other = operations_of(model, inputs)
        for one, theirs in zip([*known, ("nothing", "", ())], [*other, ("nothing", "", ())], strict=False):
            if (one[0], one[2]) != (theirs[0], theirs[2]):
                where = theirs[1] or one[1] or "the whole network"
                raise UnsupportedOperation(
                    f"models: network {number} computes {theirs[0]} in {where!r} where network 0 computes "
                    f"{one[0]}, or with other options or inputs; expected networks of one architecture"
                )


Operation = tuple[str, str, tuple[Any, ...]]
"""Its name, the module in which it is carried out, and its arguments, tensors by where they come from."""


def operations_of(model: nn.Module, inputs: Sequence[Any]) -> list[Operation]:
    """All operations of a network's forward pass, evaluated."""
    with plainly(), evaluated(model), torch.no_grad(), Path(model) as path, Unrandom():
        seen = _Operations(names_of(model), path)
        seen.begin(inputs)
        with seen:
            model(*inputs)
    return seen.found


class Path:
    """While it is entered, knows which module of a network is at work."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.inside: list[str] = []

    def __enter__(self) -> "Path":
        self._handles = [
            handle
            for name, module in self.model.named_modules()
            for handle in (
                module.register_forward_pre_hook(lambda *_, name=name: self.inside.append(name)),
                module.register_forward_hook(lambda *_: self._leave()),
            )
        ]
        return self

    def _leave(self) -> None:
        self.inside.pop()

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def name(self) -> str:
        """The innermost module at work."""
        return self.inside[-1] if self.inside else ""


class _Operations(Seeing):
    def __init__(self, state: dict[Tensor, tuple[str, ...]], path: Path) -> None:
        super().__init__()
        self.state = state
        self.path = path
        self.found: list[Operation] = []
        self._numbers: dict[int, int] = {}
        self._alive: list[Tensor] = []  # so that no number is given twice

    def begin(self, inputs: Sequence[Any]) -> None:
        """Know the inputs."""
        for each in inputs:
            self._number(each)

    def _number(self, value: Any) -> None:
        for tensor in tree_leaves(value):
            if isinstance(tensor, Tensor):
                self._numbers.setdefault(id(tensor), len(self._numbers))
                self._alive.append(tensor)

    def _told(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return str(value)
        if value in self.state:
            return self.state[value]
        if id(value) in self._numbers:
            return self._numbers[id(value)]
        return tuple(value.shape), value.double().nan_to_num().sum().item() if value.numel() else 0.0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, shape = tree_flatten((args, kwargs or {}))
        told = tuple(self._told(each) for each in leaves)
        result = func(*args, **(kwargs or {}))
        self._number(result)
        self.found.append((str(func), self.path.name, (*told, str(shape))))
        return result
