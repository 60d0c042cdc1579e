"""Convergence bounds with explicit constants, every step checked by machine."""

from theory.derivations.adam import ADAM
from theory.derivations.adapt_then_combine import ADAPT_THEN_COMBINE
from theory.derivations.derivation import Derivation
from theory.derivations.gossip import GOSSIP
from theory.derivations.local_steps import LOCAL_STEPS
from theory.derivations.momentum import MOMENTUM

DERIVATIONS: dict[str, Derivation] = {
    each.key: each for each in (GOSSIP, ADAPT_THEN_COMBINE, LOCAL_STEPS, MOMENTUM, ADAM)
}
"""All derivations by key."""
