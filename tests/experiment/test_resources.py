"""Time and memory that are asked of a cluster grow with the experiment, and with every attempt."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dimat.experiment import slurm
from dimat.experiment.config import parse_study, read_study
from dimat.experiment.resources import cost_of, needs

CONFIGS = Path(__file__).parents[2] / "config"


def of(content):
    study = parse_study(content, "small")
    return needs(next(iter(study.runs.values())), study)


def test_more_work_needs_more(small):
    base = small | {"model": "resnet20", "data": "cifar10"}
    training = base["training"]
    slow = [
        {"training": training | {"rounds": 40}},
        {"training": training | {"epochs": 10}},
        {"model": {"name": "resnet20", "width": 2}},
    ]
    for change in slow:
        assert of(base | change).minutes > of(base).minutes, change
    large = [{"model": "vgg16"}, {"training": training | {"batch_size": 1000}}, {"data": "tiny_imagenet"}]
    for change in large:
        assert of(base | change).megabytes > of(base).megabytes, change
    assert of(base | {"threads": 8}).minutes < of(base).minutes


@pytest.mark.parametrize("model", ["plain", "resnet20", "vgg16", "resnet50"])
def test_operations_are_those_that_torch_counts(small, model):
    (spec,) = parse_study(small | {"model": model, "data": {"name": "digits", "size": 32}}, "small").model
    network = spec.build(3, 100).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert cost_of(spec, 3, 32).operations == counter.get_total_flops()


def test_a_second_attempt_is_given_twice_as_much(small):
    first = of(small)
    assert first.on(1) == first
    assert (first.on(2).minutes, first.on(3).megabytes) == (2 * first.minutes, 4 * first.megabytes)


def test_a_process_for_each_agent_needs_memory_for_each(small):
    assert of(small | {"communication": "ranks"}).megabytes > 2 * of(small).megabytes


def test_runs_of_the_default_study_are_short_and_published_ones_are_not():
    quick, paper = (read_study(CONFIGS / f"{name}.yaml") for name in ("quick", "paper"))
    assert all(needs(run, quick).short for run in quick.runs.values())
    assert not any(needs(run, paper).short for run in paper.runs.values())
    week = 7 * 24 * 60
    assert all(needs(run, paper).minutes < week for run in paper.runs.values())


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("AccountingStorageType   = accounting_storage/slurmdbd", "sacct"),
        ("AccountingStorageType   = accounting_storage/none", "squeue"),
        ("AccountingStorageType   = (null)", "squeue"),
    ],
)
def test_jobs_are_looked_up_where_they_are_known(tmp_path, monkeypatch, shown, expected):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho 'AccountingStorageHost = slurmdbd'\necho '{shown}'\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert slurm.status_command() == expected


def test_without_slurm_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.status_command() == "squeue"
