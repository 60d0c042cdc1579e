"""What is measured of a network on images: losses and scores against plain loops, parts in closed form."""

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dimat.data.augmentation import Augmentation
from dimat.data.image_set import ImageSet
from dimat.data.partitions import Dirichlet, Iid, Shares, TwoPhase, WholeClasses
from dimat.tasks import images as tasks
from dimat.tasks.classification import Classification
from dimat.tasks.parts import Parts, part_weights

PARTITIONS = [
    Iid(),
    WholeClasses(),
    TwoPhase(),
    Dirichlet(alpha=0.3, fewest=2),
    Dirichlet(alpha=1, rule="hsu"),
]


@pytest.mark.parametrize("size", [500, 7])
def test_the_training_loss_is_that_of_a_plain_loop(make_agents, digits, size, monkeypatch):
    """Over all images of all agents, one by one, without augmentation, by running statistics."""
    monkeypatch.setattr(tasks, "EVALUATED", size)
    agents = make_agents(agents=2, augmentation=Augmentation(flip=True, crop=2), partition=WholeClasses())
    agents.train(1)
    before = agents.tensors(optimizers=False)
    losses = []
    with torch.no_grad():
        for image, label in zip(digits.train_images, digits.train_labels, strict=True):
            output = agents.models[1].eval()(digits.normalized(image[None]))
            losses.append(functional.cross_entropy(output.double(), label[None]).item())
    agents.models[1].train()
    assert agents.training_loss(1) == pytest.approx(numpy.mean(losses), rel=1e-5)
    assert agents.training_loss(1) != pytest.approx(agents.training_loss(0), rel=1e-2)
    assert not agents.models[1].training
    for name, tensor in agents.tensors(optimizers=False).items():
        assert torch.equal(tensor, before[name]), name


def test_of_whole_classes_parts_have_the_images_of_these(make_agents, digits):
    agents = make_agents(agents=3, partition=WholeClasses())
    agents.train(1)
    held = [set(digits.train_labels[holding].tolist()) for holding in agents.task.holdings]
    for row, model in enumerate(agents.models):
        with torch.no_grad():
            right = model.eval()(digits.normalized(digits.test_images)).argmax(1) == digits.test_labels
        found = agents.part_scores(row)
        for part, classes in enumerate(held):
            inside = torch.tensor([label in classes for label in digits.test_labels.tolist()])
            assert found[part] == pytest.approx(right[inside].double().mean().item())
    assert len(found) == 3


@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda each: each.label())
def test_parts_make_up_the_whole(make_agents, digits, partition):
    """Weighted with their shares of the test set, accuracies on parts give the accuracy on all of it."""
    agents = make_agents(agents=5, partition=partition)
    agents.train(1)
    labels = digits.train_labels.numpy()
    held = partition.shares(labels, 5, numpy.random.default_rng(0)).train  # as the agents' are
    counts = numpy.stack([numpy.bincount(labels[own], minlength=10) for own in held])
    sizes = counts / counts.sum(0) @ digits.test_labels.bincount().numpy()
    assert sizes.sum() == pytest.approx(len(digits.test_labels))
    for row in range(agents.agents):
        whole = sizes @ agents.part_scores(row) / sizes.sum()
        assert whole == pytest.approx(agents.evaluate(row)["test_accuracy"])


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_parts_of_any_shares_are_weighted_means(data):
    """Against images counted one by one, each as often as agents hold images of its class."""
    classes, agents = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 4))
    owners = data.draw(st.lists(st.integers(0, agents - 1), min_size=30, max_size=40))
    train = numpy.arange(len(owners)) % classes
    owners[:agents] = range(agents)  # nobody has nothing
    held = [numpy.flatnonzero(numpy.array(owners) == agent) for agent in range(agents)]
    test = list(range(classes)) + data.draw(st.lists(st.integers(0, classes - 1), max_size=12))
    right = data.draw(st.lists(st.booleans(), min_size=len(test), max_size=len(test)))
    outputs = functional.one_hot(torch.tensor(test), classes).float()
    outputs[~torch.tensor(right)] *= -1
    images = ImageSet(
        "drawn",
        tuple(map(str, range(classes))),
        torch.zeros(len(train), 1, 4, 4, dtype=torch.uint8),
        torch.from_numpy(train),
        torch.zeros(len(test), 1, 4, 4, dtype=torch.uint8),
        torch.tensor(test),
    )
    found = Parts(images, Shares(held, held)).scores(Classification(), outputs)
    of_class = numpy.bincount(train, minlength=classes)
    for agent, own in enumerate(held):
        weights = [(train[own] == label).sum() / of_class[label] for label in test]
        assert found[agent] == pytest.approx(numpy.average(right, weights=weights))
    assert part_weights(Shares(held, held), train, classes).sum(0) == pytest.approx(numpy.ones(classes))


def test_parts_of_equal_shares_are_the_whole(make_agents, digits):
    agents = make_agents(agents=1)
    agents.train(1)
    assert agents.part_scores(0) == pytest.approx([agents.evaluate(0)["test_accuracy"]])
