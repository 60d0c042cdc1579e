"""Which neurons of every agent's neighbours go with its own."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dimat.agents.networks import Networks
from dimat.arithmetic import arithmetic
from dimat.communication.communicator import Communicator
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.assignment import inverse
from dimat.merging.matching.closer import closer
from dimat.merging.matching.compare import compare
from dimat.merging.matching.frames import Frames, Relative, common_frames, in_place, matched_pair
from dimat.merging.matching.matcher import Similarity, Soft
from dimat.merging.matching.options import Matching
from dimat.merging.matching.soft import soft_maps, transposed
from dimat.merging.matching.statistics import Pair
from dimat.merging.matching.universe import universal_frames
from dimat.models.groups import Group, Permutations, mix, permute
from dimat.models.passes import Pass


@dataclass(frozen=True)
class Matched:
    """What was matched in one round.

    ``permutations`` are the P_ij of every agent i and neighbour j, as networks stood; ``similarities`` are
    what they were found by. ``frames``, if any, are the orders in which agents put themselves before they
    average, found in so many ``exchanges`` of frames between neighbours; ``soft``, if these were matrices
    and not yet permutations. ``shares`` are the maps by which neighbours are re-expressed where these are
    soft, and ``permutations`` what they would be at temperature 0.
    """

    permutations: Mapping[Pair, Permutations]
    similarities: Mapping[Pair, Similarity] = field(default_factory=dict)
    frames: Frames = field(default_factory=dict)
    exchanges: int = 0
    soft: bool = False
    shares: Mapping[Pair, Soft] = field(default_factory=dict)

    def like(self, i: int, j: int, state: Mapping[str, Tensor], groups: list[Group]) -> dict[str, Tensor]:
        """The network of j, in the frame that was found for it, with its neurons as those of i stand."""
        if (i, j) in self.shares:
            return mix(state, groups, self.shares[i, j])
        return permute(state, groups, self.remaining(i, j))

    def remaining(self, i: int, j: int) -> Permutations:
        """P_ij between networks that have already moved to their frames: Q_i^T P_ij Q_j."""
        matched = self.permutations[i, j]
        if not self.frames:
            return matched
        return {
            group: self.frames[j][group].argsort()[order[self.frames[i][group]]]
            for group, order in matched.items()
        }


def match_neighbours(
    agents: Networks,
    communicator: Communicator,
    matching: Matching,
    calibration: Calibration,
    round: int,
    known: Mapping[int, Mapping[int, nn.Module]] | None = None,
) -> Matched:
    """P_ij for every agent i and neighbour j, and the common frame if there is one.

    Where all look at the same pooled images, each link is matched once and P_ji = P_ij^T; otherwise
    every agent matches its neighbours on the images that it may look at. So it does where messages are late,
    as neighbours may not be any more what it knows of them. ``known`` are the networks that each local agent
    knows, by default all of them.
    """
    if known is None:
        everyone = dict(enumerate(agents.models))
        known = dict.fromkeys(agents.local_agents, everyone)
    links = [(agent, other) for agent in agents.local_agents for other in communicator.senders(agent)]
    groups = agents.symmetry
    if not matching.rematch.due(round):
        return Matched(dict.fromkeys(links, in_place([0], groups)[0]))

    with arithmetic(agents.device, calibration.precision):
        similarities = _similarities(agents, communicator, matching, calibration, round, links, known)
    reward = matching.rematch.reward(round)
    frames: Frames = {}
    shares: dict[Pair, Soft] = {}
    exchanges = 0
    universal = matching.alignment == "universe"
    if matching.alignment != "per_edge" or (matching.rematch.holds and round == 1):
        # Agents would take turns, each from the orders that its neighbours tell it. Processes carry out all
        # turns at once instead, from what all of them have seen; what agents would send is counted.
        packed = communicator.collect({pair: each.packed() for pair, each in similarities.items()})
        seen = {pair: matching.matcher.unpacked(each, groups) for pair, each in packed.items()}
        anew = round == 1 or not matching.rematch.holds
        if universal:
            frames, exchanges = universal_frames(seen, groups, agents.agents)
        else:
            frames, exchanges = common_frames(seen, groups, agents.agents, reward, anew)
        if matching.rematch.if_closer and round > 1 and not closer(agents, communicator, frames):
            frames = in_place(frames, groups)
    if matching.alignment != "per_edge":
        found = {(i, j): dict(Relative(frames[i], frames[j])) for i, j in links}
    else:
        # What lies on the CPU is assigned in threads: scipy does that without Python's lock.
        threads = 1 if any(seen.coupled for seen in similarities.values()) else torch.get_num_threads()
        with ThreadPoolExecutor(threads) as pool:
            match = pool.map if threads > 1 else map
            orders = match(lambda seen: matched_pair(seen, groups, reward), similarities.values())
            found = dict(zip(similarities, orders, strict=True))
        if (temperature := matching.matcher.temperature) is not None:
            shares = {
                pair: soft_maps(seen, groups, found[pair], temperature) for pair, seen in similarities.items()
            }
            shares |= {(j, i): transposed(soft) for (i, j), soft in shares.items() if (j, i) not in shares}
        found |= {(j, i): inverse(order) for (i, j), order in found.items() if (j, i) not in found}
        found = {link: found[link] for link in links}
        shares = {link: shares[link] for link in links if shares}
    return Matched(found, similarities, frames, exchanges, soft=universal, shares=shares)


def _similarities(
    agents: Networks,
    communicator: Communicator,
    matching: Matching,
    calibration: Calibration,
    round: int,
    links: list[Pair],
    known: Mapping[int, Mapping[int, nn.Module]],
) -> dict[Pair, Similarity]:
    """What local agents see of each other: once a link on pooled images, or by every agent for itself."""
    groups, recalibrates = agents.symmetry, calibration.repair != "none"
    pooled, looks = calibration.images == "pooled", matching.matcher.looks_at_images

    def seen_by(agent: int | None) -> Pass:
        return visible_images(agents, communicator, calibration, agent, round) if looks else _no_images

    if (pooled or not looks) and not communicator.delayed:
        local = set(agents.local_agents)
        edges = [edge for edge in communicator.edges() if not local.isdisjoint(edge)]
        models = {end: model for models in known.values() for end, model in models.items()}
        return compare(models, groups, edges, seen_by(None), matching, recalibrates=recalibrates)
    found: dict[Pair, Similarity] = {}
    for agent in agents.local_agents:
        pairs = [link for link in links if link[0] == agent]
        met = {end: known[agent][end] for end in (agent, *communicator.senders(agent))}
        images = seen_by(None if pooled else agent)
        found |= compare(met, groups, pairs, images, matching, recalibrates=recalibrates)
    return found


def _no_images() -> Iterator[Tensor]:
    """A pass over nothing, for matchers that look at nothing."""
    return iter(())
