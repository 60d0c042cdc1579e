"""The figures, one file each."""

from dimat.experiment.config import Study
from paper.figures.adaptation import AdaptationFigure
from paper.figures.bounds import BoundsFigure
from paper.figures.budgets import BudgetsFigure
from paper.figures.bytes import BytesFigure
from paper.figures.communication import CommunicationFigure
from paper.figures.congestion import CongestionFigure
from paper.figures.costs import CostsFigure
from paper.figures.gain import GainFigure
from paper.figures.graphs import GraphsFigure
from paper.figures.holdings import HoldingsFigure
from paper.figures.holonomy import HolonomyFigure
from paper.figures.matching import MatchingFigure
from paper.figures.mean_model import MeanModelFigure
from paper.figures.moving import MovingFigure
from paper.figures.optimum import OptimumFigure
from paper.figures.parts import PartsFigure
from paper.figures.progress import ProgressFigure
from paper.figures.ranking import RankingFigure
from paper.figures.readings import ReadingsFigure
from paper.figures.simulated_time import SimulatedTimeFigure
from paper.figures.task_vectors import TaskVectorsFigure
from paper.figures.tightness import TightnessFigure
from paper.figures.token import TokenFigure
from paper.figures.training_loss import TrainingLossFigure
from paper.figures.work import WorkFigure
from paper.shown import PaperFigure, by_id

known_figures: tuple[type[PaperFigure], ...] = (
    GraphsFigure,
    HoldingsFigure,
    ProgressFigure,
    TrainingLossFigure,
    OptimumFigure,
    MovingFigure,
    MeanModelFigure,
    PartsFigure,
    AdaptationFigure,
    TaskVectorsFigure,
    CostsFigure,
    BudgetsFigure,
    WorkFigure,
    CommunicationFigure,
    TokenFigure,
    CongestionFigure,
    SimulatedTimeFigure,
    RankingFigure,
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
