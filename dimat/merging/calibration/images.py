"""Which images an agent may look at when it matches networks and repairs normalization."""

import torch

from dimat.agents.networks import Fleet
from dimat.communication.communicator import Network
from dimat.merging.api import Pass
from dimat.merging.averaging.coefficients import Entropy
from dimat.merging.options import Merge


def visible_images(fleet: Fleet, network: Network, merge: Merge, agent: int | None, round: int) -> Pass:
    """Passes over the images that ``agent`` may look at in ``round`` (`None`: all agents' images)."""
    holders = {
        "own": [agent],
        "neighbours": [agent, *([] if agent is None else network.neighbours(agent))],
        "pooled": range(fleet.agents),
    }[merge.images]
    indices = torch.cat([fleet.holdings[holder] for holder in holders])
    generator = fleet.randomness.torch("images for merging", agent=agent, round=round)
    chosen = indices[torch.randperm(len(indices), generator=generator)][: merge.limit]
    draws = fleet.augmentation.draw(len(chosen), generator) if merge.augmented else None
    return lambda: fleet.batches(chosen, draws)


def tuning_images(fleet: Fleet, merge: Merge, agent: int, round: int) -> Pass:
    """Passes over the unlabelled images on which ``agent`` tunes its coefficients in ``round``."""
    options = merge.coefficients
    if not isinstance(options, Entropy):
        return lambda: iter(())
    test = options.images == "test"
    indices = torch.arange(len(fleet.data.test_images)) if test else fleet.holdings[agent].cpu()
    generator = fleet.randomness.torch("images for tuning", agent=agent, round=round)
    chosen = indices[torch.randperm(len(indices), generator=generator)][: options.limit].to(fleet.device)
    return lambda: fleet.batches(chosen, test=test)


def share_images(fleet: Fleet, network: Network, merge: Merge) -> None:
    """Count the bytes of the images that agents must hand to others before they can be looked at."""
    for agent in fleet.mine:
        receivers = {
            "own": 0,
            "neighbours": len(network.neighbours(agent)),
            "pooled": fleet.agents - 1,
        }[merge.images]
        size = fleet.data.train_images[0].nbytes * len(fleet.holdings[agent])
        network.count(agent, "images", size * receivers, receivers)
