"""The schedule of local training."""

from typing import Annotated, Literal

from pydantic import Field

from dimat.agents.optimizers import Adam, AnyOptimizer
from dimat.arithmetic import Precision
from dimat.spec import Spec

Count = Annotated[int, Field(ge=1)]


class Training(Spec):
    """Pre-training, rounds, and the local steps in between."""

    pretrain_epochs: Annotated[int, Field(ge=0)] = 30
    """Epochs that each agent trains alone before the first merge."""
    pretrain_schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate of pre-training: constant (published), or falling to 0 along half a cosine."""
    rounds: Count = 10
    """Number of merges; the last round ends with its merge."""
    epochs: Count = 2
    """Local epochs between two merges."""
    steps: Literal["own", "equal"] = "own"
    """Steps of an agent in an epoch: as many as it takes to see its `own` images once (published), or,
    `equal` for all, as many as the mean agent needs, through one's own images as often as that takes. Methods
    that communicate at every step always take equal ones."""
    batch_size: Count = 100
    """Images per step, and per batch of evaluation and merging; the last batch may be smaller. Two or more,
    as a single image has no batch statistics; of the task `sines`, waves per step, one or more."""
    optimizer: AnyOptimizer = Adam()
    """Optimizer of all local steps."""
    optimizer_state: Literal["reset", "kept"] = "reset"
    """Whether momentum and the like start anew after every merge (published) or are kept."""
    start: Literal["different", "same"] = "different"
    """Whether agents start from initializations of their own (published) or from one they share."""
    precision: Precision = "float32"
    """Arithmetic of the forward and backward pass (`bfloat16`: automatic mixed precision)."""
