"""Data sets in memory, augmentation, and their partition among agents."""

from typing import Annotated

from dimat.data.cifar import Cifar10, Cifar100
from dimat.data.data_set import DataFolders, DataSet
from dimat.data.digits import Digits
from dimat.data.folder import Folder
from dimat.data.image_set import ImageSet
from dimat.data.sines import Sines
from dimat.data.tiny_imagenet import TinyImageNet
from dimat.spec import OneOf

AnyDataSet = Annotated[Digits | Cifar10 | Cifar100 | TinyImageNet | Folder | Sines, OneOf()]

__all__ = ["AnyDataSet", "DataFolders", "DataSet", "ImageSet"]
