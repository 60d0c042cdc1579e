"""Memory of many agents in one program, over that of their parameters."""

from dataclasses import dataclass

import torch

from benchmarks.measuring import Growth, in_fresh_process
from benchmarks.random_networks import random_networks
from dimat.agents.training import Training
from dimat.communication.in_process import InProcess
from dimat.data.augmentation import Augmentation
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.options import Merging
from dimat.methods import Dimat
from dimat.models import Plain
from dimat.topology import Ring

MODEL = Plain(widths=(64, 128, 128))
"""Small, but its parameters (0.9 MB) outweigh the Python objects around them."""
SIZE = 16
SHARE = 10
"""Images of an agent: one batch, so that activations take the same memory whatever the number of agents."""
SEEN = 64
"""Images, of all agents, that a merge looks at."""


@dataclass(frozen=True)
class AgentsRow:
    """One line of the table; sizes in bytes.

    ``ratio`` is ``peak``, by how much memory grows at most, over the ``parameters`` of all agents;
    ``slope`` the same for the agents beyond those of the line before, and so without what is there once.
    """

    agents: int
    rounds: int
    parameters: int
    peak: int
    ratio: float
    slope: float | None


def measure(agents: int, rounds: int, threads: int, device: str, before: AgentsRow | None) -> AgentsRow:
    """``rounds`` of merging and training on a ring, in a process of its own."""
    parameters, peak = in_fresh_process(memory_of, agents, rounds, threads, device)
    slope = (peak - before.peak) / (parameters - before.parameters) if before else None
    return AgentsRow(agents, rounds, parameters, peak, peak / parameters, slope)


def memory_of(agents: int, rounds: int, threads: int, device: str) -> tuple[int, int]:
    """Bytes of all agents' parameters, and by how many bytes memory grows from before there are agents."""
    torch.set_num_threads(threads)
    run(3, 2, device)  # libraries load
    growth = Growth(torch.device(device))
    return run(agents, rounds, device), growth.peak()


def run(agents: int, rounds: int, device: str) -> int:
    """Build agents and let them merge and train; bytes of their parameters."""
    training = Training(batch_size=SHARE, epochs=1)
    augmentation = Augmentation(flip=True, crop=2)
    networks = random_networks(
        MODEL, agents, SHARE * agents, SIZE, torch.device(device), training, augmentation
    )
    communicator = InProcess(Ring().mixing_matrix(agents))
    merging = Merging(Matching(), Calibration(limit=SEEN))
    for _ in Dimat().rounds(networks, communicator, merging, first=1, last=rounds):
        pass
    return sum(tensor.nbytes for model in networks.models for tensor in model.parameters())
