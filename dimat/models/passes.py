"""Passes over what networks take, batch by batch: as often as one is asked for."""

from collections.abc import Callable, Iterator

from torch import Tensor

Pass = Callable[[], Iterator[Tensor]]
"""Starts one pass over inputs of networks, batch by batch."""
