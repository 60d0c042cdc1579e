"""Few-shot learning: networks are judged by what they are after a step on a few examples of a new task."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call, vmap
from typing_extensions import override

from dimat.arithmetic import arithmetic
from dimat.tasks.images import Batch, ImageTask
from dimat.tasks.objective import Objective

STEPS = 9
"""Steps of adaptation up to which the measure `adaptation` follows a network."""


class Episodes(NamedTuple):
    """Few-shot tasks: what there is to adapt to (support), and what is judged then (query).

    Inputs are (tasks, points, channels, height, width), labels (tasks, points, ...).
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor


class FewShot(Objective):
    """Learn a network that adapts to a task by a gradient step on a few of its examples.

    Methods that learn without adapting fit all examples of support and query. Networks normalize by the
    batches that they see, before and after they adapt.
    """

    rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    """Step size of adaptation where networks are judged. The method has its own, by which it learns."""
    queries: Literal["fresh", "same"] = "fresh"
    """What an adapted network is judged by in training: `fresh` examples of the task, or, as published code
    has it, the `same` that it has adapted to. Tests always take fresh ones."""
    unmeasured: ClassVar[frozenset[str]] = frozenset({"training_loss", "parts", "optimum"})

    @abstractmethod
    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """What is recorded of the ``outputs`` for the query of one task: a mean over its examples."""

    @override
    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {self.metric.name: self.score(outputs, labels) * len(outputs)}


Kind = TypeVar("Kind", bound=FewShot)


class FewShotTask(ImageTask, Generic[Kind]):
    """Agents with few-shot tasks of their own, tested on those of all."""

    objective: Kind

    @abstractmethod
    def test_episodes(self) -> Iterator[Episodes]:
        """The few-shot tasks that networks are tested on, in parts of as many as fit into memory at once."""

    @override
    def loss(self, network: Callable[..., Any], sample: Batch | Episodes) -> Tensor:
        """That of a batch, or of all examples of few-shot tasks, without adaptation."""
        if isinstance(sample, Episodes):
            inputs = torch.cat([sample.support.flatten(0, 1), sample.query.flatten(0, 1)])
            labels = [sample.support_labels.flatten(0, 1), sample.query_labels.flatten(0, 1)]
            sample = Batch(inputs, torch.cat(labels))
        return super().loss(network, sample)

    @override
    def episodes(self, sample: Any) -> Sequence[tuple[Batch, Batch]]:
        return [(Batch(*task[:2]), Batch(*task[2:])) for task in zip(*sample, strict=True)]

    @override
    def evaluate(self, agent: int, network: nn.Module) -> dict[str, float]:
        """The scores before adaptation and after one step of it."""
        before, after = self._curve(network, 1)
        return {self.metric.name: after, self.metric.name.replace("adapted", "plain"): before}

    @override
    def adapted_scores(self, network: nn.Module) -> list[float]:
        return self._curve(network, STEPS)

    def _curve(self, network: nn.Module, steps: int) -> list[float]:
        """The mean score over test tasks after 0 to ``steps`` steps."""
        network.train()
        with arithmetic(self.device, self.precision):
            parts = [self._scores(network, episodes, steps) for episodes in self.test_episodes()]
        network.eval()
        return torch.cat(parts).double().mean(0).tolist()

    def _scores(self, network: nn.Module, episodes: Episodes, steps: int) -> Tensor:
        """(tasks, steps + 1): each task adapts from the parameters of the network, all of them at once."""
        tasks = len(episodes.query)
        state = {name: part.detach().expand(tasks, *part.shape) for name, part in network.named_parameters()}
        seen = {name: part.expand(tasks, *part.shape).clone() for name, part in network.named_buffers()}
        losses, judged = (
            of_tasks(network, tasks, each) for each in (self.objective.loss, self.objective.score)
        )
        scores = []
        for step in range(steps + 1):
            with torch.no_grad():
                scores.append(judged(state | seen, episodes.query, episodes.query_labels))
            if step < steps:
                state = {name: part.detach().requires_grad_() for name, part in state.items()}
                total = losses(state | seen, episodes.support, episodes.support_labels).sum()
                slopes = torch.autograd.grad(total, list(state.values()))
                moves = zip(state.items(), slopes, strict=True)
                state = {name: part - self.objective.rate * slope for (name, part), slope in moves}
        return torch.stack(scores, 1)


def of_tasks(
    network: nn.Module, tasks: int, function: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]:
    """The ``function`` of outputs and labels, for so many tasks at once, each with a state of its own.

    A single one goes by itself: some layers have no fast rules for many.
    """

    def one(state: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        return function(functional_call(network, state, (inputs,)), labels)

    def alone(state: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        return one({name: part[0] for name, part in state.items()}, inputs[0], labels[0])[None]

    return vmap(one) if tasks > 1 else alone
