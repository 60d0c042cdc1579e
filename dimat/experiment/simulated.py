"""What a link that agents share makes of the exchanges of recorded runs: times, delay, losses, fairness.

Nothing is trained: methods here wait for each other's models, so that how long they take changes no model.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy
from numpy import ndarray

from dimat.communication.congestion.bottleneck import Bottleneck
from dimat.communication.congestion.controller import Controller
from dimat.communication.congestion.exchange import SharedLink
from dimat.communication.congestion.policy import Policy
from dimat.communication.congestion.queue import Queues
from dimat.communication.congestion.resting import Rest, at_rest
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.records import csv_of, read_records, spent
from dimat.randomness import Randomness

if TYPE_CHECKING:
    from pandas import DataFrame

RESTING = ("controller", "seed", "spread", *Rest._fields)
"""Columns of at-rest.csv; controllers are places in the configuration's list, from 0."""
SIMULATED = ("run", "controller", "spread", "round", "seconds", "round_trip", "lost", "jain")
"""Columns of simulated.csv: after the merge of a round, seconds since the start; and so far the mean
round trip, over an empty one of the nearest agent, the share that was lost, and Jain's index of agents'
throughput."""


def resting_csv(bottleneck: Bottleneck, policies: dict[tuple[int, int], Policy], seeds: list[int]) -> bytes:
    """Where each controller comes to rest with few flows and many, of unequal delays and of equal ones."""
    rows = []
    for place, controller in enumerate(bottleneck.controller):
        for seed in seeds:
            policy = policies.get((place, seed))
            for link in both_ways(bottleneck):
                generator = Randomness("at rest", seed).numpy("rates")
                found = at_rest(controller, policy, link.buffer, link.spread, generator)
                rows += [(place, seed, link.spread, *each) for each in found]
    return csv_of([RESTING, *rows])


def simulated_csv(study: Study, layout: Layout, policies: dict[tuple[int, int], Policy]) -> bytes:
    """Every run of a study with every controller of its shared link."""
    bottleneck = study.bottleneck
    assert bottleneck is not None
    records = spent(read_records(layout.records))
    rows = []
    for id, run in study.runs.items():
        spent_here, often = records.loc[[id]].droplevel("run"), run.method.communicates == "step"
        for place, controller in enumerate(bottleneck.controller):
            policy = policies.get((place, run.seed))
            for link in both_ways(bottleneck):
                found = simulated(link, controller, policy, spent_here, often)
                rows += [(id, place, link.spread, *each) for each in found]
    return csv_of([SIMULATED, *rows])


def both_ways(bottleneck: Bottleneck) -> list[Bottleneck]:
    """The link with equal delays and, if it has them, with unequal ones."""
    spreads = sorted({0.0, bottleneck.spread})
    return [bottleneck.model_copy(update={"spread": spread}) for spread in spreads]


def simulated(
    bottleneck: Bottleneck, controller: Controller, policy: Policy | None, spent: "DataFrame", often: bool
) -> Iterator[tuple[int, float, float, float, float]]:
    """The columns of `SIMULATED` from the round on, of one run.

    ``spent`` says what each agent has done and sent until after each round; exchanges are one in a round, or,
    where agents communicate ``often``, one at each gradient step.
    """
    steps, sizes = (spent[name].unstack("agent").to_numpy() for name in ("gradient_steps", "bytes"))
    agents = steps.shape[1]
    unit = bottleneck.round_trip / 1e3
    queues = Queues(numpy.zeros(agents, int), bottleneck.delays(agents), bottleneck.buffer)
    rates = controller.first(numpy.full(agents, bottleneck.first_rate))
    link = SharedLink(queues, controller.open(policy), rates)
    clock = 0.0
    rounds = spent.index.unique("round")
    for round, taken, sent in zip(rounds, increments(steps), increments(sizes), strict=True):
        exchanges = max(1, int(taken.max())) if often else 1
        working = taken * bottleneck.step / bottleneck.round_trip / exchanges
        amounts = sent / (bottleneck.capacity * 1e6 * unit) / exchanges
        for _ in range(exchanges):
            clock = float(link.exchange(amounts, clock + working).max())
        offered, fairness = link.offered or 1.0, link.fairness or [1.0]
        waited = link.waited / offered if link.offered else 1.0
        yield int(round), clock * unit, waited, link.lost / offered, float(numpy.mean(fairness))


def increments(values: ndarray) -> ndarray:
    """What was added in each round (R, N) to ``values`` (R, N), which are sums since the start."""
    return numpy.diff(values, axis=0, prepend=0.0)
