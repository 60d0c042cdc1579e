"""What methods have in common that match no neurons."""

from typing import Any, ClassVar

from typing_extensions import override

from dimat.errors import InputError
from dimat.methods.method import Method


class Unmatched(Method):
    """A method that matches no neurons: networks have no parents whose statistics could be restored."""

    ignores: ClassVar[frozenset[str]] = frozenset({"matching"})

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """If nothing is recalibrated, no image is looked at; `InputError` if parents were to be restored."""
        calibration = point["calibration"]
        if calibration.repair not in ("none", "recalibrate"):
            raise InputError(
                f"calibration.repair: {calibration.repair!r} restores the statistics of matched networks; "
                f"with method {self.label()} expected 'none' or 'recalibrate'"
            )
        return super().canonical(point) | {"calibration": calibration.without_images()}
