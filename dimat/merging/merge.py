"""One merge of every agent with its neighbours: exchange, match, average, repair.

All agents merge at once, from the networks as they stood before, each in its own frame: agent i
re-orders the neurons of each neighbour j like its own, then x_i <- sum_j pi_ij P_ij x_j.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from dimat.agents.networks import Fleet
from dimat.communication.communicator import Network
from dimat.merging.api import State, average, compare, with_state
from dimat.merging.calibration.images import share_images, tuning_images, visible_images
from dimat.merging.matching.assignment import inverse
from dimat.merging.matching.diagnostics import Diagnostic, diagnose
from dimat.merging.matching.frames import Frames, Relative, common_frames, in_place, matched_pair
from dimat.merging.matching.matcher import Similarity
from dimat.merging.matching.statistics import Pair
from dimat.merging.options import Merge
from dimat.models.symmetry import Permutations, permute


def merge_with_neighbours(fleet: Fleet, network: Network, merge: Merge, round: int) -> list[Diagnostic]:
    """Replace every network of ``fleet`` by the merge of its neighbourhood, in place.

    Returns what there is to say about the matching, layer by layer.
    """
    network.advance()
    received = network.exchange(fleet.states(), "models")
    if round == 1 and merge.uses_images:
        share_images(fleet, network, merge)
    met = acquaintances(fleet, received)
    matching = match_neighbours(fleet, network, merge, round, met)
    states = {agent: model.state_dict() for agent, model in met.items()}
    diagnostics = diagnose(states, fleet.groups, matching.permutations, matching.similarities, network)
    for row, agent in enumerate(fleet.mine if matching.frames else ()):
        frame = matching.frames[agent]
        fleet.reorder(row, frame)
        size = sum(order.nbytes for order in frame.values())
        receivers = len(network.receivers(agent))
        network.count(agent, "frames", matching.exchanges * size * receivers, matching.exchanges * receivers)

    merged = []
    for row, agent in enumerate(fleet.mine):
        aligned = [
            permute(state, fleet.groups, matching.remaining(agent, neighbour))
            for neighbour, state in in_their_frames(received[row], fleet, matching.frames).items()
        ]
        weights = [network.mixing[agent, source] for source in (agent, *received[row])]
        images = visible_images(fleet, network, merge, agent, round)
        unlabelled = tuning_images(fleet, merge, agent, round)
        scale = merge.shrink if round == 1 else 1.0
        own = fleet.models[row].state_dict()
        merged.append(average(fleet.models[row], [own, *aligned], weights, merge, images, unlabelled, scale))

    for model, other in zip(fleet.models, merged, strict=True):
        model.load_state_dict(other.state_dict())
    return diagnostics


def in_their_frames(received: Mapping[int, State], fleet: Fleet, frames: Frames) -> Mapping[int, State]:
    """What an agent received, with those in the frame they have found since who live in other processes."""
    if not frames:
        return received
    return {
        sender: state if sender in fleet.mine else permute(state, fleet.groups, frames[sender])
        for sender, state in received.items()
    }


def acquaintances(fleet: Fleet, received: Sequence[Mapping[int, State]]) -> dict[int, nn.Module]:
    """The networks that agents of this process know: their own, and those they received."""
    known = dict(zip(fleet.mine, fleet.models, strict=True))
    for messages in received:
        for sender, state in messages.items():
            if sender not in known:
                known[sender] = with_state(fleet.models[0], state)
    return known


@dataclass(frozen=True)
class Matching:
    """What was matched in one round.

    ``permutations`` are the P_ij of every agent i and neighbour j, as networks stood; ``similarities`` are
    what they were found by. ``frames``, if any, are the orders in which agents put themselves before they
    average, found in so many ``exchanges`` of frames between neighbours.
    """

    permutations: Mapping[Pair, Permutations]
    similarities: Mapping[Pair, Similarity] = field(default_factory=dict)
    frames: Frames = field(default_factory=dict)
    exchanges: int = 0

    def remaining(self, i: int, j: int) -> Permutations:
        """P_ij between networks that have already moved to their frames: Q_i^T P_ij Q_j."""
        matched = self.permutations[i, j]
        if not self.frames:
            return matched
        return {
            group: self.frames[j][group].argsort()[order[self.frames[i][group]]]
            for group, order in matched.items()
        }


def no_images() -> Iterator[Tensor]:
    """A pass over nothing, for matchers that look at nothing."""
    return iter(())


def match_neighbours(
    fleet: Fleet,
    network: Network,
    merge: Merge,
    round: int,
    models: Mapping[int, nn.Module] | None = None,
) -> Matching:
    """P_ij for every agent i and neighbour j, and the common frame if there is one.

    Where all look at the same pooled images, each link is matched once and P_ji = P_ij^T; otherwise
    every agent matches its neighbours on the images that it may look at. ``models`` are the networks that
    agents know, by default all of the fleet.
    """
    models = dict(enumerate(fleet.models)) if models is None else models
    links = [(agent, neighbour) for agent in fleet.mine for neighbour in network.neighbours(agent)]
    if not merge.matches(round):
        stay = in_place([0], fleet.groups)[0]
        return Matching(dict.fromkeys(links, stay))

    similarities: dict[Pair, Similarity] = {}
    if merge.images == "pooled" or not merge.matcher.looks_at_images:
        images = visible_images(fleet, network, merge, None, round) if merge.images == "pooled" else no_images
        edges = [edge for edge in network.edges() if edge[0] in fleet.mine or edge[1] in fleet.mine]
        similarities = compare(models, fleet.groups, edges, images, merge)
    else:
        for agent in fleet.mine:
            pairs = [link for link in links if link[0] == agent]
            met = {end: models[end] for end in (agent, *network.neighbours(agent))}
            images = visible_images(fleet, network, merge, agent, round)
            similarities |= compare(met, fleet.groups, pairs, images, merge)

    reward = merge.rematch.reward(round)
    anew = round == 1 or not merge.rematch.holds
    frames: Frames = {}
    exchanges = 0
    if merge.alignment == "consistent" or (merge.rematch.holds and round == 1):
        # Agents would take turns, each from the orders that its neighbours tell it. Processes carry out all
        # turns at once instead, from what all of them have seen; what agents would send is counted.
        seen = network.collect(similarities)
        frames, exchanges = common_frames(seen, fleet.groups, fleet.agents, reward, anew)
    if merge.alignment == "consistent":
        found = {(i, j): dict(Relative(frames[i], frames[j])) for i, j in links}
    else:
        found = {
            pair: matched_pair(similarity, fleet.groups, reward) for pair, similarity in similarities.items()
        }
        found |= {(j, i): inverse(order) for (i, j), order in found.items() if (j, i) not in found}
        found = {link: found[link] for link in links}
    return Matching(found, similarities, frames, exchanges)
