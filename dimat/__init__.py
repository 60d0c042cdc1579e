"""dimat: decentralized iterative merging-and-training, replicated."""

__version__ = "0.1.0"
