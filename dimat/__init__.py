"""dimat: decentralized iterative merging-and-training, replicated."""

__version__ = "0.1.0"

from dimat.merging.api import Merged, merge
from dimat.merging.barrier import Barrier, barrier

__all__ = ["Barrier", "Merged", "barrier", "merge"]
