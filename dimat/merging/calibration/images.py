"""Which images an agent may look at when it matches networks and calibrates normalization."""

from dimat.agents.networks import Networks
from dimat.communication.communicator import Communicator
from dimat.merging.averaging.adamerging import AdaMerging
from dimat.merging.averaging.coefficients import Entropy
from dimat.merging.calibration.options import Calibration
from dimat.models.passes import Pass
from dimat.spec import Spec


def visible_images(
    agents: Networks, communicator: Communicator, calibration: Calibration, agent: int | None, round: int
) -> Pass:
    """Passes over the images that ``agent`` may look at in ``round`` (`None`: all agents' images)."""
    holders = range(agents.agents)
    if agent is not None and calibration.images != "pooled":
        holders = [agent, *(communicator.senders(agent) if calibration.images == "neighbours" else ())]
    generator = agents.randomness.torch("images for merging", agent=agent, round=round)
    return agents.task.inputs(
        holders, calibration.limit, calibration.augmented, generator, calibration.batch_size
    )


def tuning_images(agents: Networks, coefficients: Spec, agent: int, round: int) -> Pass:
    """Passes over the unlabelled images on which ``agent`` tunes its coefficients in ``round``."""
    if not isinstance(coefficients, Entropy | AdaMerging):
        return lambda: iter(())
    generator = agents.randomness.torch("images for tuning", agent=agent, round=round)
    if coefficients.images == "test":
        return agents.task.test_inputs(coefficients.limit, generator)
    return agents.task.inputs([agent], coefficients.limit, False, generator)


def share_images(agents: Networks, communicator: Communicator, calibration: Calibration) -> None:
    """Count the bytes of the images that agents must hand to others before they can be looked at."""
    for agent in agents.local_agents:
        receivers = {
            "own": 0,
            "neighbours": len(communicator.senders(agent)),
            "pooled": agents.agents - 1,
        }[calibration.images]
        communicator.count(agent, "images", agents.task.held_bytes(agent) * receivers, receivers)
