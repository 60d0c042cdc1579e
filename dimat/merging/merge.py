"""Algorithm 1 of the paper: one merge of every agent with its neighbours.

All agents merge at once, from the networks as they stood before, each in its own frame: agent i
re-orders the neurons of each neighbour j like its own, then x_i <- sum_j pi_ij P_ij x_j. Without matching,
all P_ij are the identity: plain averaging. The five steps below are those of the algorithm.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dimat.agents.networks import Networks
from dimat.arithmetic import arithmetic
from dimat.communication.communicator import Communicator
from dimat.merging.averaging.merged import average, with_state
from dimat.merging.averaging.options import Averaging
from dimat.merging.averaging.sums import sums_of
from dimat.merging.averaging.task_vectors import TaskVectors
from dimat.merging.calibration.images import share_images, tuning_images, visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.repair import repair
from dimat.merging.drift import drift
from dimat.merging.matching.diagnostics import Diagnostic, diagnose
from dimat.merging.matching.neighbours import Matched, match_neighbours
from dimat.merging.options import Merging
from dimat.models.symmetry import permute

State = Mapping[str, Tensor]
START = "start"
"""What each agent keeps of its parameters before the first merge, where task vectors are added."""


def merge_with_neighbours(
    agents: Networks, communicator: Communicator, merging: Merging, averaging: Averaging, round: int
) -> list[Diagnostic]:
    """Replace the network of every agent by the merge of its neighbourhood, in place.

    Returns what there is to say about the matching, layer by layer, about its drift, and about coefficients.
    Where task vectors are added, agents keep the parameters from which these count, `START`.
    """
    calibration = merging.calibration or Calibration(repair="none")
    # 1. Send one's own network to the neighbours, and receive theirs.
    communicator.advance()
    agents.attacked(communicator.time)
    received: list[dict[int, State]] = communicator.send_to_receivers(agents.states(), "models")
    if round == 1 and merging.looks_at_images:
        share_images(agents, communicator, calibration)
    # 2. Find the permutations P_ij that bring each neighbour's neurons in the order of one's own.
    matched, diagnostics, before = None, [], None
    if merging.matching is not None:
        before = agents.parameters
        known = known_models(agents, communicator, received)
        matched = match_neighbours(agents, communicator, merging.matching, calibration, round, known)
        diagnostics = diagnose(known, agents.symmetry, matched, communicator)
        move_to_frames(agents, communicator, matched)

    merged, coefficients = [], {}
    for row, agent in enumerate(agents.local_agents):
        # 3. Re-order the neighbours' neurons: P_ij x_j.
        aligned = [
            state if matched is None else matched.like(agent, other, state, agents.symmetry)
            for other, state in in_their_frames(received[row], agents, matched).items()
        ]
        # 4. Average with the mixing weights: x_i <- sum_j pi_ij P_ij x_j.
        own = agents.models[row].state_dict()
        weights = [communicator.mixing[agent, source] for source in (agent, *received[row])]
        unlabelled = tuning_images(agents, averaging.coefficients, agent, round)
        base = None
        if isinstance(averaging.coefficients, TaskVectors):
            base = agents.by_name(agents.state[START][row])
        states = [own, *aligned]
        first = round == 1
        new, coefficients[agent] = average(
            agents.models[row], states, weights, averaging, unlabelled, first=first, base=base
        )
        # 5. Recalibrate the statistics of normalization, which averaging has spoilt.
        if calibration.repair != "none":
            images = visible_images(agents, communicator, calibration, agent, round)
            with arithmetic(agents.device, calibration.precision):
                repair(new, states, weights, calibration.repair, images)
        merged.append(new)

    for model, other in zip(agents.models, merged, strict=True):
        model.load_state_dict(other.state_dict())
    if before is not None:
        diagnostics.append(drift(agents, communicator, before, round))
    return [*diagnostics, *sums_of(coefficients, communicator)]


def known_models(
    agents: Networks, communicator: Communicator, received: Sequence[Mapping[int, State]]
) -> dict[int, dict[int, nn.Module]]:
    """The networks that each agent of this process knows: its own, and those it received.

    Unless messages are late, all have the same of a network, and share what they know.
    """
    own: dict[int, nn.Module] = dict(zip(agents.local_agents, agents.models, strict=True))
    if communicator.delayed:
        return {
            agent: {agent: own[agent]}
            | {sender: with_state(agents.models[0], state) for sender, state in messages.items()}
            for agent, messages in zip(agents.local_agents, received, strict=True)
        }
    for messages in received:
        for sender, state in messages.items():
            if sender not in own:
                own[sender] = with_state(agents.models[0], state)
    return dict.fromkeys(agents.local_agents, own)


def move_to_frames(agents: Networks, communicator: Communicator, matched: Matched) -> None:
    """Let every agent put itself in the frame that was found for it, with all that it keeps."""
    for agent, frame in matched.frames.items():
        agents.reorder(agent, frame)
        if agent in agents.local_agents:
            size = sum(order.nbytes * (len(order) if matched.soft else 1) for order in frame.values())
            messages = matched.exchanges * len(communicator.receivers(agent))
            communicator.count(agent, "frames", size * messages, messages)


def in_their_frames(
    received: Mapping[int, State], agents: Networks, matched: Matched | None
) -> Mapping[int, Any]:
    """What an agent received, with those in the frame they have found since who live in other processes."""
    if matched is None or not matched.frames:
        return received
    return {
        sender: state
        if sender in agents.local_agents
        else permute(state, agents.symmetry, matched.frames[sender])
        for sender, state in received.items()
    }
