"""Decentralized learning methods, one file each."""

from typing import Annotated, get_args

from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.cga import Cga
from dimat.methods.dif_maml import DifMaml
from dimat.methods.dimat import Dimat
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.final_merge import FinalMerge
from dimat.methods.gradient_tracking import GradientTracking
from dimat.methods.ld_sgd import LdSgd
from dimat.methods.local import Local
from dimat.methods.matcha import Matcha
from dimat.methods.method import Method, Stage
from dimat.methods.pooled import Pooled
from dimat.methods.quasi_global import QuasiGlobal
from dimat.methods.sgp import Sgp
from dimat.methods.swarm_sgd import SwarmSgd
from dimat.methods.variance_corrected import VarianceCorrected
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
    | FinalMerge
    | VarianceCorrected
    | DifMaml,
    OneOf(),
]

known_methods: dict[str, type[Method]] = {
    each.model_fields["name"].default: each for each in get_args(get_args(AnyMethod)[0])
}
"""All methods by name."""

__all__ = ["AnyMethod", "Method", "Stage", "known_methods"]
