"""Agents whose variables are networks, on one device, with an optimizer each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, count, islice
from typing import Any

import torch
from numpy import float32
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Diverged
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.recorded_steps import RecordedSteps
from dimat.agents.recording import Recorded
from dimat.agents.steps import Steps
from dimat.agents.training import Training
from dimat.errors import InputError
from dimat.models.symmetry import Group, Permutations, checked_groups, permute
from dimat.models.tracing import UnsupportedOperation
from dimat.randomness import Randomness
from dimat.tasks.network_task import At, NetworkTask


class Networks(Agents):
    """N agents with a network and an optimizer each.

    ``models``, ``optimizers`` and every other list of agents have an entry for each of ``local_agents``.
    ``frozen`` networks normalize by their running statistics. On a GPU, steps and gradients can be
    ``recorded`` and replayed, where samples are named tuples of tensors.
    """

    task: NetworkTask

    def __init__(
        self,
        task: NetworkTask,
        training: Training,
        randomness: Randomness,
        optimizer: AnyOptimizer | None = None,
        local_agents: Sequence[int] | None = None,
        *,
        recorded: bool = False,
    ) -> None:
        super().__init__(task, randomness, local_agents)
        self.training = training
        self.device = task.device
        self.optimizer = optimizer or training.optimizer
        self.epochs = training.epochs
        self.steps_per_epoch = task.steps_per_epoch
        self.models = [task.variables(agent) for agent in self.local_agents]
        self.optimizers = [self.optimizer.build(network) for network in self.models]
        self._recorded = Recorded() if recorded else None

    @cached_property
    def _recorded_steps(self) -> RecordedSteps:
        return RecordedSteps(self.task, self.models[0], self.optimizer)

    @cached_property
    @override
    def symmetry(self) -> list[Group]:
        """The groups of channels that can be re-ordered, found by tracing when they are first asked for."""
        try:
            return checked_groups(self.models[0], self.task.input_shape)
        except UnsupportedOperation as error:
            raise InputError(
                f"model: {error}; expected a method or a matching that matches nothing"
            ) from None

    @property
    @override
    def parameters(self) -> Tensor:
        """What is trained of each network, flattened, in its order."""
        return torch.stack(
            [
                torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
                for network in self.models
            ]
        )

    @parameters.setter
    @override
    def parameters(self, values: Tensor) -> None:
        with torch.no_grad():
            for network, vector in zip(self.models, values, strict=True):
                for name, tensor in self.by_name(vector).items():
                    network.get_parameter(name).copy_(tensor)

    @property
    @override
    def shapes(self) -> dict[str, torch.Size]:
        return self._shapes

    @cached_property
    def _shapes(self) -> dict[str, torch.Size]:
        """Looked up at every step."""
        return {name: parameter.shape for name, parameter in self.models[0].named_parameters()}

    @property
    @override
    def units(self) -> list[Group]:
        return self.symmetry

    def by_name(self, vector: Tensor) -> dict[str, Tensor]:
        """Views of one agent's parameters (d,) in their shapes."""
        shapes = self.shapes
        parts = vector.split([shape.numel() for shape in shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    @override
    def gradient(
        self, row: int, sample: Any, point: Tensor, *, own: bool = True, differentiable: bool = False
    ) -> Tensor:
        if differentiable or not self._recorded:
            return self._gradient(row, sample, point, own, differentiable)

        def function(given: tuple[Tensor, ...]) -> Tensor:
            *parts, point = given
            return self._gradient(row, type(sample)._make(parts), point, own)

        buffers = self.models[row].buffers
        return self._recorded((row, own, self.frozen), function, (*sample, point), buffers).clone()

    def _gradient(
        self, row: int, sample: Any, point: Tensor, own: bool, differentiable: bool = False
    ) -> Tensor:
        network = self.models[row].train(not self.frozen)
        point = point if differentiable else point.detach().requires_grad_()
        laid_out = Aligned.apply if differentiable and self.device.type != "cpu" else self._laid_out
        state = {name: laid_out(part) for name, part in self.by_name(point).items()}
        if not own:  # running statistics follow an agent's own network alone
            state |= {name: tensor.clone() for name, tensor in network.named_buffers()}
        loss = self.task.loss(At(network, state), sample)
        (gradient,) = torch.autograd.grad(loss, point, create_graph=differentiable)
        return self._directed(gradient)

    def _laid_out(self, part: Tensor) -> Tensor:
        """A part of a vector, where a network's layers can read it.

        Layers on a GPU read several numbers at a time, from addresses that are multiples of 16 bytes.
        """
        return part if self.device.type == "cpu" else aligned(part)

    def states(self) -> list[dict[str, Tensor]]:
        """Each agent's parameters and buffers; references, not copies."""
        return [network.state_dict() for network in self.models]

    @override
    def evaluate(self, row: int) -> dict[str, float]:
        return self.task.evaluate(self.local_agents[row], self.models[row])

    def training_loss(self, row: int) -> float:
        """Mean loss of an agent's network over all training images of all agents."""
        return self.task.training_loss(self.models[row])

    def part_scores(self, row: int) -> list[float]:
        """The primary metric of an agent's network on the part of the test set of each agent."""
        return self.task.part_scores(self.models[row])

    def adapted_scores(self, row: int) -> list[float]:
        """The primary metric of an agent's network after 0, 1, 2, ... steps of adaptation."""
        return self.task.adapted_scores(self.models[row])

    @override
    def reorder(self, agent: int, permutations: Permutations) -> None:
        self.state.reorder(agent, lambda vector: self.reordered(vector, permutations))
        if agent not in self.local_agents:
            return
        row = self.local_agents.index(agent)
        network, optimizer = self.models[row], self.optimizers[row]
        parameters = dict(network.named_parameters())
        network.load_state_dict(permute(network.state_dict(), self.symmetry, permutations))
        for slot in sorted({slot for slots in optimizer.state.values() for slot in slots}):
            kept = {name: optimizer.state[parameter].get(slot) for name, parameter in parameters.items()}
            like = {
                name: tensor
                for name, tensor in kept.items()
                if tensor is not None and tensor.shape == parameters[name].shape
            }
            for name, tensor in permute(like, self.symmetry, permutations).items():
                like[name].copy_(tensor)

    def reordered(self, vector: Tensor, permutations: Permutations) -> Tensor:
        """A vector (d,) in the order of an agent's parameters, in the new order of these."""
        by_name = self.by_name(vector)
        moved = permute(by_name, self.symmetry, permutations)
        return torch.cat([moved[name].flatten() for name in by_name])

    def pretrain(self, epoch: int) -> None:
        """One epoch of every agent on what it has before the first merge."""
        for row, agent in enumerate(self.local_agents):
            length = self.task.epoch_length(agent, "pretrain")
            rates = (self._pretraining_rate(epoch + step / length) for step in range(length))
            samples = self.task.epoch(agent, "pretrain", epoch, 0)
            self._descend(row, samples, f"pretrain round {epoch}", rates)

    def _pretraining_rate(self, epochs: float) -> float:
        """The learning rate after so many epochs of pre-training."""
        rate = self.optimizer.learning_rate
        if self.training.pretrain_schedule == "cosine":
            rate *= (1 + math.cos(math.pi * epochs / self.training.pretrain_epochs)) / 2
        return rate

    def train(self, round: int) -> None:
        """The local epochs of every agent between the merge of ``round`` and the next."""
        for row, agent in enumerate(self.local_agents):
            if self.training.optimizer_state == "reset":
                self.optimizers[row] = self.optimizer.build(self.models[row])
            if self.training.steps == "equal":
                length = self.steps_per_epoch
                samples = islice(self.samples(row, round), self.epochs * length)
            else:
                length = self.task.epoch_length(agent, "train")
                samples = chain.from_iterable(
                    self.task.epoch(agent, "train", round, epoch) for epoch in range(self.epochs)
                )
            first = (round - 1) * self.epochs * length
            rates = (self.optimizer.rate_at(step, length) for step in count(first))
            self._descend(row, samples, f"round {round}", rates)
            if self.training.optimizer_state == "reset":
                self.optimizers[row].state.clear()  # merging need not hold it

    def _descend(self, row: int, samples: Iterable[Any], when: str, rates: Iterable[float]) -> None:
        """One step of an agent's optimizer for each sample, with one of the learning ``rates``.

        On a GPU these are rounded, as recorded steps read theirs from memory, in float32.
        """
        network, optimizer = self.models[row].train(), self.optimizers[row]
        recorded = self._recorded_steps if self._recorded else None
        if recorded:
            recorded.begin(network, optimizer)
        steps = recorded or Steps(self.task, network, optimizer)
        for sample, rate in zip(samples, rates, strict=False):
            steps.take(sample, float(float32(rate)) if self.device.type == "cuda" else rate)
            self.steps_taken[row] += 1
        if recorded:
            recorded.end(network, optimizer)
        optimizer.zero_grad()  # gradients are not kept while others train
        self._check_finite(row, f"{when} with {self.optimizer.label()}", steps.total)

    @override
    def check_finite(self, what: str) -> None:
        for row in range(len(self.local_agents)):
            self._check_finite(row, what)

    @override
    def finite(self, row: int) -> bool:
        return self._finite(row)

    def _finite(self, row: int, *more: Tensor) -> bool:
        tensors = (*self.models[row].state_dict().values(), *more)
        return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())

    def _check_finite(self, row: int, what: str, *more: Tensor) -> None:
        if self.goes_on or self._finite(row, *more):
            return
        raise Diverged(
            f"training: agent {self.local_agents[row]} diverged (loss or weights are not finite) in {what}; "
            "expected a setting that does not diverge, such as a smaller learning_rate"
        )

    @override
    def tensors(self, optimizers: bool) -> dict[str, Tensor]:
        state = dict(self.state.tensors())
        for row, agent in enumerate(self.local_agents):
            for name, tensor in self.models[row].state_dict().items():
                state[f"{agent}/network/{name}"] = tensor
            if optimizers:
                for parameter, slots in self.optimizers[row].state_dict()["state"].items():
                    for slot, tensor in slots.items():
                        if tensor is not None:
                            state[f"{agent}/optimizer/{parameter}/{slot}"] = tensor
        return state

    @override
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        slots: list[dict[int, dict[str, Tensor]]] = [{} for _ in range(self.agents)]
        networks: list[dict[str, Tensor]] = [{} for _ in range(self.agents)]
        try:
            for name, tensor in tensors.items():
                agent, kind, rest = name.split("/", 2)
                if kind == "network":
                    networks[int(agent)][rest] = tensor
                elif kind == "optimizer":
                    parameter, slot = rest.split("/")
                    slots[int(agent)].setdefault(int(parameter), {})[slot] = tensor
            self.state.load(tensors)
            for agent, network, optimizer in zip(
                self.local_agents, self.models, self.optimizers, strict=True
            ):
                network.load_state_dict(networks[agent])
                if slots[agent]:
                    groups = optimizer.state_dict()["param_groups"]
                    optimizer.load_state_dict({"state": slots[agent], "param_groups": groups})
                    self._lay_out_like_parameters(optimizer)
        except (LookupError, RuntimeError, ValueError) as error:
            raise ValueError(str(error).splitlines()[0]) from None

    @staticmethod
    def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
        """Give restored optimizer slots the memory layout of their parameters.

        Fused steps pair entries by their place in memory, and files keep no layout.
        """
        for parameter, slots in optimizer.state.items():
            for slot, tensor in slots.items():
                if tensor is not None and tensor.shape == parameter.shape:
                    slots[slot] = torch.empty_like(parameter).copy_(tensor)


def aligned(part: Tensor) -> Tensor:
    """A copy in memory of its own, which begins at a multiple of whatever layers read at a time."""
    return part.clone(memory_format=torch.channels_last if part.ndim == 4 else torch.preserve_format)


class Aligned(torch.autograd.Function):
    """`aligned` parts, whose gradients are so, too: layers read them where they are differentiated again."""

    @staticmethod
    @override
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return aligned(part)

    @staticmethod
    @override
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        return Aligned.apply(*grad_outputs)
