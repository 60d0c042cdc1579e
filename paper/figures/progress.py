"""The primary metric after each merge: a panel for each graph and partition, a band over seeds."""

from paper.figures.rounds import RoundsFigure


class ProgressFigure(RoundsFigure):
    """How agents do from merge to merge."""

    kind = "progress"
