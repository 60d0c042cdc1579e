"""What happened to files, and how often: for the log of a step and for the provenance of a data set."""

from dimat.io.names import printable


class Tally:
    """Counts by reason, with the first file of each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, name: str) -> None:
        """One more file, ``name``, for ``reason``."""
        count, first = self._found.get(reason, (0, name))
        self._found[reason] = (count + 1, first)

    def lines(self) -> list[str]:
        """One line for each reason, in the order of the reasons."""
        return [
            f"{reason}: {count:,} (first: {printable(first)})"
            for reason, (count, first) in sorted(self._found.items())
        ]
