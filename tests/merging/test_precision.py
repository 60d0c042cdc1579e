"""Merges in low precision: what they match and what they give, against float32 and float64."""

import copy

import pytest
import torch

from dimat.arithmetic import arithmetic
from dimat.merging.api import merge
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.assignment import best_permutation
from dimat.merging.matching.options import Matching
from dimat.merging.matching.statistics import correlations
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import Plain
from dimat.topology import Complete

CPU = torch.device("cpu")


@pytest.fixture
def trained(make_agents):
    """Four agents, whose networks learnt the digits apart."""
    agents = make_agents(model=Plain(widths=(8, 12)), pretrain_epochs=8, batch_size=50)
    for epoch in range(8):
        agents.pretrain(epoch)
    return agents


def similarities(agents, precision, dtype=torch.float32):
    """Correlations of all pairs of agents, by group, after recalibration in the same arithmetic."""
    models = {agent: copy.deepcopy(model).to(dtype) for agent, model in enumerate(agents.models)}
    generator = torch.Generator().manual_seed(0)
    batches = [batch.to(dtype) for batch in agents.task.inputs(range(4), 800, False, generator)()]
    with arithmetic(CPU, precision):
        for model in models.values():
            recalibrate(model, batches)
        pairs = [(i, j) for i in models for j in models if i < j]
        return correlations(models, agents.symmetry, pairs, batches)


def test_assignments_in_low_precision_are_as_good_as_those_in_double_precision(trained):
    exact = similarities(trained, "float32", torch.float64)
    for precision, error, worth in (("float32", 1e-5, 1e-6), ("bfloat16", 2e-2, 1e-3)):
        found = similarities(trained, precision)
        for pair, by_group in exact.items():
            for group, scores in by_group.items():
                assert found[pair][group].dtype == torch.float64
                torch.testing.assert_close(found[pair][group], scores, atol=error, rtol=0)
                places = torch.arange(len(scores))
                objectives = [
                    float(scores[places, best_permutation(each)].mean())
                    for each in (scores, found[pair][group])
                ]
                assert objectives[0] - objectives[1] <= worth


def test_a_merge_in_low_precision_leaves_float32_networks_that_are_as_accurate(trained, make_communicator):
    accuracies = {}
    for precision in ("float32", "bfloat16"):
        agents = copy.deepcopy(trained)
        merging = Merging(Matching(), Calibration(precision=precision))
        merge_with_neighbours(agents, make_communicator(Complete(), 4), merging, Averaging(), round=1)
        assert {tensor.dtype for state in agents.states() for tensor in state.values()} == {
            torch.float32,
            torch.int64,
        }
        scores = [agents.evaluate(row)["test_accuracy"] for row in range(4)]
        accuracies[precision] = sum(scores) / 4
    assert accuracies["float32"] != accuracies["bfloat16"]
    assert abs(accuracies["float32"] - accuracies["bfloat16"]) < 0.02


def test_given_networks_are_merged_in_low_precision(trained):
    images = next(trained.task.inputs(range(4), 100, False, torch.Generator())())
    exact = merge(trained.models, images, batch_size=50)
    low = merge(trained.models, images, batch_size=50, precision="bfloat16")
    for name, tensor in exact.model.state_dict().items():
        other = low.model.state_dict()[name]
        assert other.dtype == tensor.dtype
    assert low.objective == pytest.approx(exact.objective, abs=0.02)
    assert low.objective != exact.objective


def test_merges_have_a_batch_size_of_their_own(trained, make_communicator):
    communicator = make_communicator(Complete(), 4)
    for size, expected in ((None, 50), (7, 7)):
        calibration = Calibration(limit=100, batch_size=size)
        passed = list(visible_images(trained, communicator, calibration, None, round=1)())
        assert [len(batch) for batch in passed] == [expected] * (100 // expected) + [100 % expected] * (
            100 % expected > 0
        )


def test_networks_may_change_between_passes_in_low_precision(trained):
    network, images = trained.models[0], torch.rand(4, 1, 8, 8)
    with arithmetic(CPU, "bfloat16"), torch.no_grad():
        before = network(images)
        for parameter in network.parameters():
            parameter.zero_()
        assert not torch.equal(network(images), before)
        assert not network(images).any()
