"""Sine waves, each a task of few-shot regression (Finn, Abbeel and Levine 2017; Kayaalp et al. 2022)."""

import math
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

import numpy
import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from dimat.data.data_set import DataFolders, DataSet, Known
from dimat.data.image_set import ImageSet
from dimat.randomness import Randomness

AMPLITUDES = (0.1, 5.0)
PHASES = (0.0, math.pi)


class Sines(DataSet):
    """Waves a sin(x - p), with amplitudes a in [0.1, 5] and phases p in [0, pi], drawn uniformly.

    An example is the wave itself, (a, p), and its class the band of its amplitude: with as many agents as
    bands, the partition `classes` gives each agent a band of its own, as published.
    """

    extent = (24_000, 2, 1)
    examples: ClassVar[str] = "waves"
    name: Literal["sines"] = "sines"
    flip: bool = False
    """Of no use: waves are not augmented."""
    bands: Annotated[int, Field(ge=1, le=100)] = 6
    """Bands of equal width that amplitudes are divided into."""
    waves: Annotated[int, Field(ge=1, le=10**6)] = 4000
    """Waves of each band to learn from."""
    test_waves: Annotated[int, Field(ge=1, le=10**6)] = 1000
    """Waves of all bands together to be tested on."""

    @model_validator(mode="after")
    def _no_images(self) -> Self:
        if self.size is not None or self.flip or self.crop:
            raise ValueError("sines are no images; expected neither size, flip nor crop")
        if self.test_waves < self.bands:
            raise ValueError(
                f"test_waves: {self.test_waves}; expected {self.bands} or more, one of each band"
            )
        return self

    @override
    def content(self, folders: DataFolders) -> str:
        del folders
        return "drawn by a rule"

    @override
    def known(self) -> Known:
        test = numpy.bincount(numpy.arange(self.test_waves) % self.bands)
        return Known(1, (self.waves,) * self.bands, tuple(test.tolist()))

    @override
    def read(self, folders: DataFolders) -> ImageSet:
        """Waves are drawn, the same ones in every study."""
        del folders
        ends = numpy.linspace(*AMPLITUDES, self.bands + 1)
        names = [f"amplitude {low:.2f} to {high:.2f}" for low, high in pairwise(ends)]
        train = self._drawn("waves to learn from", self.waves * self.bands)
        return ImageSet("sines", tuple(names), *train, *self._drawn("waves to be tested on", self.test_waves))

    def _drawn(self, purpose: str, waves: int) -> tuple[Tensor, Tensor]:
        """(waves, 2, 1, 1), float64, and bands (waves,), in turn."""
        generator = Randomness(f"sines, {self.bands} bands", 0).numpy(purpose)
        bands = numpy.arange(waves) % self.bands
        shares = (bands + generator.random(waves)) / self.bands
        amplitudes = AMPLITUDES[0] + (AMPLITUDES[1] - AMPLITUDES[0]) * shares
        drawn = numpy.stack([amplitudes, generator.uniform(*PHASES, waves)], axis=1)
        return torch.from_numpy(drawn).view(waves, 2, 1, 1), torch.from_numpy(bands)
