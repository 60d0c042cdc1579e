"""Decentralized learning methods, one file each."""

from typing import Annotated, get_args

from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.cga import Cga
from dimat.methods.choco import Choco
from dimat.methods.coda import Coda
from dimat.methods.coded_admm import CodedAdmm
from dimat.methods.dif_maml import DifMaml
from dimat.methods.diloco import Diloco
from dimat.methods.dimat import Dimat
from dimat.methods.dot_admm import DotAdmm
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.epidemic import Epidemic
from dimat.methods.final_merge import FinalMerge
from dimat.methods.gradient_tracking import GradientTracking
from dimat.methods.ist import Ist
from dimat.methods.k_gt import KGt
from dimat.methods.ld_sgd import LdSgd
from dimat.methods.local import Local
from dimat.methods.matcha import Matcha
from dimat.methods.method import Method, Stage
from dimat.methods.noloco import Noloco
from dimat.methods.papa import Papa
from dimat.methods.pooled import Pooled
from dimat.methods.quasi_global import QuasiGlobal
from dimat.methods.sgp import Sgp
from dimat.methods.sparta import Sparta
from dimat.methods.swarm_sgd import SwarmSgd
from dimat.methods.teleportation import Teleportation
from dimat.methods.variance_corrected import VarianceCorrected
from dimat.methods.wash import Wash
from dimat.methods.weight_averaging import WeightAveraging
from dimat.methods.weight_matching import WeightMatching
from dimat.spec import OneOf

AnyMethod = Annotated[
    Dimat
    | WeightAveraging
    | WeightMatching
    | Local
    | Pooled
    | Dpsgd
    | Cdsgd
    | Cdmsgd
    | Sgp
    | LdSgd
    | SwarmSgd
    | GradientTracking
    | QuasiGlobal
    | Matcha
    | Cga
    | CodedAdmm
    | Coda
    | FinalMerge
    | VarianceCorrected
    | DotAdmm
    | Ist
    | DifMaml
    | Choco
    | Diloco
    | Epidemic
    | KGt
    | Noloco
    | Papa
    | Sparta
    | Wash
    | Teleportation,
    OneOf(),
]

known_methods: dict[str, type[Method]] = {
    each.model_fields["name"].default: each for each in get_args(get_args(AnyMethod)[0])
}
"""All methods by name."""

__all__ = ["AnyMethod", "Method", "Stage", "known_methods"]
