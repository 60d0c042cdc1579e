"""The choice of learning rates: on held-out training images, within one budget, before the runs."""

import json

import pytest
import torch

from dimat.data.data_set import DataFolders
from dimat.data.digits import Digits
from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.experiment.tuning import best
from dimat.tasks import Classification

METRIC = Classification().metric


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ({0.1: 0.5, 1.0: 0.75, 10.0: None}, 1.0),
        ({0.1: 0.5, 1.0: 0.5, 10.0: 0.25}, 0.1),
        ({10.0: None, 0.1: None, 1.0: 0.0}, 1.0),
        ({10.0: None, 0.1: None}, 0.1),
    ],
)
def test_the_best_is_most_accurate_and_divergence_is_worst(values, factor):
    assert best(values, METRIC) == factor


def test_where_less_is_better_the_least_is_best():
    assert best({0.1: 0.5, 1.0: 0.25, 10.0: None}, METRIC._replace(better="lower")) == 1.0


def rows_of(images):
    return {tuple(image.flatten().tolist()) for image in images}


def test_validation_images_are_training_images_that_are_not_trained_on():
    folders = DataFolders((), None)
    whole = Digits().prepared(folders)
    held = Digits(validation=0.2).prepared(folders)
    again = Digits(validation=0.2).prepared(folders)
    assert torch.equal(held.test_images, again.test_images)
    assert len(held.train_labels) + len(held.test_labels) == len(whole.train_labels)
    assert rows_of(held.train_images) | rows_of(held.test_images) == rows_of(whole.train_images)
    assert not rows_of(held.test_images) & rows_of(whole.test_images)
    for label in range(10):
        share = (held.test_labels == label).sum() / (whole.train_labels == label).sum()
        assert share == pytest.approx(0.2, abs=0.01)
    assert "validation" in held.title


@pytest.fixture
def tuned(small):
    return small | {
        "method": ["dpsgd", {"name": "wa", "optimizer": "momentum"}],
        "seeds": [0, 1],
        "tuning": {"factors": [0.5, 2.0]},
    }


def test_seeds_share_a_choice_and_trials_differ_in_their_rate_alone(tuned):
    study = parse_study(tuned, "study")
    assert len(study.runs) == 4
    assert len(study.tuned) == 2
    for choice in study.tuned.values():
        trials = choice.trials()
        assert list(trials) == [0.5, 2.0]
        assert len({trial.pretrained.id for trial in trials.values()}) == 1
        for factor, trial in trials.items():
            assert trial.data.validation == 0.2
            assert trial.tuning is None
            assert trial.method.rate(trial.training) == pytest.approx(0.01 * factor)
            assert trial.pretrained.id in study.pretrained
            assert trial.id not in study.runs


def test_a_run_takes_the_rate_that_was_chosen(tuned, dimat, write_config, tmp_path):
    path = write_config(tuned | {"seeds": [0]})
    for step in ("prepare", "partition", "pretrain"):
        assert dimat(step, path).returncode == 0
    done = dimat("train", path)
    assert done.returncode == 2
    assert "shared/choices" in done.stderr
    assert dimat("tune", path).returncode == 0
    folder = tmp_path / "results" / "shared"
    chosen_in = folder / "choices"
    choices = [json.loads(file.read_text()) for file in chosen_in.iterdir()]
    for choice in choices:
        values = {trial["factor"]: trial["value"] for trial in choice["trials"]}
        assert choice["factor"] == best(values, METRIC)
    assert dimat("train", path).returncode == 0
    study = parse_study(tuned | {"seeds": [0]}, "study")
    for run in study.runs.values():
        about = json.loads((folder / "runs" / run.id / "run.json").read_text())
        chosen = json.loads((chosen_in / f"{run.tuned.id}.json").read_text())["factor"]
        assert about["learning_rate"] == pytest.approx(0.01 * chosen)
    (chosen_in / f"{run.tuned.id}.json").write_text("{}")
    (folder / "runs" / run.id / "records.csv").unlink()
    done = dimat("train", path)
    assert done.returncode == 2
    assert f"{run.tuned.id}.json" in done.stderr and "delete it" in done.stderr


def test_one_sided_links_are_for_push_sum_alone(small, tmp_path):
    (tmp_path / "chord.txt").write_text("0 1\n1 2\n2 0\n0 2\n")
    chord = {"name": "file", "path": str(tmp_path / "chord.txt"), "directed": True}
    with pytest.raises(InputError, match="expected one of: sgp"):
        parse_study(small | {"graph": chord, "method": "dpsgd"}, "study")
    assert parse_study(small | {"graph": chord, "method": "sgp"}, "study").runs
    assert parse_study(small | {"graph": "directed_ring", "method": "dpsgd"}, "study").runs
    failing = {"name": "directed_ring", "link_failures": 0.1}
    with pytest.raises(InputError, match="expected one of: sgp"):
        parse_study(small | {"graph": failing, "method": "dpsgd"}, "study")
    assert parse_study(small | {"graph": failing, "method": "sgp"}, "study").runs
    uneven = {"name": "sequence", "graphs": ["directed_ring", chord]}
    with pytest.raises(InputError, match="expected one of: sgp"):
        parse_study(small | {"graph": uneven, "method": "dpsgd"}, "study")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "cga"},
        {"method": "matcha"},
        {"method": "swarm_sgd"},
        {"method": "dimat", "matching": {"alignment": "consistent"}},
        {"method": "dimat", "matching": {"rematch": "sticky"}},
    ],
)
def test_answers_need_links_of_both_directions(change, small):
    assert parse_study(small | change, "study").runs
    with pytest.raises(InputError, match="expected an undirected graph"):
        parse_study(small | change | {"graph": "directed_ring"}, "study")


@pytest.mark.parametrize("method", ["dimat", "wa", "dpsgd", "sgp", "gradient_tracking"])
def test_other_methods_need_one_direction_alone(method, small):
    assert parse_study(small | {"method": method, "graph": "directed_ring"}, "study").runs


def test_methods_that_average_at_every_step_have_no_parents_to_repair(small):
    with pytest.raises(InputError, match=r"calibration\.repair"):
        parse_study(small | {"method": "dpsgd", "calibration": {"repair": "rescale"}}, "study")
    study = parse_study(small | {"method": "dpsgd", "matching": {"alignment": "consistent"}}, "study")
    (run,) = study.runs.values()
    assert run.matching is None
