"""Scores of two classes: the AUROC, the min-max form of the AUC, and networks that learn by it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import carried_out, only_start, open_runner
from support.small import SMALL

from dimat.agents.networks import Networks
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.measure import measure
from dimat.experiment.reading import parse_study
from dimat.experiment.records import COLUMNS
from dimat.merging.averaging.coefficients import prediction_entropy
from dimat.methods.dpsgd import Dpsgd
from dimat.models.symmetry import permute
from dimat.tasks.auc import Auc, saddle_loss
from dimat.tasks.auroc import auroc
from dimat.tasks.logistic import BinaryCrossEntropy
from dimat.topology import Ring

RARE = SMALL | {
    "data": {
        "name": "digits",
        "train_limit": 300,
        "test_limit": 60,
        "two_classes": {"positive": [5, 6, 7, 8, 9], "share": 0.2},
    },
    "task": "auc",
}


@st.composite
def scored(draw):
    """Scores with many ties, and labels of which both are there."""
    size = draw(st.integers(2, 40))
    scores = draw(st.lists(st.integers(-4, 4), min_size=size, max_size=size))
    labels = draw(st.lists(st.integers(0, 1), min_size=size - 2, max_size=size - 2))
    return torch.tensor(scores).double() / 3, torch.tensor([0, 1, *labels])


@given(scored())
def test_the_auroc_is_the_share_of_pairs_in_order(drawn):
    scores, labels = drawn
    pairs = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive, of_one in zip(scores.tolist(), labels.tolist(), strict=True)
        for negative, of_other in zip(scores.tolist(), labels.tolist(), strict=True)
        if of_one == 1 and of_other == 0
    ]
    found = auroc(scores, labels)
    assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-15)
    assert auroc(scores.exp(), labels) == found  # whatever rises with a score ranks alike
    assert auroc(scores, 1 - labels) == pytest.approx(1 - found, abs=1e-15)


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30))
def test_at_its_saddle_point_the_loss_is_that_of_pairs(seed, positives, negatives):
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(positives + negatives, 1, generator=generator, dtype=torch.float64)
    labels = torch.tensor([1] * positives + [0] * negatives)
    h, p = outputs[:, 0].sigmoid(), positives / (positives + negatives)
    above, below = h[labels == 1], h[labels == 0]
    pairs = (1 - above[:, None] + below).square().mean()
    assert Auc().loss(outputs, labels) == pytest.approx(pairs.item(), abs=1e-12)
    a, b = above.mean(), below.mean()
    best = torch.stack([a, b, b - a]).requires_grad_()
    value = saddle_loss(h, labels, p, *best)
    assert abs(value.item() - p * (1 - p) * (pairs.item() - 1)) < 1e-12
    assert torch.autograd.grad(value, best)[0].abs().max() < 1e-12
    for place, sign in ((0, 1), (1, 1), (2, -1)):  # least in a and b, highest in alpha
        for move in (-0.1, 0.1):
            elsewhere = best.detach().clone()
            elsewhere[place] += move
            assert sign * (saddle_loss(h, labels, p, *elsewhere) - value) > 0


def test_the_entropy_of_one_logit_is_that_of_two_classes():
    logits = torch.tensor([[0.3], [-2.0], [5.0]], dtype=torch.float64)
    p = logits.sigmoid()
    expected = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    torch.testing.assert_close(prediction_entropy(logits), expected)
    pair = torch.cat([logits, torch.zeros_like(logits)], 1)
    torch.testing.assert_close(prediction_entropy(pair), expected)


def started(changes, folder) -> Networks:
    runner = open_runner(RARE | changes, folder)
    runner.pretrain(only_start(runner))
    return runner.started(only_start(runner))


def test_agents_train_three_numbers_with_their_networks(tmp_path):
    agents = started({"training": {"pretrain_epochs": 0, "batch_size": 25}}, tmp_path)
    task = agents.task
    assert list(agents.shapes)[:3] == ["a", "b", "alpha"]
    assert agents.ascending.tolist() == [False, False, True] + [False] * (agents.parameters.shape[1] - 3)
    assert task.share == pytest.approx(0.2, abs=1e-2)
    # They start at 0, where they move by the mean scores alone.
    sample = next(agents.samples(0, 1))
    scores = agents.models[0](sample.images)[:, 0].sigmoid().detach()
    p, positive = task.share, sample.labels == 1
    step, before = next(agents.steps(1)), agents.parameters
    Dpsgd(learning_rate=0.5).step(agents, InProcess(torch.eye(3).numpy()), step, 0.5)
    moved = (agents.parameters - before)[0, :3]
    expected = torch.stack(
        [
            2 * (1 - p) * (scores * positive).mean(),
            2 * p * (scores * ~positive).mean(),
            2 * (p * scores * ~positive - (1 - p) * scores * positive).mean(),  # up
        ]
    )
    torch.testing.assert_close(moved, 0.5 * expected, rtol=1e-4, atol=1e-6)


def test_losses_of_agents_who_hold_other_shares_are_one_problem(tmp_path):
    """In which an image of a small agent weighs more, as agents weigh alike."""
    agents = started({"partition": {"name": "dirichlet", "alpha": 0.5, "fewest": 5}}, tmp_path)
    task = agents.task
    held = [torch.from_numpy(own) for own in task._shares.train]
    labels = task.data.train_labels
    shares = [labels[own].double().mean().item() for own in held]
    assert max(shares) > 2 * min(shares) and len({len(own) for own in held}) == 3
    assert task.share == pytest.approx(sum(shares) / 3)
    scores = torch.rand(len(labels), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.zeros(len(labels), dtype=torch.float64)
    for own in held:
        weights[own] = 1 / (3 * len(own))
    a, b = ((weights * scores)[labels == label].sum() / weights[labels == label].sum() for label in (1, 0))
    best = torch.stack([a, b, b - a]).requires_grad_()
    losses = [saddle_loss(scores[own], labels[own], task.share, *best) for own in held]
    assert torch.autograd.grad(sum(losses), best)[0].abs().max() < 1e-12


def test_what_is_recorded_is_of_all_pairs_of_images(tmp_path):
    agents = started({}, tmp_path)
    found = agents.evaluate(1)
    data, network = agents.task.data, agents.models[1].eval()
    with torch.no_grad():
        logits = network(data.normalized(data.test_images))[:, 0].double()
        trained = network(data.normalized(data.train_images))[:, 0].double().sigmoid()
    above, below = (logits[data.test_labels == label] for label in (1, 0))
    right = (above[:, None] > below).double() + (above[:, None] == below) / 2
    assert found["test_auroc"] == pytest.approx(right.mean().item(), abs=1e-3)  # in other batches
    pairs = (1 - above.sigmoid()[:, None] + below.sigmoid()).square().mean()
    assert found["test_loss"] == pytest.approx(pairs.item(), rel=1e-5)
    above, below = (trained[data.train_labels == label] for label in (1, 0))
    pairs = (1 - above[:, None] + below).square().mean()
    assert agents.training_loss(1) == pytest.approx(pairs.item(), rel=1e-5)
    rows = measure(agents, InProcess(Ring().mixing_matrix(3)), 0, "start", (), {"mean_model"})
    assert {row.metric for row in rows} >= {"test_auroc", "mean_model_test_auroc", "mean_model_test_loss"}


def test_neurons_can_be_reordered_beside_the_three_numbers(tmp_path, randomize):
    agents = started({}, tmp_path)
    network = randomize(agents.models[0], 3).eval()
    assert {member.name.split(".")[0] for group in agents.symmetry for member in group.members} == {"network"}
    orders = {group.name: torch.arange(group.size).flip(0) for group in agents.symmetry}
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = network(images).detach()
    moved = permute(network.state_dict(), agents.symmetry, orders)
    assert not torch.equal(
        moved["network.features.0.weight"], network.state_dict()["network.features.0.weight"]
    )
    network.load_state_dict(moved)
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)
    assert agents.ascending.sum() == 1


def values_of(runner, metric, stage="merged"):
    """By run, the last mean over agents of a metric."""
    found = {}
    for id, run in runner.study.runs.items():
        lines = runner.layout.run(id).read_text().splitlines()
        rows = [dict(zip(COLUMNS, line.split(","), strict=True)) for line in lines[1:]]
        last = [
            float(row["value"])
            for row in rows
            if row["metric"] == metric and row["round"] == "4" and row["stage"] == stage
        ]
        found[run.method.name] = sum(last) / len(last)
    return found


@pytest.mark.parametrize("task", ["auc", "logistic"])
def test_plain_methods_learn_to_rank(task, tmp_path):
    adam = {"name": "adam", "learning_rate": 0.02}
    content = RARE | {
        "task": task,
        "method": [
            {"name": "dimat", "optimizer": adam},
            {"name": "wa", "optimizer": adam},
            {"name": "local", "optimizer": adam},
            {"name": "dpsgd", "learning_rate": 1.0},
            {"name": "coda", "learning_rate": 1.0, "stage_steps": 30},
        ],
        "training": {"pretrain_epochs": 5, "rounds": 4, "epochs": 5, "batch_size": 25}
        | {"optimizer": {"name": "adam", "learning_rate": 0.02}},
        "measures": ["training_loss", "mean_model"],
    }
    found = values_of(carried_out(content, tmp_path), "test_auroc")
    assert len(found) == 5
    assert min(found.values()) > 0.75, found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": "digits"}, "task: auc tells 2 classes apart, and digits has 10; expected data.two_classes"),
        ({"measures": ["parts"]}, "measures: task auc has no parts, the AUROC is the same on all"),
        (
            {"measures": ["optimum"], "model": "linear"},
            "measures: task auc has no optimum, its loss is not convex",
        ),
        ({"task": "logistic", "measures": ["parts"]}, "measures: task logistic has no parts"),
        ({"task": "auroc"}, "'auc'"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_when_it_is_read(changes, said):
    with pytest.raises(InputError, match=said):
        _ = parse_study(RARE | changes, "study.yaml").runs


def test_images_of_more_classes_are_refused_when_they_are_there(digits, make_agents):
    task = make_agents().task
    with pytest.raises(InputError, match="logistic tells two classes apart, and digits has 10;"):
        BinaryCrossEntropy().task(
            task.model, digits, task._shares, task.augmentation, task.randomness, batch_size=9
        )
    with pytest.raises(InputError, match="measures: task auc has no parts"):
        raise Auc().without("parts")


def test_the_logistic_loss_of_a_linear_score_has_an_optimum(tmp_path):
    content = RARE | {
        "task": "logistic",
        "model": "linear",
        "graph": "complete",
        "method": {"name": "coda", "learning_rate": 0.2, "weight_decay": 0.2, "local_steps": 1, "gamma": 1e9},
        "training": {"pretrain_epochs": 0, "rounds": 41, "epochs": 5, "batch_size": 70},
        "measures": ["optimum"],
    }  # fmt: skip
    runner = carried_out(content, tmp_path)
    lines = runner.layout.run(next(iter(runner.study.runs))).read_text().splitlines()
    far = [float(line.split(",")[-1]) for line in lines if "distance_to_optimum" in line]
    assert far[-1] < 1e-3 < 0.5 < far[0]
