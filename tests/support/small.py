"""A study whose steps take a fraction of a second, its commands, and what networks compute on the way."""

import torch

from dimat.models.symmetry import Observed


def features_of(model, groups, batch):
    """Each group's features (batch, C, ...), in the order of ``groups``; the network is evaluated."""
    with torch.no_grad():
        found = {group.name: value.clone() for group, value in Observed(model.eval(), groups).features(batch)}
    return [found[group.name] for group in groups]


SMALL = {
    "name": "small",
    "data": {"name": "digits", "train_limit": 150, "test_limit": 60},
    "model": {"name": "plain", "widths": [3, 4]},
    "partition": "iid",
    "graph": "ring",
    "agents": 3,
    "method": "dimat",
    "seeds": [0],
    "device": "cpu",
    "training": {"pretrain_epochs": 3, "rounds": 4, "epochs": 1, "batch_size": 25},
    "checkpoint_seconds": 0,
}
"""A configuration whose steps take a fraction of a second each."""


def command(*arguments):
    """The command line of ``dimat``, in a process that the tests' server forks (see conftest)."""
    return ["dimat", *map(str, arguments)]
