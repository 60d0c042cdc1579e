"""Normalization recalibrated for evaluation, where nothing is matched."""

from dimat.agents.agents import Agents
from dimat.agents.networks import Networks
from dimat.arithmetic import arithmetic
from dimat.communication.communicator import Communicator
from dimat.merging.calibration.images import share_images, visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.recalibration import recalibrate


def calibrate(
    agents: Agents, communicator: Communicator, calibration: Calibration | None, round: int
) -> None:
    """Recalibrate networks on the images that each agent may look at, if ``calibration`` says so."""
    if calibration is None or calibration.repair != "recalibrate" or not isinstance(agents, Networks):
        return
    if round == 1:
        share_images(agents, communicator, calibration)
    for agent, model in zip(agents.local_agents, agents.models, strict=True):
        images = visible_images(agents, communicator, calibration, agent, round)
        with arithmetic(agents.device, calibration.precision):
            recalibrate(model, images())
