"""What methods keep of agents and links: it is declared, follows the neurons, and survives a checkpoint."""

from typing import ClassVar, Literal

import pytest
import torch

from dimat.agents.state import PerAgent, PerLink, State
from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.matching.weight import Weight
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.methods.method import LocalTraining
from dimat.models.symmetry import permute
from dimat.topology import Ring

KEEPS = (PerAgent("momentum"), PerAgent("weight", "number"), PerLink("echo"), PerLink("heard", "other"))


def declared(local_agents=(0, 1)):
    state = State(local_agents, lambda: torch.ones(len(local_agents), 4))
    state.declare(KEEPS)
    return state


def test_blocks_are_zero_at_first_and_have_the_shape_that_was_declared():
    state = declared()
    assert torch.equal(state["momentum"], torch.zeros(2, 4))
    assert torch.equal(state["weight"], torch.zeros(2, 1, dtype=torch.float64))
    assert torch.equal(state["echo", (1, 0)], torch.zeros(4))
    state["echo", (1, 0)] = torch.ones(4)
    assert state["echo", (0, 1)].sum() == 0  # the other end keeps its own
    state.declare(KEEPS)
    assert state["echo", (1, 0)].sum() == 4


@pytest.mark.parametrize(
    "key", ["velocity", ("velocity", (0, 1)), "echo", ("momentum", (0, 1)), ("echo", (2, 0))]
)
def test_what_was_not_declared_is_a_key_error(key):
    state = declared()
    with pytest.raises(KeyError):
        state[key]
    with pytest.raises(KeyError):
        state[key] = torch.ones(4)


def test_blocks_follow_whose_order_they_are_in():
    state = declared()
    for name in ("echo", "heard"):
        for link in ((0, 1), (1, 0)):
            state[name, link] = torch.arange(4.0)
    state["momentum"] = torch.arange(4.0).repeat(2, 1)
    state["weight"] = torch.tensor([[5.0], [6.0]])
    state.reorder(0, lambda vector: vector.flip(0))
    moved = {name: tensor[0] == 3 for name, tensor in state.tensors() if len(tensor) == 4}
    assert {name for name, turned in moved.items() if turned} == {
        "0/state/momentum",
        "0/link/1/echo",  # kept by 0, in its own order
        "1/link/0/heard",  # kept by 1, in the order of the other end, 0
    }
    assert state["weight"].tolist() == [[5.0], [6.0]]
    before = state["momentum"].clone()
    state.reorder(7, lambda vector: vector.flip(0))  # one that lives elsewhere
    assert torch.equal(state["momentum"], before)


# A method with state, in a common frame.


class Remembering(LocalTraining):
    """Momentum steps between merges; every agent also keeps, for each link, a decaying sum of its steps."""

    name: Literal["remembering"] = "remembering"
    title: ClassVar[str] = "remembering"
    communicates: ClassVar[Literal["round", "step", "never"]] = "round"
    keeps = (PerAgent("momentum"), PerLink("echo"))

    def communicate(self, agents, communicator, merging, round):
        found = merge_with_neighbours(agents, communicator, merging, Averaging(), round)
        for step in agents.steps(round):
            gradients = step.gradients(agents.parameters)
            momentum = 0.9 * agents.state["momentum"] + gradients
            agents.state["momentum"] = momentum
            x = agents.parameters - 0.02 * momentum
            for row, agent in enumerate(agents.local_agents):
                for other in communicator.receivers(agent):
                    echo = 0.5 * agents.state["echo", (agent, other)] + momentum[row]
                    agents.state["echo", (agent, other)] = echo
                    x[row] -= 0.005 * echo
            agents.parameters = x
        return found


def double(agents):
    """In double precision, so that round-off does not turn a choice of the matching."""
    assert agents.symmetry  # tracing is done in single precision
    for model in agents.models:
        model.double()
    agents.task.loss = lambda network, sample: torch.nn.functional.cross_entropy(
        network(sample.images.double()), sample.labels
    )
    return agents


def trained(make_agents, make_communicator, shuffled, rounds=3):
    """The agents after some rounds, and the orders in which they were shuffled at the start."""
    agents = double(make_agents(agents=3, epochs=1, batch_size=100, start="different"))
    method = Remembering()
    agents.state.declare(method.keeps)
    generator = torch.Generator().manual_seed(5)
    orders = [
        {
            group.name: torch.randperm(group.size, generator=generator)
            if shuffled
            else torch.arange(group.size)
            for group in agents.symmetry
        }
        for _ in range(3)
    ]
    merging = Merging(Matching(matcher=Weight(), alignment="consistent"), Calibration(repair="none"))
    communicator = make_communicator(Ring(), 3)
    # Some steps before the first merge, so that there is something to move; shuffled in the midst of them.
    method.communicate(agents, communicator, Merging(None, None), 1)
    for agent, order in enumerate(orders):
        agents.reorder(agent, order)
    for round in range(2, rounds + 2):
        method.communicate(agents, communicator, merging, round)
    return agents


