"""What agents learn: the objectives that a configuration can ask for."""

from typing import Annotated

from dimat.spec import OneOf
from dimat.tasks.classification import Classification
from dimat.tasks.objective import Objective
from dimat.tasks.rotated import Rotated
from dimat.tasks.task import Metric, Task

AnyObjective = Annotated[Classification | Rotated, OneOf()]

__all__ = ["AnyObjective", "Classification", "Metric", "Objective", "Rotated", "Task"]
