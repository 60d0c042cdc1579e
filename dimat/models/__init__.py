"""Architectures and their permutation symmetries."""

from typing import Annotated

from dimat.models.linear import Linear
from dimat.models.mlp import Mlp
from dimat.models.model import Model
from dimat.models.plain import Plain
from dimat.models.resnet20 import ResNet20
from dimat.models.resnet50 import ResNet50
from dimat.models.vgg16 import Vgg16
from dimat.models.vit import Vit
from dimat.spec import OneOf

AnyModel = Annotated[Plain | Linear | Mlp | ResNet20 | ResNet50 | Vgg16 | Vit, OneOf()]

__all__ = ["AnyModel", "Linear", "Mlp", "Model", "Plain", "ResNet20", "ResNet50", "Vgg16", "Vit"]
