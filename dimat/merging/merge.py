"""One merge of every agent with its neighbours: exchange, match, average, repair.

All agents merge at once, from the networks as they stood before, each in its own frame: agent i
re-orders the neurons of each neighbour j like its own, then x_i <- sum_j pi_ij P_ij x_j.
"""

import copy
from collections.abc import Mapping

from dimat.merging.assignment import inverse
from dimat.merging.average import weighted_average
from dimat.merging.images import Pass, share_images, visible_images
from dimat.merging.options import Merge
from dimat.merging.recalibration import recalibrate
from dimat.merging.statistics import Pair
from dimat.models.symmetry import Permutations, permute
from dimat.network.in_process import InProcess
from dimat.training.fleet import Fleet


def merge_with_neighbours(fleet: Fleet, network: InProcess, merge: Merge, round: int) -> None:
    """Replace every network of ``fleet`` by the merge of its neighbourhood, in place."""
    received = network.exchange(fleet.states(), "models")
    if round == 1 and merge.uses_images:
        share_images(fleet, network, merge)
    permutations = match_neighbours(fleet, network, merge, round)

    merged = []
    for agent, own in enumerate(fleet.states()):
        aligned = [
            permute(state, fleet.groups, permutations[agent, neighbour])
            for neighbour, state in received[agent].items()
        ]
        weights = [network.mixing[agent, source] for source in (agent, *received[agent])]
        merged.append(weighted_average([own, *aligned], weights))

    for agent, state in enumerate(merged):
        fleet.models[agent].load_state_dict(state)
        if merge.repair == "recalibrate":
            recalibrate(fleet.models[agent], visible_images(fleet, network, merge, agent, round)())


def match_neighbours(
    fleet: Fleet, network: InProcess, merge: Merge, round: int
) -> Mapping[Pair, Permutations]:
    """P_ij for every agent i and neighbour j.

    Where all look at the same pooled images, each link is matched once and P_ji = P_ij^T; otherwise
    every agent matches its neighbours on the images that it may look at.
    """
    if merge.images == "pooled":
        matched = match_on(visible_images(fleet, network, merge, None, round), network.edges(), fleet, merge)
        return {**matched, **{(j, i): inverse(found) for (i, j), found in matched.items()}}
    permutations: dict[Pair, Permutations] = {}
    for agent in range(fleet.agents):
        pairs = [(agent, neighbour) for neighbour in network.neighbours(agent)]
        permutations |= match_on(visible_images(fleet, network, merge, agent, round), pairs, fleet, merge)
    return permutations


def match_on(images: Pass, pairs: list[Pair], fleet: Fleet, merge: Merge) -> dict[Pair, Permutations]:
    """Match the networks of each pair on the same ``images``."""
    models = {agent: fleet.models[agent] for agent in sorted({agent for pair in pairs for agent in pair})}
    if merge.repair == "recalibrate" and merge.matcher.looks_at_images:
        models = {agent: copy.deepcopy(model) for agent, model in models.items()}
        for model in models.values():
            recalibrate(model, images())
    return merge.matcher.match(models, fleet.groups, pairs, images())
