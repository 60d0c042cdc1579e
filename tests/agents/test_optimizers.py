"""Optimizers are those of torch, without its compiler."""

import subprocess
import sys

import pytest
import torch
from support.small import SMALL
from torch import nn

from dimat.agents.optimizers import Adam, Momentum, Sgd

OPTIMIZERS = {
    "sgd": (Sgd(learning_rate=0.1, weight_decay=0.01), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.01}),
    "nesterov": (
        Momentum(learning_rate=0.1, momentum=0.8, nesterov=True),
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    ),
    "adam": (
        Adam(learning_rate=0.01, weight_decay=0.1),
        torch.optim.Adam,
        {"lr": 0.01, "weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_and_state_are_those_of_torch(name):
    spec, theirs, options = OPTIMIZERS[name]
    inputs = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0))
    networks = [nn.Linear(3, 2) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers = [spec.build(networks[0]), theirs(networks[1].parameters(), **options, fused=True)]
    for batch in inputs:
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            network(batch).square().sum().backward()
            optimizer.step()
    assert torch.is_grad_enabled()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.requires_grad
    ours, torchs = (optimizer.state_dict()["state"] for optimizer in optimizers)
    assert ours.keys() == torchs.keys()
    for parameter, slots in torchs.items():
        for slot, tensor in slots.items():
            assert tensor is ours[parameter][slot] is None or torch.equal(ours[parameter][slot], tensor)
    again = spec.build(networks[0])
    again.load_state_dict(optimizers[0].state_dict())
    assert repr(again.state_dict()) == repr(optimizers[0].state_dict())


PROGRAM = """\
import sys
from dimat.cli import main
for command in ("partition", "pretrain", "train"):
    sys.argv = ["dimat", command, "study.yaml"]
    try:
        main.main()
    except SystemExit as ended:
        assert not ended.code, command
    print(command, *sorted({name.partition(".")[0] for name in sys.modules}), "torch._dynamo" in sys.modules)
"""


def test_steps_load_what_they_use(write_config, tmp_path, dimat):
    """Measured on its import, torch's compiler takes as long as torch."""
    methods = ["wa", "dpsgd", "cga", "sgp", {"name": "dimat", "optimizer": {"name": "momentum"}}]
    study = write_config(SMALL | {"method": methods, "data": {"name": "digits", "train_limit": 60}})
    assert dimat("prepare", study, "--results", tmp_path / "results").returncode == 0
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    loaded = {command: words for command, *words in map(str.split, ended.stdout.splitlines())}
    assert list(loaded) == ["partition", "pretrain", "train"]
    heavy = {
        "sklearn",
        "sympy",
        "pandas",
        "matplotlib",
        "cvxpy",
        "snakemake",
        "flint",
        "typst",
        "torchvision",
    }
    for command, words in loaded.items():
        assert words[-1] == "False", f"{command} loaded torch's compiler"
        assert heavy.isdisjoint(words), command
    assert "scipy" not in loaded["pretrain"]
