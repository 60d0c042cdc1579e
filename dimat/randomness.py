"""The one place where randomness comes from.

Every random choice is drawn from its own generator, derived from (experiment, seed, agent, round,
purpose). Nothing depends on what was drawn before, so a resumed run draws what an undisturbed one would.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy
import torch


@dataclass(frozen=True)
class Randomness:
    """Generators for one experiment and seed.

    Torch generators live on the CPU: draws are the same whatever device trains.
    """

    experiment: str
    seed: int

    def _sequence(self, purpose: str, agent: int | None, round: int | None) -> numpy.random.SeedSequence:
        key = json.dumps([self.experiment, self.seed, agent, round, purpose])
        digest = hashlib.sha256(key.encode()).digest()
        return numpy.random.SeedSequence(numpy.frombuffer(digest, dtype="<u4").tolist())

    def numpy(
        self, purpose: str, *, agent: int | None = None, round: int | None = None
    ) -> numpy.random.Generator:
        """A numpy generator for one purpose."""
        return numpy.random.default_rng(self._sequence(purpose, agent, round))

    def torch(self, purpose: str, *, agent: int | None = None, round: int | None = None) -> torch.Generator:
        """A torch generator (CPU) for one purpose."""
        state = self._sequence(purpose, agent, round).generate_state(1, numpy.uint64)
        return torch.Generator().manual_seed(int(state[0]))
