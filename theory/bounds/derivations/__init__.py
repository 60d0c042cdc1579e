"""Convergence bounds with explicit constants, every step checked by machine: one file each."""

from theory.bounds.derivations.adam import ADAM
from theory.bounds.derivations.adapt_then_combine import ADAPT_THEN_COMBINE
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.gossip import GOSSIP
from theory.bounds.derivations.local_steps import LOCAL_STEPS
from theory.bounds.derivations.momentum import MOMENTUM
from theory.bounds.derivations.sharper_adapt_then_combine import SHARPER_ADAPT_THEN_COMBINE
from theory.bounds.derivations.sharper_gossip import SHARPER_GOSSIP
from theory.bounds.derivations.sharper_momentum import SHARPER_MOMENTUM

CLASSICAL = (GOSSIP, ADAPT_THEN_COMBINE, LOCAL_STEPS, MOMENTUM, ADAM)
SHARPER = (SHARPER_GOSSIP, SHARPER_ADAPT_THEN_COMBINE, SHARPER_MOMENTUM)
"""Bounds on the same methods with smaller constants; see `Derivation.sharpens`."""
DERIVATIONS: dict[str, AuditedBound] = {each.key: each for each in (*CLASSICAL, *SHARPER)}
"""All derived bounds by key."""
