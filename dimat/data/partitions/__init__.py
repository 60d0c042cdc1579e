"""Partitions of the training images among agents."""

from typing import Annotated

from dimat.data.partitions.dirichlet import Dirichlet
from dimat.data.partitions.iid import Iid
from dimat.data.partitions.partition import PHASES, Partition, Shares, whole
from dimat.data.partitions.two_phase import TwoPhase
from dimat.data.partitions.whole_classes import WholeClasses
from dimat.spec import OneOf

AnyPartition = Annotated[Iid | WholeClasses | Dirichlet | TwoPhase, OneOf()]

__all__ = [
    "PHASES",
    "AnyPartition",
    "Dirichlet",
    "Iid",
    "Partition",
    "Shares",
    "TwoPhase",
    "WholeClasses",
    "whole",
]
