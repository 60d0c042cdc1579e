"""Recorded steps and gradients give what others give. Here a recording calls, on the memory that it holds."""

import copy
import gc

import pytest
import torch

from dimat.agents import recording
from dimat.agents.recording import WARM, copied, uncollected

RATES = {"learning_rate": 2**-7}
"""What is read from memory in float32 and what is not are the same."""
OPTIMIZERS = [
    {"name": "adam", **RATES},
    {"name": "adam", **RATES, "weight_decay": 0.01},
    {"name": "momentum", **RATES, "nesterov": True},
    {"name": "sgd", **RATES},
    {"name": "momentum", **RATES, "decay": 0.5, "warmup": 1, "warmup_start": 0.5, "milestones": [1, 3]},
    {"name": "adam", **RATES, "decay": 0.5, "milestones": [2], "milestone_factor": 0.25},
]


class OnTheCpu:
    """As a CUDA graph: called a few times before, and then on what was copied to its memory."""

    made: int

    def __init__(self, function, sample, pool):
        type(self).made += 1
        self._function, self._held = function, copied(sample)
        for _ in range(WARM + 1):
            self._result = function(self._held)

    def replay(self, sample):
        for held, given in zip(self._held, sample, strict=True):
            held.copy_(given)
        found = self._function(self._held)
        if found is not None:
            self._result.copy_(found)  # always in the same memory
        return self._result


@pytest.fixture(autouse=True)
def graphs(monkeypatch):
    OnTheCpu.made = 0
    monkeypatch.setattr(recording, "Recording", OnTheCpu)
    monkeypatch.setattr(recording, "OFTEN", 1)
    monkeypatch.setattr(recording.Recorded, "_pool", (0, 0))
    return OnTheCpu


def tensors_of(agents):
    return {name: tensor.clone() for name, tensor in agents.tensors(optimizers=True).items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("state", ["reset", "kept"])
def test_steps(make_agents, optimizer, state, graphs):
    found = []
    for recorded in (False, True):
        agents = make_agents(
            recorded=recorded, agents=2, batch_size=200, optimizer=optimizer, optimizer_state=state, epochs=2
        )
        agents.pretrain(0)
        agents.pretrain(1)
        agents.train(1)
        agents.train(2)
        found.append((tensors_of(agents), agents.steps_taken))
    assert_same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert graphs.made == 3  # batches of 200, and the last of both agents, of 49 and 48


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_gradients(make_agents, own, frozen, graphs):
    found = []
    for recorded in (False, True):
        agents = make_agents(recorded=recorded, agents=2, batch_size=200)
        agents.frozen = frozen
        points = agents.parameters + 0.01
        steps = [
            agents.gradient(row, sample, points[row], own=own)
            for row in range(agents.agents)
            for _, sample in zip(range(4), agents.samples(row, 1), strict=False)
        ]
        found.append(({str(place): step for place, step in enumerate(steps)}, tensors_of(agents)))
    assert_same(found[0][0], found[1][0])
    assert_same(found[0][1], found[1][1])
    assert graphs.made == agents.agents


def test_what_is_seldom_called_is_not_recorded(make_agents, graphs, monkeypatch):
    monkeypatch.setattr(recording, "OFTEN", 8)
    make_agents(recorded=True, agents=2, batch_size=200).pretrain(0)
    assert graphs.made == 0


def test_training_goes_on_from_saved_tensors(make_agents):
    given = {"recorded": True, "agents": 2, "batch_size": 200, "optimizer_state": "kept"}
    agents = make_agents(**given)
    agents.train(1)
    saved = copy.deepcopy(tensors_of(agents))
    agents.train(2)
    other = make_agents(**given)
    other.train(1)
    other.train(1)
    other.load_tensors(saved)
    other.train(2)
    assert_same(tensors_of(agents), tensors_of(other))


def test_nothing_is_collected_meanwhile_and_all_is_as_it_was_after_an_error():
    for before in (True, False):
        (gc.enable if before else gc.disable)()
        try:
            with pytest.raises(ValueError, match="inside"), uncollected():
                assert not gc.isenabled()
                raise ValueError("inside")
            assert gc.isenabled() == before
        finally:
            gc.enable()
