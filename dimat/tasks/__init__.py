"""What agents learn: the objectives that a configuration can ask for."""

from typing import Annotated

from dimat.spec import OneOf
from dimat.tasks.classification import Classification
from dimat.tasks.objective import Objective
from dimat.tasks.rotations import Rotations
from dimat.tasks.sines import SineRegression
from dimat.tasks.task import Metric, Task

AnyObjective = Annotated[Classification | SineRegression | Rotations, OneOf()]

__all__ = ["AnyObjective", "Classification", "Metric", "Objective", "Rotations", "SineRegression", "Task"]
