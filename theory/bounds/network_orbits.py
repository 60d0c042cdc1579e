"""What the theorem on means of orbits asks of losses, asked of real networks with the permutations they have.

Let P X be the limit of merges: each orbit of entries at its mean. Losses that do not change when neurons are
re-ordered have gradients at P X that are constant on orbits: P leaves G(P X) as it is, however neurons are
matched. Here the f_i are one loss, of a batch of images, the networks are trained ones, and P_ij what
matching finds between them, of all layers at once.
"""

from collections.abc import Callable, Iterator
from itertools import product

from numpy import ndarray

from dimat.topology import Graph, Hypercube
from theory.gap import trained
from theory.gap.graphs import RING
from theory.gap.lift import Lift
from theory.rows import ROUND_OFF, Row, exactly

NETWORK_CHECKS = ("orbits.networks",)
FOUND: dict[str, Callable[[ndarray], Lift]] = {
    "per-link": trained.parameters_per_link,
    "common-frame": trained.parameters_in_common_frame,
}


def network_orbit_rows() -> Iterator[Row]:
    """Gradients at the means of orbits, on two graphs, of both ways of matching."""
    for graph, (kind, found) in product((RING, Hypercube()), FOUND.items()):
        yield off_orbits(graph, kind, found(graph.mixing_matrix(trained.AGENTS)), at_limit=True)


def network_orbit_controls() -> Iterator[Row]:
    """Gradients at networks as they stand, which differ on an orbit."""
    for kind, found in FOUND.items():
        row = off_orbits(RING, kind, found(RING.mixing_matrix(trained.AGENTS)), at_limit=False)
        yield row.as_control(f"gradients at networks that have not met, networks' {kind} permutations")


def off_orbits(graph: Graph, kind: str, lift: Lift, *, at_limit: bool) -> Row:
    """|G - P G| / |G|, each agent with the gradient of the same loss: at P X, or at X as it is."""
    points = trained.parameters()
    gradients = trained.gradients(lift.project(points) if at_limit else points)
    apart = gradients - lift.project(gradients)
    share = float((apart**2).sum() ** 0.5 / (gradients**2).sum() ** 0.5)
    said = f"networks' {kind} permutations, {lift.capacity} of {lift.size} dimensions left"
    return Row(
        NETWORK_CHECKS[0],
        said,
        "|G - P G| / |G|",
        graph.label(),
        lift.agents,
        None,
        *exactly(share),
        ROUND_OFF,
        problem="plain networks on digits",
    )
