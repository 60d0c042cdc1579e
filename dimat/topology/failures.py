"""Failures of links and agents, and what they do to the speed of averaging."""

from collections.abc import Callable, Sequence

import numpy

from dimat.randomness import Randomness
from dimat.topology.mixing import round_off

DRAWS = 200
"""Draws of the failures of each communication, where an expectation has no closed form here."""

LONG = 2000
"""Communications over which a factor in the long run is taken."""

PERIODS = 500
"""Steps of the power iteration at most."""


def with_failures(
    matrix: numpy.ndarray,
    one_way: bool,
    link_failures: float,
    agent_failures: float,
    generator: numpy.random.Generator,
) -> numpy.ndarray:
    """A mixing matrix (N, N) after failures drawn with ``generator``; see `without`.

    Each link fails with probability ``link_failures`` (each arc, if ``one_way``), and all links of an agent
    with ``agent_failures``.
    """
    agents = len(matrix)
    out_of_reach = generator.random(agents) < agent_failures
    failed = generator.random((agents, agents)) < link_failures
    if not one_way:
        failed = numpy.triu(failed)
        failed |= failed.T
    return without(matrix, failed | links_of(out_of_reach))


def links_of(absent: numpy.ndarray) -> numpy.ndarray:
    """Booleans (N, N): the links of agents that are ``absent`` (N,)."""
    return absent[:, None] | absent


def without(matrix: numpy.ndarray, failed: numpy.ndarray) -> numpy.ndarray:
    """A mixing matrix (N, N) where links have ``failed``, booleans (N, N) of which the diagonal says nothing.

    Lost weights go to the sender's diagonal: columns still sum to 1, and a symmetric matrix stays symmetric
    where links fail in both directions.
    """
    lost = numpy.where(failed & ~numpy.eye(len(matrix), dtype=bool), matrix, 0)
    return matrix - lost + numpy.diag(lost.sum(axis=0))


def contraction_in_the_long_run(matrix_at: Callable[[int], numpy.ndarray], agents: int) -> float:
    """The factor by which each of `LONG` communications shrinks the disagreement of ``agents`` agents.

    It is that of one fixed draw of values, as a geometric mean: for matrices that hang on those before,
    of which no expectation is at hand.
    """
    if agents == 1:
        return 0.0
    values = Randomness("failures", 0).numpy("values").standard_normal(agents)
    values -= values.mean()
    growth = 0.0
    for time in range(LONG):
        before = numpy.linalg.norm(values)
        values = matrix_at(time) @ values
        values -= values.mean()
        size = numpy.linalg.norm(values)
        if size <= round_off(numpy.eye(agents)) * before:
            return 0.0
        growth += float(numpy.log(size / before))
        values /= size
    return float(numpy.exp(growth / LONG))


def contraction_with_failures(
    matrices: Sequence[numpy.ndarray], one_way: bool, link_failures: float, agent_failures: float
) -> float:
    """The contraction factor of one period with mixing ``matrices`` (N, N), in mean square.

    Links that fail as a whole: sqrt of ||E[P^T P] - J||_2, with P the product of the period's random
    matrices; exact for a period of one. One-way, where failures leave only the columns stochastic: sqrt of
    the spectral radius of S -> E[P S P^T] on the second moments S of values that sum to 0, the factor of many
    periods, by power iteration. Expectations that are not exact are means over `DRAWS` fixed draws for each
    communication.
    """
    agents = len(matrices[0])
    average = numpy.full((agents, agents), 1 / agents)
    if agents == 1:
        return 0.0
    if len(matrices) == 1 and not one_way:
        moment = expected_square(matrices[0], link_failures, agent_failures)
        return float(numpy.sqrt(numpy.linalg.norm(moment - average, 2)))

    randomness = Randomness("failures", 0)
    drawn = []
    for time, matrix in enumerate(matrices):
        generator = randomness.numpy("links", round=time)
        draws = [
            with_failures(matrix, one_way, link_failures, agent_failures, generator) for _ in range(DRAWS)
        ]
        drawn.append(numpy.stack(draws))
    if not one_way:
        moment = numpy.eye(agents)
        for draws in reversed(drawn):
            moment = (draws.transpose(0, 2, 1) @ moment @ draws).mean(axis=0)
        return float(numpy.sqrt(numpy.linalg.norm(moment - average, 2)))
    centre = numpy.eye(agents) - average
    moment, factor = centre / (agents - 1), 1.0
    for _ in range(PERIODS):
        for draws in drawn:
            moment = (draws @ moment @ draws.transpose(0, 2, 1)).mean(axis=0)
        moment = centre @ moment @ centre  # else round-off off the centre, which does not shrink, takes over
        before, factor = factor, float(numpy.trace(moment))
        if factor <= round_off(moment):
            return 0.0
        moment /= factor
        if abs(factor - before) <= 1e-9 * factor:
            break
    return float(numpy.sqrt(factor))


def expected_square(matrix: numpy.ndarray, link_failures: float, agent_failures: float) -> numpy.ndarray:
    """E[W^2] of a symmetric mixing ``matrix`` (N, N) with failures, exactly.

    W = I - sum over links e of B_e w_e L_e with the Laplacian L_e of one link and B_e = 1 if it holds. With
    q = 1 - link_failures and a = 1 - agent_failures, E[B_e] = q a^2, and E[B_e B_f] = q^2 a^3 for two links
    that share an agent. L_e^2 = 2 L_e, and L_e L_f = 0 for links that share none.
    """
    holds, reached = 1 - link_failures, 1 - agent_failures
    one, two = holds * reached**2, holds**2 * reached**3
    identity = numpy.eye(len(matrix))
    laplacian = identity - matrix
    links = matrix - numpy.diag(matrix.diagonal())
    squares = 2 * (numpy.diag((links**2).sum(axis=0)) - links**2)
    return identity - 2 * one * laplacian + two * laplacian @ laplacian + (one - two) * squares
