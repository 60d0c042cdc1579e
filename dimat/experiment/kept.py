"""Data sets that this process has read and checked, kept for the next job that learns from them."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import torch

from dimat.data import ImageSet

MOST_BYTES = 2 * 2**30
"""Of what is kept; a larger data set is read for every job."""


@dataclass(frozen=True)
class ReadData:
    """A data set on its device, and its fingerprint. Nobody changes it: jobs share it."""

    images: ImageSet
    fingerprint: str


class KeptData:
    """Prepared data sets by file and device; of more than ``most`` bytes, those used longest ago go first."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[int, ReadData]] = OrderedDict()

    def load(self, path: Path, device: torch.device) -> ReadData:
        """What a file by `ImageSet.save` holds; another file of this name is read again."""
        if not path.is_file():
            return read_data(path, device)  # which says what is missing
        about = path.stat()
        key = (path.absolute(), about.st_ino, about.st_mtime_ns, about.st_size, device)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        # Room is made first, so that no more than one data set is held beyond what may be kept.
        while self._kept and sum(size for size, _ in self._kept.values()) + about.st_size > self._most:
            self._kept.popitem(last=False)
        found = read_data(path, device)
        if about.st_size <= self._most:
            self._kept[key] = about.st_size, found
        return found


def read_data(path: Path, device: torch.device) -> ReadData:
    """Read and check a prepared data set."""
    images = ImageSet.load(path)
    return ReadData(images.to(device), images.fingerprint())
