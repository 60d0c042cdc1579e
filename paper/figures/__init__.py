"""The figures, one file each."""

from dimat.experiment.config import Study
from paper.figures.adaptation import AdaptationFigure
from paper.figures.bounds import BoundsFigure
from paper.figures.bytes import BytesFigure
from paper.figures.communication import CommunicationFigure
from paper.figures.costs import CostsFigure
from paper.figures.gain import GainFigure
from paper.figures.graphs import GraphsFigure
from paper.figures.holdings import HoldingsFigure
from paper.figures.holonomy import HolonomyFigure
from paper.figures.matching import MatchingFigure
from paper.figures.mean_model import MeanModelFigure
from paper.figures.parts import PartsFigure
from paper.figures.progress import ProgressFigure
from paper.figures.readings import ReadingsFigure
from paper.figures.tightness import TightnessFigure
from paper.figures.training_loss import TrainingLossFigure
from paper.shown import PaperFigure, by_id

known_figures: tuple[type[PaperFigure], ...] = (
    GraphsFigure,
    HoldingsFigure,
    ProgressFigure,
    TrainingLossFigure,
    MeanModelFigure,
    PartsFigure,
    AdaptationFigure,
    CostsFigure,
    CommunicationFigure,
    MatchingFigure,
    BoundsFigure,
    TightnessFigure,
    ReadingsFigure,
    HolonomyFigure,
    GainFigure,
    BytesFigure,
)
"""All kinds of figures, in the order of the paper."""


def figures_of(study: Study) -> dict[str, PaperFigure]:
    """All figures of a study by id."""
    return by_id(known_figures, study)
