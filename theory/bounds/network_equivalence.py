"""The same equivalence for real networks, trained and merged by this library.

Agents start twice from the same weights and see the same batches; once the neurons of each are shuffled.
The first are averaged as they stand, the others merged by DIMAT in a common frame, which it has to find from
the weights. If it finds the permutations that undo the shuffling, which are consistent, both are the same
networks up to one order of their neurons, and round-off in single precision.
"""

from pathlib import Path

import numpy
import torch

from dimat.agents.networks import Networks
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.training import Training
from dimat.communication.in_process import InProcess
from dimat.data import DataFolders
from dimat.data.augmentation import Augmentation
from dimat.data.digits import Digits
from dimat.data.partitions import Iid
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.weight import Weight
from dimat.merging.options import Merging
from dimat.methods.dimat import Dimat
from dimat.methods.method import LocalTraining
from dimat.methods.weight_averaging import WeightAveraging
from dimat.models import Plain
from dimat.models.symmetry import permute
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import ImageTask
from dimat.topology import Ring

AGENTS = 5
ROUNDS = 3
WEIGHT = Weight()
AS_THEY_STAND = Merging(None, Calibration(repair="none"))
ALIGNED = AS_THEY_STAND._replace(matching=Matching(matcher=WEIGHT, alignment="consistent"))


def network_difference(optimizer: AnyOptimizer, merging: Merging = ALIGNED) -> float:
    """How far the shuffled networks, merged by ``merging``, end from the others: |Q^T X - Y| / |Y|.

    Five agents on a ring train a small network on the digits for an epoch, alone, and merge three times, with
    an epoch in between. X and Y are all their parameters.
    """
    plain, shuffled = _agents(optimizer), _agents(optimizer)
    generator = Randomness("equivalence", 0).torch("shuffle")
    for row in range(AGENTS):
        order = {group.name: torch.randperm(group.size, generator=generator) for group in shuffled.symmetry}
        shuffled.reorder(row, order)
    _train(plain, WeightAveraging(), AS_THEY_STAND)
    _train(shuffled, Dimat(), merging)
    pair = {0: plain.models[0], 1: shuffled.models[0]}
    similarity = WEIGHT.compare(pair, plain.symmetry, [(0, 1)], ())[0, 1]
    back = matched_pair(similarity, plain.symmetry, Reward())
    for model in shuffled.models:
        model.load_state_dict(permute(model.state_dict(), plain.symmetry, back))
    return float((shuffled.parameters - plain.parameters).norm() / plain.parameters.norm())


def _agents(optimizer: AnyOptimizer) -> Networks:
    digits = Digits().read(DataFolders((), Path()))
    randomness = Randomness("equivalence", 0)
    training = Training(start="same", pretrain_epochs=1, epochs=1, optimizer=optimizer)
    task = ImageTask(
        Classification(),
        Plain(widths=(6, 8)),
        digits,
        Iid().shares(digits.train_labels.numpy(), AGENTS, numpy.random.default_rng(0)),
        Augmentation(flip=False, crop=0),
        randomness,
        batch_size=training.batch_size,
        same_start=True,
    )
    return Networks(task, training, randomness)


def _train(agents: Networks, method: LocalTraining, merging: Merging) -> None:
    agents.pretrain(0)
    communicator = InProcess(Ring().mixing_matrix(AGENTS))
    for _ in method.rounds(agents, communicator, merging, 1, ROUNDS):
        pass
