"""Whether agents are closer to each other in new frames: what they ask before they move."""

import torch

from dimat.agents.disagreement import disagreement
from dimat.agents.networks import Networks
from dimat.communication.communicator import Communicator
from dimat.merging.matching.frames import Frames, spanning_tree


def closer(agents: Networks, communicator: Communicator, frames: Frames) -> bool:
    """Xi' < Xi: the mean squared distance from the mean of all agents falls when they move to ``frames``.

    Norms do not change when neurons are re-ordered, so agents need the means alone. Each tells its parent in
    a spanning tree the sums below it, as they stand and as they would, and hears a byte in return; that is
    counted. If links in use do not join all agents, none can tell, and the answer is no.
    """
    tree = spanning_tree(communicator.edges(), agents.agents)
    if len(tree) < agents.agents - 1:
        return False
    own = dict(zip(agents.local_agents, agents.parameters.double(), strict=True))
    everyone = communicator.collect(own)
    standing = torch.stack([everyone[agent] for agent in sorted(everyone)])
    moved = torch.stack([agents.reordered(row, frames[agent]) for agent, row in enumerate(standing)])
    network = agents.parameters[0].nbytes
    for parent, agent in tree:
        for sender, size in ((agent, 2 * network), (parent, 1)):
            if sender in agents.local_agents:
                communicator.count(sender, "frames", size, 1)
    return disagreement(moved) < disagreement(standing)
