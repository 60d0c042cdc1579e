"""Import torchvision's data sets, also where torchvision's compiled operators do not match torch.

A torchvision wheel built for CUDA beside a CPU-only torch fails at import, because it registers meta
kernels for operators that were never defined. Declaring their schemas is enough: the data sets use
none of them. Where the import works by itself, nothing is declared.
"""

import sys
from types import ModuleType

import torch


def torchvision_datasets() -> ModuleType:
    """The module ``torchvision.datasets``."""
    try:
        from torchvision import datasets
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}{schema}")
        _declared.append(library)
        from torchvision import datasets
    return datasets


_declared: list[torch.library.Library] = []
"""Keeps the declarations alive: a library that is garbage-collected takes its schemas along."""
