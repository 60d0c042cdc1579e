"""The graphs of the audit."""

from dimat.topology import (
    Chain,
    Complete,
    ErdosRenyi,
    Exponential,
    Graph,
    Hypercube,
    Ring,
    Star,
    Torus,
    TwoHub,
)

RING, COMPLETE, TWO_HUB, EXPONENTIAL, CHAIN = Ring(), Complete(), TwoHub(), Exponential(), Chain()
PUBLISHED: tuple[Graph, ...] = (RING, COMPLETE, TWO_HUB)
"""The graphs of the published experiments."""
OTHERS: tuple[Graph, ...] = (Star(), Torus(), Hypercube(), EXPONENTIAL)
ALL: tuple[Graph, ...] = (*PUBLISHED, *OTHERS, CHAIN, ErdosRenyi())
