"""The fleet: the networks of all agents on one device, and the images they hold."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, islice, repeat
from typing import NamedTuple

import numpy
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from typing_extensions import override

from dimat.agents.agents import Agents, Diverged
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.training import Training
from dimat.data.augmentation import Augmentation
from dimat.data.image_set import ImageSet
from dimat.data.partitions import Shares
from dimat.errors import InputError
from dimat.models import Model
from dimat.models.symmetry import Permutations, permutation_groups, permute
from dimat.randomness import Randomness


class Batch(NamedTuple):
    """Normalized, augmented images (batch, channels, height, width) and their labels (batch,)."""

    images: Tensor
    labels: Tensor


class Fleet(Agents):
    """N agents with a network and an optimizer each; they share the data set in memory.

    ``models``, ``optimizers`` and every other list of agents have an entry for each of ``mine``, the agents
    in this process (all of them by default). ``holdings[i]`` are the indices of the training images that
    agent i holds, in whatever phase. ``frozen`` networks normalize by their running statistics.
    """

    def __init__(
        self,
        model: Model,
        data: ImageSet,
        shares: Shares,
        training: Training,
        augmentation: Augmentation,
        randomness: Randomness,
        optimizer: AnyOptimizer | None = None,
        mine: Sequence[int] | None = None,
    ) -> None:
        super().__init__(len(shares.train), randomness, mine)
        self.data = data
        self.training = training
        self.augmentation = augmentation
        self.device = data.train_images.device
        self._shares = shares
        smallest = min(len(own) for own in (*shares.pretrain, *shares.train))
        if smallest < 2:
            raise InputError(
                f"partition: an agent holds {smallest} training image; valid is 2 or more, as batch "
                "normalization has no statistics of a single one: use fewer agents or more images"
            )
        self.optimizer = optimizer or training.optimizer
        self.epochs = training.epochs
        mean_share = sum(map(len, shares.train)) / self.agents
        self.steps_per_epoch = max(1, round(mean_share / training.batch_size))
        self.holdings = [
            torch.from_numpy(numpy.union1d(*own)).to(self.device)
            for own in zip(shares.pretrain, shares.train, strict=True)
        ]
        self.models: list[nn.Module] = []
        for agent in self.mine:
            source = agent if training.start == "different" else None
            network = model.initialized(data.shape[0], len(data.classes), randomness, source)
            self.models.append(network.to(self.device, memory_format=torch.channels_last))
        self.groups = permutation_groups(self.models[0], data.shape)
        self.optimizers = [self.optimizer.build(network) for network in self.models]

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
    def parameters(self, values: Tensor) -> None:
        with torch.no_grad():
            for network, vector in zip(self.models, values, strict=True):
                for name, tensor in self._by_name(vector).items():
                    network.get_parameter(name).copy_(tensor)

    def _by_name(self, vector: Tensor) -> dict[str, Tensor]:
        """Views of one agent's parameters (d,) in their shapes."""
        parameters = dict(self.models[0].named_parameters())
        parts = vector.split([parameter.numel() for parameter in parameters.values()])
        return {
            name: part.view(parameter.shape)
            for (name, parameter), part in zip(parameters.items(), parts, strict=True)
        }

    @override
    def gradient(self, row: int, sample: Batch, point: Tensor, *, own: bool = True) -> Tensor:
        """Of the mean cross-entropy of a batch."""
        network = self.models[row].train(not self.frozen)
        point = point.detach().requires_grad_()
        state = self._by_name(point)
        if not own:  # running statistics follow an agent's own network alone
            state |= {name: tensor.clone() for name, tensor in network.named_buffers()}
        with self.arithmetic():
            loss = functional.cross_entropy(functional_call(network, state, (sample.images,)), sample.labels)
        (gradient,) = torch.autograd.grad(loss, point)
        return gradient

    def states(self) -> list[dict[str, Tensor]]:
        """Each agent's parameters and buffers; references, not copies."""
        return [network.state_dict() for network in self.models]

    def reorder(self, row: int, permutations: Permutations) -> None:
        """Put an agent's neurons in another order: its function is unchanged, and so is its training."""
        network, optimizer = self.models[row], self.optimizers[row]
        parameters = dict(network.named_parameters())
        network.load_state_dict(permute(network.state_dict(), self.groups, permutations))
        for slot in sorted({slot for slots in optimizer.state.values() for slot in slots}):
            kept = {name: optimizer.state[parameter].get(slot) for name, parameter in parameters.items()}
            like = {
                name: tensor
                for name, tensor in kept.items()
                if tensor is not None and tensor.shape == parameters[name].shape
            }
            for name, tensor in permute(like, self.groups, permutations).items():
                like[name].copy_(tensor)

    def batches(
        self, indices: Tensor, draws: Tensor | None = None, *, test: bool = False
    ) -> Iterator[Tensor]:
        """Normalized training (or test) images in the order of ``indices``; ``draws`` augment them."""
        source = self.data.test_images if test else self.data.train_images
        parts = self._split(indices)
        draws_of_parts = [None] * len(parts) if draws is None else self._split(draws)
        for part, drawn in zip(parts, draws_of_parts, strict=True):
            images = source[part]
            yield self.data.normalized(images if drawn is None else self.augmentation.apply(images, drawn))

    def _split(self, rows: Tensor) -> list[Tensor]:
        """Rows in batches; a single last row joins the batch before, as one image has no batch statistics."""
        size = self.training.batch_size
        full, rest = divmod(len(rows), size)
        sizes = [size] * full + [rest] * (rest > 0)
        if rest == 1 and full:
            sizes[-2:] = [size + 1]
        return list(rows.split(sizes))

    def pretrain(self, epoch: int) -> None:
        """One epoch of every agent on its pre-training share."""
        for row, agent in enumerate(self.mine):
            batches = len(self._split(torch.from_numpy(self._shares.pretrain[agent])))
            rates = (self._pretraining_rate(epoch + step / batches) for step in range(batches))
            self._descend(
                row, self.batches_of_epoch(row, "pretrain", epoch, 0), f"pretrain round {epoch}", rates
            )

    def _pretraining_rate(self, epochs: float) -> float:
        """The learning rate after so many epochs of pre-training."""
        rate = self.optimizer.learning_rate
        if self.training.pretrain_schedule == "cosine":
            rate *= (1 + math.cos(math.pi * epochs / self.training.pretrain_epochs)) / 2
        return rate

    def train(self, round: int) -> None:
        """The local epochs of every agent between the merge of ``round`` and the next."""
        for row in range(len(self.mine)):
            if self.training.optimizer_state == "reset":
                self.optimizers[row] = self.optimizer.build(self.models[row])
            if self.training.steps == "equal":
                batches = islice(self.samples(row, round), self.epochs * self.steps_per_epoch)
            else:
                batches = chain.from_iterable(
                    self.batches_of_epoch(row, "train", round, e) for e in range(self.epochs)
                )
            self._descend(row, batches, f"round {round}")
            if self.training.optimizer_state == "reset":
                self.optimizers[row].state.clear()  # merging need not hold it

    @override
    def samples(self, row: int, round: int) -> Iterator[Batch]:
        """Batches of one epoch after the other."""
        return chain.from_iterable(self.batches_of_epoch(row, "train", round, epoch) for epoch in count())

    def batches_of_epoch(self, row: int, phase: str, round: int, epoch: int) -> Iterator[Batch]:
        """An agent's images in random order, in batches, augmented."""
        agent = self.mine[row]
        share = torch.from_numpy(getattr(self._shares, phase)[agent])
        generator = self.randomness.torch(f"{phase}, epoch {epoch}", agent=agent, round=round)
        order = share[torch.randperm(len(share), generator=generator)].to(self.device)
        draws = self.augmentation.draw(len(order), generator)
        labels = self._split(self.data.train_labels[order])
        return map(Batch, self.batches(order, draws), labels)

    def _descend(
        self, row: int, batches: Iterable[Batch], when: str, rates: Iterable[float] | None = None
    ) -> None:
        """One step of an agent's optimizer for each batch, with its own learning rate or with ``rates``."""
        network, optimizer = self.models[row].train(), self.optimizers[row]
        total = torch.zeros((), device=self.device)
        constant = repeat(self.optimizer.learning_rate)
        for (images, labels), rate in zip(batches, rates or constant, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate
            with self.arithmetic():
                loss = functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            self.steps_taken[row] += 1
        optimizer.zero_grad()  # gradients are not kept while others train
        self.check_finite(row, f"{when} with {self.optimizer.label()}", total)

    def check_finite(self, row: int, what: str, *more: Tensor) -> None:
        """`Diverged`, in ``what``, if anything in an agent's network, or ``more``, is not finite."""
        if all(torch.isfinite(tensor).all() for tensor in (*self.models[row].state_dict().values(), *more)):
            return
        raise Diverged(
            f"training: agent {self.mine[row]} diverged (loss or weights are not finite) in {what}; valid is "
            "a setting that does not diverge, such as a smaller learning_rate"
        )

    def arithmetic(self) -> torch.autocast:
        """The context of forward passes at the configured precision."""
        enabled = self.training.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def tensors(self, optimizers: bool) -> dict[str, Tensor]:
        """The whole state by name: networks, memory and, if asked for, optimizers."""
        state = {}
        for row, agent in enumerate(self.mine):
            for name, tensor in self.models[row].state_dict().items():
                state[f"{agent}/network/{name}"] = tensor
            for name, tensors in self.memory.items():
                state[f"{agent}/memory/{name}"] = tensors[row]
            if optimizers:
                for parameter, slots in self.optimizers[row].state_dict()["state"].items():
                    for slot, tensor in slots.items():
                        if tensor is not None:
                            state[f"{agent}/optimizer/{parameter}/{slot}"] = tensor
        return state

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave; ValueError if it does not fit these networks."""
        slots: list[dict[int, dict[str, Tensor]]] = [{} for _ in range(self.agents)]
        networks: list[dict[str, Tensor]] = [{} for _ in range(self.agents)]
        memory: dict[str, dict[int, Tensor]] = {}
        try:
            for name, tensor in tensors.items():
                agent, kind, rest = name.split("/", 2)
                if kind == "network":
                    networks[int(agent)][rest] = tensor
                elif kind == "memory":
                    memory.setdefault(rest, {})[int(agent)] = tensor.to(self.device)
                else:
                    parameter, slot = rest.split("/")
                    slots[int(agent)].setdefault(int(parameter), {})[slot] = tensor
            self.memory = {
                name: torch.stack([rows[agent] for agent in self.mine]) for name, rows in memory.items()
            }
            for agent, network, optimizer in zip(self.mine, self.models, self.optimizers, strict=True):
                network.load_state_dict(networks[agent])
                if slots[agent]:
                    groups = optimizer.state_dict()["param_groups"]
                    optimizer.load_state_dict({"state": slots[agent], "param_groups": groups})
                    self._lay_out_like_parameters(optimizer)
        except (LookupError, RuntimeError) as error:
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
