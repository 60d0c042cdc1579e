"""The minimizer of a convex loss: closed forms, and what methods that are exact converge to."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import only_run, only_start, open_runner
from support.small import SMALL

from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.experiment.records import COLUMNS
from dimat.tasks.minimizer import minimizer

CPU = torch.device("cpu")
CONVEX = {
    "data": {"name": "digits", "train_limit": 150, "test_limit": 60, "flip": False},
    "model": "linear",
    "graph": "complete",
    "method": {"name": "dpsgd", "learning_rate": 0.5, "weight_decay": 0.2},
    "training": {"pretrain_epochs": 0, "rounds": 61, "epochs": 5, "batch_size": 60},
    "measures": ["optimum"],
}


@given(st.integers(1, 12), st.integers(0, 2**31), st.sampled_from([1e-3, 0.1, 1.0]))
def test_of_a_quadratic_it_is_the_solution_of_a_linear_system(size, seed, weight_decay):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, size, generator=generator, dtype=torch.float64)
    b = torch.randn(size, generator=generator, dtype=torch.float64)
    hessian = factor @ factor.T
    found = minimizer(lambda x: x @ hessian @ x / 2 - b @ x, size, weight_decay, CPU)
    expected = torch.linalg.solve(hessian + weight_decay * torch.eye(size, dtype=torch.float64), b)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_of_separable_logistic_losses_the_gradient_vanishes():
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    signs = torch.sign(points[:, 0])

    def loss(x):
        return torch.nn.functional.softplus(-signs * (points @ x)).mean()

    found = minimizer(loss, 5, 1e-4, CPU)
    gradient = -(signs[:, None] * points * torch.sigmoid(-signs * (points @ found))[:, None]).mean(0)
    assert (gradient + 1e-4 * found).norm() < 1e-12


def test_a_loss_without_a_minimizer_is_an_error():
    with pytest.raises(InputError, match="no minimizer"):
        minimizer(lambda x: x.sum(), 2, 0.0, CPU)


def distances(changes, folder):
    """How far agents are from the optimum, (stages, agents)."""
    runner = open_runner(SMALL | CONVEX | changes, folder)
    runner.pretrain(only_start(runner))
    runner.train(only_run(runner))
    lines = runner.layout.run(only_run(runner).id).read_text().splitlines()
    rows = [dict(zip(COLUMNS, line.split(","), strict=True)) for line in lines[1:]]
    values = [float(row["value"]) for row in rows if row["metric"] == "distance_to_optimum"]
    return torch.tensor(values).view(-1, SMALL["agents"])


def test_averaged_full_gradients_converge_to_it(tmp_path):
    """On the complete graph D-PSGD is gradient descent, as the steps are; agents hold as many images each."""
    found = distances({}, tmp_path)
    assert len(found) == 62 and found[0].min() > 0.5
    assert found[-1].max() < 1e-10


def test_d_psgd_with_a_constant_rate_stays_away_on_a_graph_and_tracking_does_not(tmp_path):
    many = {"agents": 3, "graph": "chain", "partition": "classes"}
    assert distances(many, tmp_path / "dpsgd")[-1].min() > 1e-3
    tracking = {"name": "gradient_tracking", "learning_rate": 0.2, "weight_decay": 0.2}
    longer = {**CONVEX["training"], "rounds": 161}
    assert distances(many | {"method": tracking, "training": longer}, tmp_path / "t")[-1].max() < 1e-6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"name": "plain", "widths": [3, 4]}}, "model: plain has none; expected a convex model"),
        ({"method": "dpsgd"}, "method: dpsgd has weight_decay 0; expected one above 0"),
        ({"method": "wa"}, "method: wa has weight_decay 0"),
        ({"data": {"name": "digits", "crop": 1}}, "images are augmented; expected flip: false, crop: 0"),
    ],
)
def test_it_is_asked_for_only_where_there_is_one(changes, said):
    with pytest.raises(InputError, match=said):
        _ = parse_study(SMALL | CONVEX | changes, "study.yaml").runs
