"""A task for each agent: images under an angle of its own, in training and in the test set."""

import numpy
import pytest
import torch
from pydantic import ValidationError

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Iid, TwoPhase
from dimat.data.rotation import turned
from dimat.errors import InputError
from dimat.models import Plain
from dimat.randomness import Randomness
from dimat.tasks import Classification, Rotated
from dimat.tasks.images import scores_of

ANGLES = (0.0, 40.0, 90.0)


def agents_of(digits, partition=None, angles=ANGLES, task=None):
    labels = digits.train_labels.numpy()
    shares = (partition or Iid()).shares(labels, len(angles), numpy.random.default_rng(0))
    randomness = Randomness("test", 0)
    task = (task or Rotated(angles=angles)).task(
        Plain(widths=(4, 5)), digits, shares, Augmentation(flip=False, crop=0), randomness, batch_size=50
    )
    return Networks(task, Training(), randomness)


def upright(batches, degrees, data):
    """Normalized ``batches`` as uint8 images, turned back by right angles."""
    mean, deviation = (each.view(1, -1, 1, 1) for each in data.statistics())
    seen = torch.cat(list(batches)) * deviation + mean
    return torch.rot90((seen * 255).round().to(torch.uint8), round(-degrees / 90), (2, 3))


@pytest.mark.parametrize("partition", [Iid(), TwoPhase()], ids=lambda each: each.name)
def test_agents_see_their_own_images_under_their_own_angle(digits, partition):
    angles = (0.0, 90.0, 180.0)
    turned_ones = agents_of(digits, partition, angles)
    plain = agents_of(digits, partition, angles, Classification())
    for agent, angle in enumerate(angles):
        for phase in ("pretrain", "train"):
            seen, expected = (list(each.task.epoch(agent, phase, 1, 0)) for each in (turned_ones, plain))
            assert all(torch.equal(a.labels, b.labels) for a, b in zip(seen, expected, strict=True))
            back = upright((batch.images for batch in seen), angle, digits)
            assert torch.equal(back, upright((batch.images for batch in expected), 0, digits))
        generators = [torch.Generator().manual_seed(5) for _ in range(2)]
        passes = [
            each.task.inputs([agent], 60, False, generator)
            for each, generator in zip((turned_ones, plain), generators, strict=True)
        ]
        back = upright(passes[0](), angle, digits)
        assert torch.equal(back, upright(passes[1](), 0, digits))


def test_the_test_set_is_that_of_every_agent(digits):
    agents = agents_of(digits)
    agents.train(1)
    network = agents.models[1]
    parts = []
    for angle in ANGLES:
        images = turned(digits.test_images, angle)
        with torch.no_grad():
            right = network.eval()(digits.normalized(images)).argmax(1) == digits.test_labels
        parts.append(float(right.double().mean()))
    assert agents.part_scores(1) == pytest.approx(parts)
    assert agents.evaluate(1)["test_accuracy"] == pytest.approx(numpy.mean(parts))
    assert len(set(parts)) > 1
    (seen,) = agents.task.test_inputs(1, torch.Generator().manual_seed(0))()
    assert seen.shape == (1, 1, 8, 8)


def test_without_a_turn_it_is_classification(digits):
    agents, plain = (
        agents_of(digits, angles=(0.0, 0.0)),
        agents_of(digits, angles=(0, 0), task=Classification()),
    )
    for each in (agents, plain):
        each.train(1)
    assert torch.equal(agents.parameters, plain.parameters)
    found = scores_of(Classification(), plain.models[0], digits)["test_accuracy"]
    assert agents.evaluate(0)["test_accuracy"] == pytest.approx(found)
    assert agents.part_scores(0) == pytest.approx([found, found])


def test_options_that_are_not_valid():
    with pytest.raises(InputError, match=r"^task\.angles: 3 for 4 agents; expected one angle for each$"):
        Rotated(angles=ANGLES).check(4)
    Rotated(angles=ANGLES).check(3)
    Classification().check(4)
    for wrong in ({}, {"angles": []}, {"angles": [360.0]}, {"angles": 30.0}):
        with pytest.raises(ValidationError):
            Rotated.model_validate(wrong)
    assert Rotated(angles=(0, 22.5)).label() == "images turned by 0, 22.5 degrees"
