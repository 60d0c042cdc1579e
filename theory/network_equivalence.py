"""The same equivalence for real networks, trained and merged by this library.

Two fleets start from the same weights and see the same batches; in one of them the neurons of every agent are
shuffled. The first is averaged as it stands, the other is merged by DIMAT in a common frame, which it has to
find from the weights. If it finds the permutations that undo the shuffling, which are consistent, both are
the same networks up to one order of their neurons, and round-off in single precision.
"""

import numpy
import torch

from dimat.agents.networks import Fleet
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.training import Training
from dimat.communication.in_process import InProcess
from dimat.data import DataFolders
from dimat.data.augmentation import Augmentation
from dimat.data.digits import Digits
from dimat.data.partitions import Iid
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.weight import Weight
from dimat.merging.options import Merge
from dimat.methods.dimat import Dimat
from dimat.methods.method import LocalTraining
from dimat.methods.weight_averaging import WeightAveraging
from dimat.models import Plain
from dimat.models.symmetry import permute
from dimat.randomness import Randomness
from dimat.topology import Ring

AGENTS = 5
ROUNDS = 3
WEIGHT = Weight()
ALIGNED = Merge(matcher=WEIGHT, alignment="consistent", repair="none")
AS_THEY_STAND = ALIGNED.without_matching()


def network_difference(optimizer: AnyOptimizer, merge: Merge = ALIGNED) -> float:
    """How far the shuffled fleet, merged by ``merge``, ends from the other one: |Q^T X - Y| / |Y|.

    Five agents on a ring train a small network on the digits for an epoch, alone, and merge three times, with
    an epoch in between. X and Y are all their parameters.
    """
    plain, shuffled = _fleet(optimizer), _fleet(optimizer)
    generator = Randomness("equivalence", 0).torch("shuffle")
    for row in range(AGENTS):
        order = {group.name: torch.randperm(group.size, generator=generator) for group in shuffled.groups}
        shuffled.reorder(row, order)
    _train(plain, WeightAveraging(), AS_THEY_STAND)
    _train(shuffled, Dimat(), merge)
    pair = {0: plain.models[0], 1: shuffled.models[0]}
    similarity = WEIGHT.compare(pair, plain.groups, [(0, 1)], ())[0, 1]
    back = matched_pair(similarity, plain.groups, Reward())
    for model in shuffled.models:
        model.load_state_dict(permute(model.state_dict(), plain.groups, back))
    return float((shuffled.parameters - plain.parameters).norm() / plain.parameters.norm())


def _fleet(optimizer: AnyOptimizer) -> Fleet:
    digits = Digits().read(DataFolders((), None))
    randomness = Randomness("equivalence", 0)
    shares = Iid().shares(digits.train_labels.numpy(), AGENTS, numpy.random.default_rng(0))
    training = Training(start="same", pretrain_epochs=1, epochs=1, optimizer=optimizer)
    still = Augmentation(flip=False, crop=0)
    return Fleet(Plain(widths=(6, 8)), digits, shares, training, still, randomness)


def _train(fleet: Fleet, method: LocalTraining, merge: Merge) -> None:
    fleet.pretrain(0)
    network = InProcess(Ring().mixing_matrix(AGENTS))
    for _ in method.rounds(fleet, network, merge, 1, ROUNDS):
        pass
