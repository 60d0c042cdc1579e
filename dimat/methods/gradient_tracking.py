"""Gradient tracking, in three forms that differ in what is averaged before and what after a step."""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous


class GradientTracking(Synchronous):
    """Every agent tracks the mean gradient with Y, whose mean is that of the gradients, and follows it.

    At a fixed point no heterogeneity of the data is left in X. It sends twice as much as D-PSGD. With
    Y = G(X) at first, and G' the gradients at the next iterates X':

    - `diging` (DIGing; Nedic, Olshevsky and Shi 2017): X' = W X - rate Y, Y' = W Y + G' - G;
    - `dsgt` (DSGT; Pu and Nedic 2021): X' = W (X - rate Y), Y' = W Y + G' - G;
    - `aug_dgm` (Aug-DGM; Xu, Zhu, Soh and Xie 2015): X' = W (X - rate Y), Y' = W (Y + G' - G).

    The last two are stable up to several times the rate of DIGing, and the last up to the largest; for its
    trackers, agents wait for a second message at every step.
    """

    name: Literal["gradient_tracking"] = "gradient_tracking"
    title: ClassVar[str] = "gradient tracking"
    every_link: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("trackers"), PerAgent("gradients"))
    form: Literal["diging", "dsgt", "aug_dgm"] = "aug_dgm"
    """What is averaged: iterates before and trackers after a step (`diging`, Nedic, Olshevsky and Shi 2017),
    steps and trackers (`dsgt`, Pu and Nedic 2021), or steps and what trackers learn, too (`aug_dgm`, Xu, Zhu,
    Soh and Xie 2015)."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        """With the links of a step, X and Y of the same step are mixed, whatever they are in the next."""
        x = agents.parameters
        gradients = self.gradients(step, x)
        trackers = agents.state["trackers"] + gradients - agents.state["gradients"]
        if self.form == "aug_dgm" and step.number:
            trackers = communicator.mix(trackers, "trackers")
        if self.form == "diging":
            agents.parameters = communicator.mix(x, "models") - rate * trackers
        else:
            agents.parameters = communicator.mix(x - rate * trackers, "models")
        if self.form != "aug_dgm":
            trackers = communicator.mix(trackers, "trackers")
        agents.state["trackers"], agents.state["gradients"] = trackers, gradients
