"""Other numbers of threads add up in another order: how far that goes, as the README says."""

import csv
import json

import pytest
import torch
from support.jobs import only_run, only_start, open_runner

from dimat.io.files import read_tensors

WEIGHTS = 1e-3
"""Of the largest weight of a layer, after an epoch."""
ACCURACY = 0.01
"""After three merges."""


@pytest.fixture
def trained(tmp_path, small):
    """Trains on all digits with so many threads: networks before the first merge, accuracies, threads."""

    def train(threads):
        content = small | {
            "data": {"name": "digits", "train_limit": 300},
            "model": {"name": "plain", "widths": [32, 64]},
            "training": {"pretrain_epochs": 1, "rounds": 3, "epochs": 1},
            "threads": threads,
        }
        runner = open_runner(content, tmp_path / str(threads))
        start, run = only_start(runner), only_run(runner)
        runner.pretrain(start)
        runner.train(run)
        networks, _ = read_tensors(runner.layout.pretrained(start.id))
        with runner.layout.run(run.id).open() as file:
            rows = [row for row in csv.DictReader(file) if row["metric"] == "test_accuracy"]
        accuracies = [float(row["value"]) for row in rows]
        (machine,) = json.loads(runner.layout.run_provenance(run.id).read_text())["made_on"]
        return networks, accuracies, machine["threads"]

    yield train
    torch.set_num_threads(1)


def test_other_numbers_of_threads_differ_by_round_off(trained, long):
    networks, accuracies, threads = trained(1)
    assert threads == 1
    for other in (2, 3, 4) if long else (2,):
        again, others, threads = trained(other)
        assert threads == other
        for name, tensor in networks.items():
            if tensor.is_floating_point():
                assert (again[name] - tensor).abs().max() <= WEIGHTS * tensor.abs().max(), name
        assert others == pytest.approx(accuracies, abs=ACCURACY)
