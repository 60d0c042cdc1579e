"""How much there is to compute in a start or a run, counted as the runner and the methods do it."""

import operator
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self, cast

from dimat.data import AnyDataSet
from dimat.data.partitions.two_phase import TwoPhase
from dimat.errors import InputError
from dimat.experiment.fitting_cost import touched
from dimat.experiment.measures import Measure, due
from dimat.experiment.network_cost import Cost, cost_of, slice_operations
from dimat.experiment.runs import Pretrained, Run
from dimat.io.files import shapes_in
from dimat.merging.averaging.adamerging import AdaMerging
from dimat.merging.averaging.coefficients import Entropy
from dimat.merging.calibration.options import Calibration, Repair
from dimat.methods.cga import Cga
from dimat.methods.dif_maml import DifMaml
from dimat.methods.neighbourhood import NeighbourhoodMerging
from dimat.tasks.few_shot import STEPS
from dimat.tasks.images import EVALUATED
from dimat.topology import AnyGraph

TRAINED = 3
"""A backward pass costs twice the forward pass."""
TOUCHED = 8
"""How often a step reads or writes the parameters: gradients, the optimizer's moments, the parameters."""
TEST_SHARE = 5
"""Training images for each test image, where that is not known: as in CIFAR."""
SWEEPS = 4
"""How often a common frame, or matching by weights, visits every group."""

SCALINGS = 200
"""How often rows and columns of a soft map are scaled: at low temperatures more, and at high ones less."""


class Images(NamedTuple):
    """How many images there are to train and to evaluate on, of how many channels and pixels a side."""

    train: int
    test: int
    channels: int
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return (self.train + self.test) * self.channels * self.size**2


def images_of(data: AnyDataSet) -> Images:
    """What can be told of a data set before it is read."""
    train, channels, size = data.extent
    test = train // TEST_SHARE
    if (known := data.known()) is not None:
        train, test = sum(known.train), sum(known.test)
    train = min(train, data.train_limit or train)
    if data.validation:
        test = round(train * data.validation)
        return Images(train - test, test, channels, data.size or size)
    return Images(train, min(test, data.test_limit or test), channels, data.size or size)


def images_read(path: Path) -> Images:
    """Those of a prepared data set, of whose file only the head is read."""
    try:
        return images_in(shapes_in(path))
    except (KeyError, ValueError):
        raise InputError(f"{path}: not a prepared data set; delete it and run again") from None


def images_in(shapes: Mapping[str, Sequence[int]]) -> Images:
    """Those of a data set whose tensors have these ``shapes``."""
    (train, channels, height, width), (test, *_) = shapes["train_images"], shapes["test_images"]
    return Images(train, test, channels, max(height, width))


@dataclass(frozen=True)
class Amount:
    """What passes of networks cost: operations, bytes read and written, and calls of layers."""

    operations: float = 0.0
    bytes: float = 0.0
    calls: float = 0.0

    def __add__(self, other: Self) -> "Amount":
        return Amount(self.operations + other.operations, self.bytes + other.bytes, self.calls + other.calls)

    def __mul__(self, times: float) -> "Amount":
        return Amount(self.operations * times, self.bytes * times, self.calls * times)


@dataclass(frozen=True)
class Work:
    """Gradient steps, evaluation and merging, in this order, and what else merging does.

    ``products`` are operations of products of features, ``cubes`` the sum of C^3 over assignments of C
    channels, ``matched`` how many they are, ``scaled`` the entries of soft maps, once for each time that rows
    and columns are scaled; ``fitted`` is what finds layers' least-squares weights, all in
    double precision.
    """

    steps: Amount = Amount()
    evaluated: Amount = Amount()
    merged: Amount = Amount()
    products: float = 0.0
    cubes: float = 0.0
    matched: float = 0.0
    scaled: float = 0.0
    fitted: Amount = Amount()

    def __add__(self, other: Self) -> "Work":
        # without `dataclasses.fields`, as plans of thousands of runs add up hundreds of thousands
        return Work(*map(operator.add, vars(self).values(), vars(other).values()))

    def __mul__(self, times: float) -> "Work":
        return Work(*(each * times for each in vars(self).values()))


def start_work(start: Pretrained, images: Images) -> tuple[Work, Work]:
    """Of making a start: of all of it, and up to its first checkpoint."""
    epoch = Work(steps=steps_of(start, images, equal=False))
    return epoch * start.training.pretrain_epochs, epoch