def in_one_order(agents, reference):
    """All agents' vectors, each agent's neurons put where those of ``reference`` stand."""
    found = {}
    for row, agent in enumerate(agents.local_agents):
        order = {}
        ours, theirs = agents.models[row].state_dict(), reference.models[row].state_dict()
        moved = {}
        for group in agents.symmetry:  # from the first layer on, by all that is put in: rows are unique
            member = group.members[0]
            one = permute(ours, agents.symmetry, identity(agents) | moved)[member.name]
            other = theirs[member.name]
            distance = torch.cdist(other.flatten(1), one.flatten(1))
            moved[group.name] = distance.argmin(1)
        order = identity(agents) | moved
        agents.reorder(agent, order)
        found[agent] = agents.parameters[row]
    return found


def identity(agents):
    return {group.name: torch.arange(group.size) for group in agents.symmetry}


def differences(one, other):
    """The largest differences of parameters, momentum and echoes."""
    parameters = (one.parameters - other.parameters).abs().max()
    kept, also = dict(one.state.tensors()), dict(other.state.tensors())
    assert kept.keys() == also.keys()
    return {"parameters": float(parameters)} | {
        name: float((tensor - also[name]).abs().max()) for name, tensor in kept.items()
    }


def test_a_method_with_state_does_the_same_wherever_neurons_stand(make_agents, make_communicator):
    plain = trained(make_agents, make_communicator, shuffled=False)
    shuffled = trained(make_agents, make_communicator, shuffled=True)
    assert max(differences(plain, shuffled).values()) > 1e-2  # neurons do stand elsewhere
    in_one_order(shuffled, plain)
    found = differences(plain, shuffled)
    assert {"0/state/momentum", "0/link/1/echo", "2/link/0/echo"} < set(found)
    assert max(found.values()) < 1e-8, found


def test_what_does_not_follow_the_neurons_leads_elsewhere(make_agents, make_communicator, monkeypatch):
    plain = trained(make_agents, make_communicator, shuffled=False)
    monkeypatch.setattr(State, "reorder", lambda self, agent, reorder: None)
    shuffled = trained(make_agents, make_communicator, shuffled=True)
    monkeypatch.undo()
    in_one_order(shuffled, plain)
    assert differences(plain, shuffled)["parameters"] > 1e-4


# Checkpoints.


def test_a_checkpoint_brings_back_what_was_kept(make_agents, make_communicator):
    agents = trained(make_agents, make_communicator, shuffled=True, rounds=1)
    saved = {name: tensor.clone() for name, tensor in agents.tensors(optimizers=True).items()}
    other = double(make_agents(agents=3, epochs=1, batch_size=100, seed=1))
    other.state.declare(Remembering().keeps)
    other.state["echo", (1, 0)] = torch.ones_like(other.parameters[0])
    other.load_tensors(saved)
    assert max(differences(agents, other).values()) == 0
    assert other.state["momentum"].abs().max() > 0
    assert other.state["echo", (0, 1)].abs().max() > 0
    # Going on from it is going on.
    merging = Merging(Matching(matcher=Weight(), alignment="consistent"), Calibration(repair="none"))
    for one in (agents, other):
        one.randomness = agents.randomness
        one.task = agents.task
        Remembering().communicate(one, make_communicator(Ring(), 3), merging, 3)
    assert max(differences(agents, other).values()) < 1e-12


def test_a_checkpoint_that_does_not_fit_is_a_value_error(make_agents):
    agents = make_agents(agents=3)
    saved = agents.tensors(optimizers=False)
    saved.pop("1/network/classifier.bias")
    with pytest.raises(ValueError, match=r"classifier\.bias|Missing|Error"):
        agents.load_tensors(saved)


def test_agents_without_networks_keep_state_as_well():
    from support.quadratics import RATE, RING, Quadratics

    from dimat.methods.quasi_global import QuasiGlobal

    method, agents, resumed = QuasiGlobal(learning_rate=RATE), Quadratics(noise=0.3), Quadratics(noise=0.3)
    method.learn(agents, InProcess(RING), 1)
    resumed.load_tensors({name: tensor.clone() for name, tensor in agents.tensors(True).items()})
    for one in (agents, resumed):
        method.learn(one, InProcess(RING), 2)
    assert torch.equal(agents.parameters, resumed.parameters)
    assert torch.equal(agents.state["momentum"], resumed.state["momentum"])
    assert isinstance(agents, Vectors)
