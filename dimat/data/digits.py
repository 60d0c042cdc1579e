"""The handwritten digits bundled with scikit-learn: 1,797 real scans of 8x8 pixels, no download."""

from typing import Literal

import numpy
import torch
from PIL import Image
from typing_extensions import override

from dimat.data.data_set import DataFolders, DataSet, Known
from dimat.data.image_set import ImageSet


class Digits(DataSet):
    """UCI optical recognition of handwritten digits; a fixed stratified fifth is the test set."""

    extent = (1437, 1, 8)
    name: Literal["digits"] = "digits"
    flip: bool = False
    """Augment by horizontal flips: off, because a mirrored digit is no digit."""

    @override
    def content(self, folders: DataFolders) -> str:
        del folders
        return "bundled with scikit-learn"

    @override
    def known(self) -> Known:
        train = (142, 146, 142, 146, 145, 145, 145, 143, 139, 144)
        return Known(8, train, (36, 36, 35, 37, 36, 37, 36, 36, 35, 36))

    @override
    def read(self, folders: DataFolders) -> ImageSet:
        """Grey levels 0 to 16 are stored as multiples of 15."""
        from sklearn.datasets import load_digits  # here, because it is slow to import and rarely needed
        from sklearn.model_selection import train_test_split

        del folders  # bundled with scikit-learn
        levels, classes = load_digits(return_X_y=True)
        images = (numpy.asarray(levels) * 15).astype(numpy.uint8).reshape(-1, 8, 8)
        scans = self.stack(map(Image.fromarray, images), len(images))
        labels = torch.from_numpy(numpy.asarray(classes).astype(numpy.int64))
        train, test = train_test_split(
            numpy.arange(len(labels)), test_size=360, stratify=classes, random_state=0
        )
        return ImageSet(
            "digits",
            tuple(map(str, range(10))),
            scans[train],
            labels[train],
            scans[test],
            labels[test],
        )
