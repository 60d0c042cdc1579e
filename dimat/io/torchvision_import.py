"""Import torchvision, also where its compiled operators do not match torch.

A torchvision wheel built for CUDA beside a CPU-only torch fails at import, because it registers meta
kernels for operators that were never defined. Declaring their schemas is enough: nothing used here needs
them. Where the import works by itself, nothing is declared.
"""

import sys
from importlib import import_module
from types import ModuleType

import torch


def torchvision_module(name: str) -> ModuleType:
    """The module ``torchvision.<name>``."""
    try:
        return import_module(f"torchvision.{name}")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for loaded in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return import_module(f"torchvision.{name}")


_declared: list[torch.library.Library] = []
"""Keeps the declarations alive: a library that is garbage-collected takes its schemas along."""