def run_work(run: Run, images: Images) -> tuple[Work, Work]:
    """Of a run from its start: of all of it, and up to its first checkpoint."""
    images = images._replace(test=images.test * run.task.views)
    rounds = run.training.rounds
    rematch = run.matching and run.matching.rematch
    matched = sum(rematch.due(round) for round in range(1, rounds + 1)) if rematch else 0
    matches, averages = (merge_work(run, images, each) for each in (True, False))
    tuning, again = (tuning_work(run, images, first=each) for each in (True, False))
    merging = matches * matched + averages * (rounds - matched) + tuning + again * (rounds - 1)
    equal = run.training.steps == "equal" or run.method.communicates == "step"
    trained = Work(steps=steps_of(run, images, equal) * run.training.epochs)
    evaluation = Work(evaluated=evaluated(run, images))
    # Evaluated at the start, after each merge, and after each training between two merges.
    asked = [due(run.measures, 0, "start", rounds)]
    asked += [due(run.measures, round, "merged", rounds) for round in range(1, rounds + 1)]
    found = {each: measured(run, images, each) for each in set(asked)}
    first = evaluation * 3 + found[asked[0]] + found[asked[1]] + matches + tuning + trained
    besides = sum((found[each] * times for each, times in Counter(asked).items()), Work())
    return evaluation * (2 * rounds) + besides + merging + trained * (rounds - 1), first


def steps_of(start: Pretrained, images: Images, equal: bool) -> Amount:
    """An epoch of all agents."""
    cost = cost_for(start, images)
    steps, seen = epoch_of(start, images, equal)
    touched, gradients, ways = TOUCHED, 1.0, 1
    if isinstance(start, Run) and start.method.communicates == "step":
        neighbours = 2 * links(start) / start.agents
        touched += neighbours + 2
        if isinstance(start.method, Cga):  # gradients at the neighbours' parameters
            gradients += neighbours
        if start.method.deals_channels and neighbours + 1 < start.agents:  # a slice for each place, at most
            gradients += neighbours
        if isinstance(start.method, DifMaml):  # of two halves of a batch, and back through the first
            ways = 3
    return gradient_steps(cost, seen * gradients, steps * gradients * ways, steps * touched)


