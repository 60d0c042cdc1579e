"""Decentralized learning methods, one file each."""

from dimat.algorithms.dimat import Dimat
from dimat.algorithms.local import Local
from dimat.algorithms.method import Method, Stage
from dimat.algorithms.pooled import Pooled
from dimat.algorithms.weight_averaging import WeightAveraging
from dimat.spec import choice

AnyMethod = choice(Dimat, WeightAveraging, Local, Pooled)

__all__ = ["AnyMethod", "Dimat", "Local", "Method", "Pooled", "Stage", "WeightAveraging"]
