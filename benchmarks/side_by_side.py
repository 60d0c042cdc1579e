"""Two other ways to train all agents for one epoch, both with the draws and the result of `Networks.train`.

They are here to justify that agents train one agent after another.
"""

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from dimat.agents.networks import Networks
from dimat.tasks.images import Batch


def train_by_vmap(networks: Networks, round: int) -> None:
    """One epoch of all agents at once, on stacked parameters, statistics and batches.

    Agents must hold equally many images. Convolutions of N networks become one with N groups. Only in
    float32: torch's vmap of batch normalization takes no mixed precision.
    """
    parameters, buffers = stack_module_state([network.train() for network in networks.models])
    with torch.no_grad():
        parameters = {name: stack.contiguous().requires_grad_() for name, stack in parameters.items()}
    network = networks.models[0]

    def loss(own: dict[str, Tensor], statistics: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(network, (own, statistics), (images,)), labels)

    gradients_of_all = vmap(grad(loss))
    optimizer = networks.optimizer.build(_Stacked(parameters))
    for batches in zip(
        *(networks.task.epoch(agent, "train", round, 0) for agent in range(networks.agents)), strict=True
    ):
        images, labels = (torch.stack(parts) for parts in zip(*batches, strict=True))
        gradients = gradients_of_all(parameters, buffers, images, labels)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        optimizer.step()
    for agent, model in enumerate(networks.models):
        model.load_state_dict({name: stack[agent] for name, stack in (parameters | buffers).items()})


class _Stacked(nn.Module):
    """Gives stacked parameters to an optimizer: Adam and SGD work entry by entry."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        super().__init__()
        self._stacks = list(parameters.values())

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:  # type: ignore[override]
        return iter(self._stacks)


def train_in_turns(networks: Networks, round: int) -> None:
    """One epoch of all agents, a step of each in turn; on a GPU, each in a stream of its own."""
    on_gpu = networks.device.type == "cuda"
    streams = [torch.cuda.Stream() if on_gpu else None for _ in range(networks.agents)]
    optimizers = [networks.optimizer.build(network.train()) for network in networks.models]
    if on_gpu:
        torch.cuda.synchronize()
    for batches in zip(
        *(networks.task.epoch(agent, "train", round, 0) for agent in range(networks.agents)), strict=True
    ):
        for network, optimizer, stream, (images, labels) in zip(
            networks.models, optimizers, streams, batches, strict=True
        ):
            with torch.cuda.stream(stream) if stream else nullcontext():
                if stream:
                    stream.wait_stream(torch.cuda.default_stream())  # its batch was made there
                    images.record_stream(stream)
                    labels.record_stream(stream)
                loss = networks.task.loss(network, Batch(images, labels))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    if on_gpu:
        torch.cuda.synchronize()
