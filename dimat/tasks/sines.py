"""Few-shot regression of sine waves (Finn, Abbeel and Levine 2017; Kayaalp, Vlaski and Sayed 2022)."""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from dimat.tasks.few_shot import Episodes, FewShot, FewShotTask
from dimat.tasks.network_task import Phase
from dimat.tasks.task import Metric

INTERVAL = (-5.0, 5.0)
"""Where points of waves lie."""
GRID = 100
"""Equally spaced points of a wave on which an adapted network is tested."""
AT_ONCE = 250
"""Waves that a network is tested on at once."""


class SineRegression(FewShot):
    """Fit a sine wave after a gradient step on a few of its points; the loss is the mean squared error.

    An example is a wave of the data set `sines`, so a batch of one has the points of one wave, as published.
    Points are drawn anew whenever an agent comes back to a wave.
    """

    name: Literal["sines"] = "sines"
    metric: ClassVar[Metric] = Metric("adapted_loss", "test loss after adaptation", better="lower")
    learns_from: ClassVar[str] = "waves"
    fewest: ClassVar[int] = 1
    shots: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Points of a wave to adapt to, and as many to be judged by."""

    @property
    @override
    def views(self) -> int:
        return 2 * GRID  # before adaptation, and after it

    @override
    def task(self, *of_agents: Any, **options: Any) -> "SineTask":
        return SineTask(self, *of_agents, **options)

    @override
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.mse_loss(outputs, labels)

    @override
    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.mse_loss(outputs, labels)


class SineTask(FewShotTask[SineRegression]):
    """Agents with waves of their own, which networks from one number to one number are to fit."""

    @property
    @override
    def input_shape(self) -> tuple[int, int, int]:
        return 1, 1, 1

    @property
    @override
    def outputs(self) -> int:
        return 1

    @override
    def epoch(self, agent: int, phase: Phase, round: int, epoch: int) -> Iterator[Episodes]:
        """An agent's waves in random order, in batches, with points of each."""
        order, _ = self._drawn(agent, phase, round, epoch)
        generator = self.randomness.torch(f"{phase}, points of epoch {epoch}", agent=agent, round=round)
        support, query = (self._points(len(order), generator) for _ in range(2))
        query = query if self.objective.queries == "fresh" else support
        found = on_waves(self.data.train_images[order], self._sent(support), self._sent(query))
        return map(Episodes, *map(self._split, found))

    @override
    def test_episodes(self) -> Iterator[Episodes]:
        return map(Episodes, *(part.split(AT_ONCE) for part in self._tests))

    @cached_property
    def _tests(self) -> Episodes:
        waves = self.data.test_images
        support = self._points(len(waves), self.randomness.torch("points of waves to be tested on"))
        grid = torch.linspace(*INTERVAL, GRID).expand(len(waves), -1)
        return on_waves(waves, self._sent(support), self._sent(grid))

    def _points(self, waves: int, generator: torch.Generator) -> Tensor:
        """(waves, shots), uniform in the interval."""
        return torch.empty(waves, self.objective.shots).uniform_(*INTERVAL, generator=generator)

    @override
    def _batches(
        self, source: Tensor, indices: Tensor, draws: Tensor | None = None, batch_size: int | None = None
    ) -> Iterator[Tensor]:
        """Points alone, for those who look at inputs: equally spaced ones, as many as waves are asked for."""
        for part in self._split(indices, batch_size):
            yield torch.linspace(*INTERVAL, len(part), device=self.device).view(-1, 1, 1, 1)


def on_waves(waves: Tensor, support: Tensor, query: Tensor) -> Episodes:
    """The values of ``waves`` (n, 2, 1, 1) at points (n, k) to adapt to and to be judged by, in float64."""
    amplitudes, phases = waves.view(-1, 2, 1).unbind(1)

    def values(points: Tensor) -> Tensor:
        return (amplitudes * (points.double() - phases).sin())[..., None]

    inputs = (points.view(*points.shape, 1, 1, 1) for points in (support, query))
    labels = (values(points) for points in (support, query))
    (x, xs), (y, ys) = inputs, labels
    return Episodes(x, y, xs, ys)
