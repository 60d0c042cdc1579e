"""What agents learn: the objectives that a configuration can ask for."""

from typing import Annotated

from dimat.spec import OneOf
from dimat.tasks.auc import Auc
from dimat.tasks.classification import Classification
from dimat.tasks.logistic import BinaryCrossEntropy
from dimat.tasks.objective import Objective
from dimat.tasks.rotated import Rotated
from dimat.tasks.rotations import Rotations
from dimat.tasks.sines import SineRegression
from dimat.tasks.task import Metric, Task

AnyObjective = Annotated[
    Classification | BinaryCrossEntropy | Auc | SineRegression | Rotations | Rotated, OneOf()
]

__all__ = [
    "AnyObjective",
    "Auc",
    "BinaryCrossEntropy",
    "Classification",
    "Metric",
    "Objective",
    "Rotated",
    "Rotations",
    "SineRegression",
    "Task",
]
