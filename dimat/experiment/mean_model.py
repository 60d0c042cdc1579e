"""The mean of all agents' networks: what they would be if all averaged at once, in one place."""

from dimat.agents.networks import Networks
from dimat.arithmetic import arithmetic
from dimat.communication.communicator import Communicator
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.merged import with_state
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.repair import repair


def mean_model_scores(
    agents: Networks, communicator: Communicator, calibration: Calibration | None, round: int
) -> dict[str, float]:
    """What the task records of the network whose parameters are the mean over all agents but an attacker.

    It is repaired as ``calibration`` says of merged networks, of which all agents are the parents; so it
    looks at everybody's images, whatever one agent alone may look at. The agents stay as they are, and
    nothing counts as sent. Empty but in the main process.
    """
    gathered = communicator.gather(dict(zip(agents.local_agents, agents.states(), strict=True)))
    if not communicator.is_main:
        return {}
    states = [
        {name: tensor.to(agents.device, non_blocking=True) for name, tensor in gathered[agent].items()}
        for agent in sorted(gathered)
        if not agents.attacks(agent)
    ]
    weights = [1 / len(states)] * len(states)
    network = with_state(agents.models[0], weighted_average(states, weights))
    if calibration is not None and calibration.repair != "none":
        images = visible_images(agents, communicator, calibration, None, round)
        with arithmetic(agents.device, calibration.precision):
            repair(network, states, weights, calibration.repair, images)
    return agents.task.evaluate(agents.local_agents[0], network)
