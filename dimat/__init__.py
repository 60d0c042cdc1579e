"""dimat: decentralized iterative merging-and-training, replicated."""

__version__ = "0.1.0"

from dimat.merging.api import Merged, merge

__all__ = ["Merged", "merge"]
