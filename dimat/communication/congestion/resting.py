"""Flows that never end on shared links: the queue, and how the link is shared, after a long time."""

from typing import NamedTuple

import numpy

from dimat.communication.congestion.bottleneck import base_delays
from dimat.communication.congestion.controller import LEAST, Controller
from dimat.communication.congestion.policy import Policy
from dimat.communication.congestion.queue import Queues, jain

FLOWS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Numbers of flows, each on a link of its own."""
INTERVALS, LAST = 2000, 500
"""Decisions of each flow, and those over which means are taken."""


class Rest(NamedTuple):
    """Means over the last intervals of one link."""

    flows: int
    round_trip: float
    """Of the nearest flow, in base round-trip times."""
    utilisation: float
    """What the link carries, as a share of its capacity."""
    jain: float
    """Jain's index of the mean rates."""
    lost: float
    """Share of what was sent."""


def at_rest(
    controller: Controller,
    policy: Policy | None,
    buffer: float,
    spread: float,
    generator: numpy.random.Generator,
    flows: tuple[int, ...] = FLOWS,
) -> list[Rest]:
    """Where flows come to rest from random rates on, for each number of ``flows``; see `base_delays`."""
    link = numpy.repeat(numpy.arange(len(flows)), flows)
    queues = Queues(link, numpy.concatenate([base_delays(spread, count) for count in flows]), buffer)
    rates = controller.first(LEAST ** generator.random(len(link)))
    decide = controller.open(policy)
    round_trip, served, offered, lost = sums = numpy.zeros((4, len(flows)))
    sent = numpy.zeros_like(rates)
    for interval in range(INTERVALS):
        told = queues.take(rates)
        if interval >= INTERVALS - LAST:
            of_links = (numpy.bincount(link, values) for values in (rates, rates * told.lost))
            sums += [1 + queues.length, queues.served, *of_links]
            sent += rates
        rates = decide(rates, told)
    fairness = [jain(sent[link == place]) for place in range(len(flows))]
    columns = (round_trip / LAST, served / LAST, numpy.array(fairness), lost / offered)
    return [
        Rest(count, *values)
        for count, *values in zip(flows, *(column.tolist() for column in columns), strict=True)
    ]
