"""Whether a network's symmetry is what was found: tried on the network itself.

Hidden channels are exchanged at random, and what the network puts out must not change: evaluated, and in
training mode. So that no wrong exchange goes unnoticed, as it would between weights of 0 or 1, all that is
learnt is disturbed before.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from dimat.models.groups import Group, permute, random_permutations, units_of
from dimat.models.modes import evaluated, forget
from dimat.models.tracing import UnsupportedOperation
from dimat.models.wiring.seeing import Seeing

TOLERANCE = 1e-4
"""Greatest change of an output over the greatest output, in double precision; a wrong exchange makes 0.01."""
NAMED = 3
"""So many names are listed in a message."""


@torch.no_grad()
def check_symmetry(model: nn.Module, groups: Sequence[Group], inputs: Sequence[Any]) -> None:
    """`UnsupportedOperation` unless exchanges in ``groups`` leave a network's outputs as they are.

    ``inputs`` are arguments of its forward pass. The network stays as it is.
    """
    check_members(model, groups)
    network, given = disturbed(model, inputs)
    for mode in modes_of(network):
        with mode(network):
            before = outputs(network, given)
            wrong = changed(network, groups, given, before)
            if wrong:
                one_by_one = [unit for unit in units_of(groups) if changed(network, unit, given, before)] or [
                    list(groups)
                ]
                named = listed([group.name for unit in one_by_one for group in unit])
                tensors = listed([member.name for group in one_by_one[0] for member in group.members])
                how = "evaluated" if mode is evaluated else "in training mode"
                raise UnsupportedOperation(
                    f"{type(model).__name__}, {how}: its outputs change by {wrong:.2g} of the greatest when "
                    f"channels of {named} are exchanged, with those of {tensors}; expected no change; pass "
                    "`matcher=None`, or write what uses these channels with operations of torch"
                )


def check_members(model: nn.Module, groups: Sequence[Group]) -> None:
    """`UnsupportedOperation` if a group has a tensor that the state of the network lacks."""
    state = model.state_dict()
    for group in groups:
        for member in group.members:
            if member.name not in state:
                raise UnsupportedOperation(f"{member.name}: follows channels but is not in the state dict")


def check_reached(model: nn.Module, unreached: Sequence[str]) -> None:
    """`UnsupportedOperation` if the network has parameters that no operation uses."""
    if unreached:
        raise UnsupportedOperation(
            f"{type(model).__name__}: {listed(unreached)} took no part, neither evaluated nor in training; "
            "how to re-order these is not known; remove them, or pass `matcher=None`"
        )


def changed(model: nn.Module, groups: Sequence[Group], inputs: Sequence[Any], before: Tensor) -> float:
    """How much outputs change when channels are exchanged, if it is more than round-off; 0 otherwise."""
    generator = torch.Generator().manual_seed(0)
    orders = random_permutations(groups, generator)
    put(model, permute(tensors_of(model), groups, orders))
    after = outputs(model, inputs)
    back = {name: order.argsort() for name, order in orders.items()}
    put(model, permute(tensors_of(model), groups, back))
    scale = before.abs().max().clamp_min(1e-30)
    error = float((after - before).abs().max() / scale) if before.shape == after.shape else 1.0
    return error if not error <= TOLERANCE else 0.0


def outputs(model: nn.Module, inputs: Sequence[Any]) -> Tensor:
    """All numbers that a network puts out, as a vector."""
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    with Unrandom():
        found = model(*inputs)
    for buffer, value in buffers.items():
        buffer.copy_(value)
    leaves = [each for each in tree_leaves(found) if isinstance(each, Tensor)]
    return torch.cat([each.detach().double().flatten() for each in leaves])


def disturbed(model: nn.Module, inputs: Sequence[Any]) -> tuple[nn.Module, list[Any]]:
    """A copy of a network, and inputs for it, in double precision; its tensors multiplied at random.

    As they are, and in the network's own precision, if it puts out no numbers otherwise.
    """
    for kind in ("double, disturbed", "disturbed", "as it is"):
        network, given = copy.deepcopy(model), list(inputs)
        if kind == "double, disturbed":
            network = network.double()
            given = [each.double() if _is_real(each) else each for each in inputs]
        if kind != "as it is":
            put(network, {name: _disturbed(name, tensor) for name, tensor in tensors_of(network).items()})
        try:
            normalize(network, given)
            with evaluated(network):
                found = outputs(network, given)
        except (RuntimeError, ValueError, TypeError):
            continue
        if torch.isfinite(found).all():
            return network, given
    return copy.deepcopy(model), list(inputs)


def normalize(model: nn.Module, inputs: Sequence[Any]) -> None:
    """Give batch normalization the statistics of ``inputs``; with others, features may vanish."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    with evaluated(model), Unrandom():
        for layer in layers:
            layer.momentum = 1.0
            layer.train()
        model(*inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _disturbed(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point() or not tensor.numel():
        return tensor
    generator = torch.Generator().manual_seed(tensor.numel())
    factor = torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor) * 0.4 + 0.8
    if (tensor == 0).all() and not name.endswith(("mask", "running_var")):
        return tensor + 0.1 * (factor - 1)
    return tensor * factor


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network's state."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def put(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give tensors of a network's state other values."""
    for name, tensor in tensors_of(model).items():
        if name in state:
            tensor.copy_(state[name])
    forget(model)


def modes_of(model: nn.Module) -> list[Any]:
    """Evaluation, and training if a network has anything that may tell them apart."""
    plain = (nn.Linear, nn.modules.conv._ConvNd, nn.Sequential, nn.ReLU, nn.Flatten, nn.Identity)
    alike = all(type(module) in plain or isinstance(module, plain[:2]) for module in model.modules())
    return [evaluated] if alike else [evaluated, training]


@contextmanager
def training(model: nn.Module) -> Iterator[None]:
    """Inside, all of a network is in training mode; afterwards each of its modules is as it was."""
    before = [(module, module.training) for module in model.modules()]
    try:
        model.train()
        yield
    finally:
        for module, mode in before:
            module.training = mode


class Unrandom(Seeing):
    """Inside, what is drawn at random is not: dropout keeps everything."""

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket is torch.ops.aten.native_dropout:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        devices = {each.device for each in tree_leaves(args) if isinstance(each, Tensor) and each.is_cuda}
        with torch.random.fork_rng(devices=list(devices)):  # nobody else's numbers are used up
            result = func(*args, **kwargs)
        return result.fill_(1) if isinstance(result, Tensor) else result


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(repr(name) for name in unique[:NAMED])
    return f"{shown} and {len(unique) - NAMED} more" if len(unique) > NAMED else shown
