"""Decentralized learning methods, one file each."""

from dimat.algorithms.cdmsgd import Cdmsgd
from dimat.algorithms.cdsgd import Cdsgd
from dimat.algorithms.cga import Cga
from dimat.algorithms.dimat import Dimat
from dimat.algorithms.dpsgd import Dpsgd
from dimat.algorithms.final_merge import FinalMerge
from dimat.algorithms.gradient_tracking import GradientTracking
from dimat.algorithms.ld_sgd import LdSgd
from dimat.algorithms.local import Local
from dimat.algorithms.matcha import Matcha
from dimat.algorithms.method import Method, Stage
from dimat.algorithms.pooled import Pooled
from dimat.algorithms.quasi_global import QuasiGlobal
from dimat.algorithms.sgp import Sgp
from dimat.algorithms.swarm_sgd import SwarmSgd
from dimat.algorithms.variance_corrected import VarianceCorrected
from dimat.algorithms.weight_averaging import WeightAveraging
from dimat.algorithms.weight_matching import WeightMatching
from dimat.spec import choice

AnyMethod = choice(
    Dimat,
    WeightAveraging,
    WeightMatching,
    Local,
    Pooled,
    Dpsgd,
    Cdsgd,
    Cdmsgd,
    Sgp,
    LdSgd,
    SwarmSgd,
    GradientTracking,
    QuasiGlobal,
    Matcha,
    Cga,
    FinalMerge,
    VarianceCorrected,
)

__all__ = ["AnyMethod", "Method", "Stage"]
