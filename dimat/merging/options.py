"""The two things that a configuration says of merging."""

from typing import NamedTuple

from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching


class Merging(NamedTuple):
    """How neurons are matched and networks calibrated; `None` where a method does neither."""

    matching: Matching | None = None
    calibration: Calibration | None = None

    @property
    def looks_at_images(self) -> bool:
        """Whether matching or repair look at images."""
        matches = self.matching is not None and self.matching.matcher.looks_at_images
        repairs = self.calibration is not None and self.calibration.repair != "none"
        return matches or repairs