def epoch_of(start: Pretrained, images: Images, equal: bool) -> tuple[float, float]:
    """Gradient steps of all agents in an epoch, and the images that these are on."""
    batch = start.training.batch_size
    held = images.train / (1 + isinstance(start.partition, TwoPhase))
    share = held / start.agents
    batches = -(-share // batch)
    steps = start.agents * (max(1, round(share / batch)) if equal else batches)
    return steps, steps * share / batches  # the last batch of an agent's epoch is smaller


def step_operations(start: Pretrained, images: Images) -> float:
    """Operations of a gradient step of the mean agent, forward and backward.

    Those of slices are counted as of networks that have nothing else, though they are computed with zeros in
    the place of the rest.
    """
    operations = float(cost_for(start, images).operations)
    if isinstance(start, Run) and start.method.deals_channels and start.graph:
        model = cast(Hashable, start.model)
        sizes = start.graph.neighbourhoods(start.agents).flatten().tolist()
        slices = [slice_operations(model, images.channels, images.size, size) for size in sizes]
        times = [1] * len(sizes) if min(sizes) == start.agents else sizes  # a slice for each place, at most
        operations = sum(map(operator.mul, times, slices)) / len(sizes)
    steps, seen = epoch_of(start, images, equal=False)
    return TRAINED * operations * seen / steps


def gradient_steps(cost: Cost, seen: float, steps: float, touched: float) -> Amount:
    """So many ``steps`` on ``seen`` images in all, which read or write the parameters ``touched`` times."""
    passed = Amount(TRAINED * cost.operations, TRAINED * cost.features) * seen
    return passed + Amount(bytes=touched * cost.parameters, calls=steps * cost.layers)


def evaluated(start: Pretrained, images: Images) -> Amount:
    """Every agent's network on all test images."""
    cost = cost_for(start, images)
    return passes(cost, start.agents * images.test, start.agents * -(-images.test // EVALUATED))


def measured(run: Run, images: Images, asked: Set[Measure]) -> Work:
    """What is measured once because it is ``asked`` for."""
    cost, work = cost_for(run, images), Work()
    if "training_loss" in asked:
        batches = -(-images.train // EVALUATED)
        work += Work(evaluated=passes(cost, run.agents * images.train, run.agents * batches))
    if "adaptation" in asked:
        work += Work(evaluated=evaluated(run, images)) * ((STEPS + 1) / 2)
    if "parts" in asked:
        work += Work(evaluated=evaluated(run, images))
    if "mean_model" in asked:  # all agents are its parents, and show it their images
        work += Work(evaluated=passes(cost, images.test, -(-images.test // EVALUATED)))
        calibration = run.calibration or Calibration(repair="none")
        seen = min(images.train, calibration.limit or images.train)
        work += repair_work(cost, calibration.repair, run.agents, seen, batch_of(run, calibration))
    return work


def batch_of(run: Run, calibration: Calibration) -> int:
    """How many images at once networks are matched and repaired on."""
    return calibration.batch_size or run.training.batch_size


def repair_work(cost: Cost, repair: Repair, parents: float, seen: float, batch: int) -> Work:
    """What it takes to repair the average of ``parents`` once, on ``seen`` images in batches of ``batch``."""
    batches, again = -(-seen // batch), cost.recalibrated
    times = {
        "none": 0,
        "recalibrate": again,
        "repair": (1 + again) * parents + 1,
        "rescale": (1 + again) * parents + 1,
        "least_squares": parents + again,
    }[repair]
    work = Work(merged=passes(cost, times * seen, times * batches))
    if repair != "least_squares":
        return work
    layers = cost.fitted
    fitted = Amount(
        seen * sum(each.of_an_image for each in layers) + sum(each.of_solving for each in layers),
        seen * touched(layers, parents),
        len(layers) * batches * (parents + 1),
    )
    # The first batch shows in which order layers are used.
    return work + Work(merged=passes(cost, min(batch, seen), 1), fitted=fitted)


def merge_work(run: Run, images: Images, matches: bool) -> Work:
    """What agents do with each other's networks in a round, neurons among it if it ``matches``."""
    cost, calibration = cost_for(run, images), run.calibration
    if calibration is None:
        return Work()
    neighbours = 2 * links(run) / run.agents
    holders = {"own": 1, "neighbours": 1 + neighbours, "pooled": run.agents}[calibration.images]
    seen = images.train * holders / run.agents  # by an agent
    seen = min(seen, calibration.limit or seen)
    batch = batch_of(run, calibration)
    work = repair_work(cost, calibration.repair, 1 + neighbours, seen, batch) * run.agents
    if not matches or run.matching is None or not isinstance(run.method, NeighbourhoodMerging):
        return work
    matching, pooled = run.matching, calibration.images == "pooled"
    delayed = run.graph is not None and run.graph.delayed
    once = (pooled or not matching.matcher.looks_at_images) and not delayed
    compared = links(run) * (1 if once else 2)
    visits = compared + (SWEEPS * run.agents if matching.common_frame else 0)
    if not matching.matcher.looks_at_images:
        visits *= SWEEPS
    else:
        networks = run.agents * (1 if once else 1 + neighbours)
        recalibrates = calibration.repair != "none" and matching.passes == 3
        times = networks * (1 + recalibrates * cost.recalibrated)
        products = compared * seen * sum(2 * size**2 * positions for size, positions in cost.groups)
        work += Work(merged=passes(cost, times * seen, times * -(-seen // batch)), products=products)
    cubes = visits * sum(size**3 for size, _ in cost.groups)
    soft = matching.matcher.temperature is not None
    scaled = soft * compared * SCALINGS * sum(size**2 for size, _ in cost.groups)
    return work + Work(cubes=cubes, matched=visits * len(cost.groups), scaled=scaled)


def tuning_work(run: Run, images: Images, *, first: bool) -> Work:
    """What agents do to tune their coefficients in a round: nothing where they have learnt nothing yet."""
    way = run.method.coefficients if isinstance(run.method, NeighbourhoodMerging) else None
    alike = first and run.training.start == "pretrained"
    if not isinstance(way, Entropy | AdaMerging) or (alike and isinstance(way, AdaMerging)):
        return Work()
    steps = way.steps * run.agents
    looked = steps * min(run.training.batch_size, way.limit or images.train)
    return Work(merged=passes(cost_for(run, images), looked, steps) * TRAINED)


def passes(cost: Cost, seen: float, batches: float) -> Amount:
    """Forward passes of ``seen`` images in so many batches."""
    return Amount(cost.operations * seen, cost.features * seen, cost.layers * batches)


def cost_for(start: Pretrained, images: Images) -> Cost:
    """What an image costs in the network of a start."""
    return cost_of(cast(Hashable, start.model), images.channels, images.size)  # as all frozen specs are


def links(run: Run) -> int:
    """How many pairs of agents a link joins."""
    return 0 if run.graph is None else _links(cast(Hashable, run.graph), run.agents)


@lru_cache(maxsize=256)
def _links(graph: AnyGraph, agents: int) -> int:
    try:
        return len({frozenset(edge) for edge in graph.edges(agents)})
    except InputError:
        return agents
