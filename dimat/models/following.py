"""One pass through a network, in which the wires of its channels are followed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.dropout import _DropoutNd
from typing_extensions import override

from dimat.models.checking import Unrandom
from dimat.models.modes import evaluated
from dimat.models.tracing import Interpreter, traced
from dimat.models.wiring import meeting, moving, normalizing  # noqa: F401  (they register their rules)
from dimat.models.wiring.flow import Flow


def follow(model: nn.Module, inputs: Sequence[Any]) -> Flow:
    """The wires of a network that ``inputs`` pass through, evaluated; the network stays as it is.

    Heads that are used in training alone are followed in training, with the same wires.
    """
    flow = Flow(names_of(model))
    with plainly(), evaluated(model), torch.no_grad():
        _Following(model, traced(model), flow).run(*inputs)
        if unreached(model, flow):
            flow.seeing = False
            with trained(model), Unrandom(), flow:
                flow.fix(model(*inputs))
    return flow


def names_of(model: nn.Module) -> dict[Tensor, tuple[str, ...]]:
    """The names in the state of each parameter and buffer."""
    state = model.state_dict(keep_vars=True)
    found: dict[Tensor, tuple[str, ...]] = {}
    for name, tensor in state.items():
        if isinstance(tensor, Tensor):
            found[tensor] = (*found.get(tensor, ()), name)
    return found


def unreached(model: nn.Module, flow: Flow) -> list[str]:
    """Parameters that no operation has used."""
    return [name for name, _ in model.named_parameters(remove_duplicate=False) if name not in flow.reached]


@contextmanager
def plainly() -> Iterator[None]:
    """Inside, attention is computed step by step, and not by one operation for all of it."""
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def trained(model: nn.Module) -> Iterator[None]:
    """Inside, a network is in training mode but for dropout; afterwards modes and buffers are as before."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        model.train()
        for module in model.modules():
            if isinstance(module, _DropoutNd):
                module.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for buffer, before in buffers:
            buffer.copy_(before)


class _Following(Interpreter):
    """Runs the traced network once, with the wires of every node's result noted."""

    def __init__(self, model: nn.Module, graph: fx.Graph, flow: Flow) -> None:
        super().__init__(model, graph)
        self.flow = flow
        self.places = {node: place for place, node in enumerate(graph.nodes)}

    @override
    def run_node(self, n: fx.Node) -> Any:
        self.flow.place, self.flow.node, self.flow.step = self.places[n], n.name, 0
        if n.op == "placeholder":
            result = super().run_node(n)
            self.flow.input(result)
            return result
        with ExitStack() as modes:
            modes.enter_context(self.flow)
            result = super().run_node(n)
        if n.op == "output":
            self.flow.fix(result)
        elif isinstance(result, Tensor):
            self.flow.see(result)
        return result
