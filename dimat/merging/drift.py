"""The drift of a merge: what it moves the mean of all agents by, in steps of the training that goes on.

Averages alone leave the mean where it is; permutations that do not agree around cycles, and new frames, move
it. What that costs a bound is (2 / alpha^2) mean |m|^2 (theory/bounds/changing_merges.py).
"""

import torch
from torch import Tensor

from dimat.agents.networks import Networks
from dimat.communication.communicator import Communicator
from dimat.merging.matching.diagnostics import Diagnostic

DRIFT = "drift"


def drift(agents: Networks, communicator: Communicator, before: Tensor, round: int) -> Diagnostic:
    """|m| / alpha after the merge of a ``round``, of all agents and layers together.

    m is the mean over agents of their parameters, as they stand, minus that ``before`` the merge, which is
    given of local agents (n, d); all that the merge did to them counts. alpha is the learning rate that
    training goes on with.
    """
    moves = dict(zip(agents.local_agents, agents.parameters.double() - before, strict=True))
    everywhere = communicator.collect(moves)
    mean = torch.stack([everywhere[agent] for agent in sorted(everywhere)]).mean(0)
    rate = agents.optimizer.rate_at((round - 1) * agents.epochs, steps_per_epoch=1)
    return Diagnostic("", DRIFT, float(mean.norm()) / rate)
