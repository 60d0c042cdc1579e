"""Architectures and their permutation symmetries."""

from dimat.models.model import Model
from dimat.models.plain import Plain
from dimat.models.resnet20 import ResNet20
from dimat.spec import choice

AnyModel = choice(Plain, ResNet20)

__all__ = ["AnyModel", "Model", "Plain", "ResNet20"]
