"""The fleet: the networks of all agents on one device, and the images they hold."""

import math
from collections.abc import Iterator, Mapping

import numpy
import torch
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional

from dimat.data.augmentation import Augmentation
from dimat.data.image_set import ImageSet
from dimat.data.partitions import Shares
from dimat.errors import InputError
from dimat.models import Model
from dimat.models.symmetry import Permutations, permutation_groups, permute
from dimat.randomness import Randomness
from dimat.training.options import Training


class Fleet:
    """N agents with a network and an optimizer each; they share the data set in memory.

    ``holdings[i]`` are the indices of the training images that agent i holds, in whatever phase.
    """

    def __init__(
        self,
        model: Model,
        data: ImageSet,
        shares: Shares,
        training: Training,
        augmentation: Augmentation,
        randomness: Randomness,
    ) -> None:
        self.data = data
        self.training = training
        self.augmentation = augmentation
        self.randomness = randomness
        self.device = data.train_images.device
        self._shares = shares
        smallest = min(len(own) for own in (*shares.pretrain, *shares.train))
        if smallest < 2:
            raise InputError(
                f"partition: an agent holds {smallest} training image; valid is 2 or more, as batch "
                "normalization has no statistics of a single one: use fewer agents or more images"
            )
        self.agents = len(shares.train)
        self.holdings = [
            torch.from_numpy(numpy.union1d(*own)).to(self.device)
            for own in zip(shares.pretrain, shares.train, strict=True)
        ]
        self.models: list[nn.Module] = []
        for agent in range(self.agents):
            source = agent if training.start == "different" else None
            network = model.initialized(data.shape[0], len(data.classes), randomness, source)
            self.models.append(network.to(self.device, memory_format=torch.channels_last))
        self.groups = permutation_groups(self.models[0], data.shape)
        self.optimizers = [training.optimizer.build(network) for network in self.models]

    def states(self) -> list[dict[str, Tensor]]:
        """Each agent's parameters and buffers; references, not copies."""
        return [network.state_dict() for network in self.models]

    def reorder(self, agent: int, permutations: Permutations) -> None:
        """Put an agent's neurons in another order: its function is unchanged, and so is its training."""
        network, optimizer = self.models[agent], self.optimizers[agent]
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
        for agent in range(self.agents):
            self._train_epoch(agent, self._shares.pretrain[agent], "pretrain", round=epoch, epoch=0)

    def _anneal(self, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Set the learning rate of pre-training after a share ``progress`` of all its steps."""
        if self.training.pretrain_schedule == "cosine":
            for group in optimizer.param_groups:
                group["lr"] = self.training.optimizer.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def train(self, round: int) -> None:
        """The local epochs of every agent between the merge of ``round`` and the next."""
        for agent in range(self.agents):
            if self.training.optimizer_state == "reset":
                self.optimizers[agent] = self.training.optimizer.build(self.models[agent])
            for epoch in range(self.training.epochs):
                self._train_epoch(agent, self._shares.train[agent], "train", round, epoch)
            if self.training.optimizer_state == "reset":
                self.optimizers[agent].state.clear()  # so that merging N networks does not need its memory

    def _train_epoch(self, agent: int, share: ndarray, phase: str, round: int, epoch: int) -> None:
        network, optimizer = self.models[agent].train(), self.optimizers[agent]
        generator = self.randomness.torch(f"{phase}, epoch {epoch}", agent=agent, round=round)
        order = torch.from_numpy(share)[torch.randperm(len(share), generator=generator)].to(self.device)
        draws = self.augmentation.draw(len(order), generator)
        labels = self._split(self.data.train_labels[order])
        total = torch.zeros((), device=self.device)
        for step, (images, targets) in enumerate(zip(self.batches(order, draws), labels, strict=True)):
            if phase == "pretrain":
                self._anneal(optimizer, (round + step / len(labels)) / self.training.pretrain_epochs)
            with self.arithmetic():
                loss = functional.cross_entropy(network(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        optimizer.zero_grad()  # frees the gradients
        if not all(torch.isfinite(tensor).all() for tensor in (total, *network.state_dict().values())):
            raise InputError(
                f"training.optimizer: agent {agent} diverged (loss or weights are not finite) in {phase} "
                f"round {round}, epoch {epoch}, with {self.training.optimizer.label()}; valid is a setting "
                "that does not diverge, such as a smaller learning_rate"
            )

    def arithmetic(self) -> torch.autocast:
        """The context of forward passes at the configured precision."""
        enabled = self.training.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def tensors(self, optimizers: bool) -> dict[str, Tensor]:
        """The whole state by name: networks and, if asked for, optimizers."""
        state = {
            f"{agent}/network/{name}": tensor
            for agent, network in enumerate(self.states())
            for name, tensor in network.items()
        }
        if optimizers:
            for agent, optimizer in enumerate(self.optimizers):
                for parameter, slots in optimizer.state_dict()["state"].items():
                    for slot, tensor in slots.items():
                        if tensor is not None:
                            state[f"{agent}/optimizer/{parameter}/{slot}"] = tensor
        return state

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave; ValueError if it does not fit these networks."""
        slots: list[dict[int, dict[str, Tensor]]] = [{} for _ in range(self.agents)]
        networks: list[dict[str, Tensor]] = [{} for _ in range(self.agents)]
        try:
            for name, tensor in tensors.items():
                agent, kind, rest = name.split("/", 2)
                if kind == "network":
                    networks[int(agent)][rest] = tensor
                else:
                    parameter, slot = rest.split("/")
                    slots[int(agent)].setdefault(int(parameter), {})[slot] = tensor
            for agent, network in enumerate(self.models):
                network.load_state_dict(networks[agent])
                if slots[agent]:
                    groups = self.optimizers[agent].state_dict()["param_groups"]
                    self.optimizers[agent].load_state_dict({"state": slots[agent], "param_groups": groups})
                    self._lay_out_like_parameters(self.optimizers[agent])
        except (IndexError, RuntimeError) as error:
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
