"""Convergence bounds with explicit constants, every step checked by machine: one file each."""

from theory.bounds.derivations.adam import ADAM
from theory.bounds.derivations.adapt_then_combine import ADAPT_THEN_COMBINE
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.gossip import GOSSIP
from theory.bounds.derivations.local_steps import LOCAL_STEPS
from theory.bounds.derivations.momentum import MOMENTUM

DERIVATIONS: dict[str, AuditedBound] = {
    each.key: each for each in (GOSSIP, ADAPT_THEN_COMBINE, LOCAL_STEPS, MOMENTUM, ADAM)
}
"""All derived bounds by key."""
