"""The loss on the training images of all agents after each merge, for runs that record it."""

from typing_extensions import override

from dimat.experiment.runs import Run
from dimat.tasks.task import Metric
from paper.figures.rounds import RoundsFigure

TRAINING_LOSS = Metric("training_loss", "training loss", better="lower")


class TrainingLossFigure(RoundsFigure):
    """How well agents fit the images of all."""

    kind = "training-loss"
    logarithmic = True

    @property
    @override
    def metric(self) -> Metric:
        return TRAINING_LOSS

    @property
    @override
    def runs(self) -> dict[str, Run]:
        return {id: run for id, run in self.comparison.runs.items() if "training_loss" in run.measures}

    @override
    def applies(self) -> bool:
        return bool(self.runs)
