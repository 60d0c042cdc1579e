"""A learning rate and how it changes: warm-up, milestones and decay, as deep-learning libraries have them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from dimat.spec import Many, Spec

Rate = Annotated[float, Field(gt=0, le=1e3)]
Factor = Annotated[float, Field(gt=0, le=1)]


class Scheduled(Spec):
    """A learning rate and its schedule, which begins with the first merge; by default it is constant.

    Its parts multiply, each as in torch: a line during warm-up (LinearLR, step by step), a factor at each
    milestone (MultiStepLR) and one after each epoch (ExponentialLR).
    """

    learning_rate: Rate = 0.01
    """Step size."""
    decay: Factor = 1.0
    """Factor of the step size after each local epoch."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Epochs at the start in which the step size grows along a line up to `learning_rate`."""
    warmup_start: Factor = 0.1
    """Share of `learning_rate` with which the warm-up starts."""
    milestones: Many[Annotated[int, Field(ge=1)]] = ()
    """Numbers of local epochs after which the step size falls, in ascending order."""
    milestone_factor: Factor = 0.1
    """Factor of the step size at each milestone."""

    @model_validator(mode="after")
    def _schedule_makes_sense(self) -> Self:
        fields = Scheduled.model_fields
        for key, needed in (("warmup_start", "warmup"), ("milestone_factor", "milestones")):
            if getattr(self, key) != fields[key].default and not getattr(self, needed):
                raise ValueError(f"{key} without {needed} changes nothing; expected {needed} beside it")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones: expected epochs in ascending order, got {list(self.milestones)}")
        return self

    def unscheduled(self) -> Self:
        """The same with a constant learning rate."""
        usual = {name: field.default for name, field in Scheduled.model_fields.items()}
        return self.model_copy(update=usual | {"learning_rate": self.learning_rate})

    def rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The step size of a step, counted from 0, where an epoch has so many steps."""
        epoch = step // steps_per_epoch
        rate = self.learning_rate * self.decay**epoch
        rate *= self.milestone_factor ** sum(epoch >= milestone for milestone in self.milestones)
        warming = self.warmup * steps_per_epoch
        if step < warming:
            rate *= self.warmup_start + (1 - self.warmup_start) * step / warming
        return rate
