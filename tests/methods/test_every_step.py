"""Methods on real networks: what they send, which statistics they keep, when they merge."""

from itertools import islice, pairwise

import pytest
import torch

from dimat.agents.agents import Diverged
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.matching.weight import Weight
from dimat.merging.options import Merging
from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.final_merge import FinalMerge
from dimat.methods.ld_sgd import LdSgd
from dimat.methods.quasi_global import QuasiGlobal
from dimat.methods.sgp import Sgp
from dimat.methods.weight_matching import WeightMatching
from dimat.topology import Ring


def bytes_of(agents):
    return agents.parameters[0].nbytes


@pytest.mark.parametrize(
    ("method", "models_per_step"),
    [
        (Dpsgd(), 2),
        (Cdmsgd(), 2),
        (Sgp(), 2),
        (LdSgd(local_steps=1, gossip_steps=1), 1),
        (QuasiGlobal(), 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_bytes_of_gossip_are_those_of_the_closed_form(
    method, models_per_step, make_agents, make_communicator
):
    agents, communicator = make_agents(agents=5, epochs=2), make_communicator(Ring(), 5)
    method.learn(agents, communicator, 1)
    steps = agents.epochs * agents.steps_per_epoch
    assert agents.steps_taken == [steps] * 5
    for agent in range(5):
        weights = steps * 2 * 8 if method.name == "sgp" else 0  # one in each message
        assert (
            communicator.bytes_sent[agent, "models"] == steps * models_per_step * bytes_of(agents) + weights
        )
        assert communicator.messages_sent[agent] == steps * models_per_step


def test_gradients_of_a_fleet_are_those_of_back_propagation(make_agents):
    agents = make_agents(agents=3)
    (step,) = islice(agents.steps(1), 1)
    found = step.gradients(agents.parameters)
    for row, network in enumerate(agents.models):
        images, labels = step.samples[row]
        network.train().zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        expected = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        torch.testing.assert_close(found[row], expected)


def test_weights_are_matched_whatever_the_grid_says():
    method = WeightMatching()
    point = {"matching": Matching(alignment="consistent", passes=2), "calibration": Calibration(images="own")}
    found = method.canonical(point)
    assert found["matching"] == Matching(matcher=Weight(), alignment="consistent", passes=3)
    assert found["calibration"] == point["calibration"]
    point["calibration"] = Calibration(repair="none", images="own")
    assert method.canonical(point)["calibration"] == Calibration(repair="none")


def test_a_neighbours_point_leaves_no_trace(make_agents):
    agents = make_agents(agents=3)
    (step,) = islice(agents.steps(1), 1)
    points = agents.parameters
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in agents.states()]
    agents.gradient(0, step.samples[0], points[1], own=False)
    for state, old in zip(agents.states(), before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)
    agents.gradient(0, step.samples[0], points[0])
    assert not torch.equal(
        agents.states()[0]["features.1.running_mean"], before[0]["features.1.running_mean"]
    )


def running_mean(agents, row=0):
    return agents.models[row].features[1].running_mean.clone()


def test_frozen_networks_keep_their_statistics(make_agents, make_communicator):
    agents, communicator = make_agents(agents=3, epochs=1), make_communicator(Ring(), 3)
    frozen = Dpsgd(normalization="frozen")
    start = running_mean(agents)
    frozen.learn(agents, communicator, 1)
    first = running_mean(agents)
    assert not torch.equal(first, start)  # the first epoch is as ever
    frozen.learn(agents, communicator, 2)
    assert torch.equal(running_mean(agents), first)
    Dpsgd().learn(agents, communicator, 3)
    assert not torch.equal(running_mean(agents), first)


@pytest.mark.parametrize("images", ["own", "pooled"])
def test_normalization_is_recalibrated_before_a_method_is_evaluated(images, make_agents, make_communicator):
    agents, communicator = make_agents(agents=3, epochs=1), make_communicator(Ring(), 3)
    stages = Dpsgd().rounds(agents, communicator, Merging(None, Calibration(images=images)), first=1, last=2)
    for stage in stages:
        if stage.name == "merged":
            holders = [1] if images == "own" else [0, 1, 2]
            seen = torch.cat([agents.task.holdings[holder] for holder in holders])
            maps = agents.models[1].features[0](
                agents.task.data.normalized(agents.task.data.train_images[seen])
            )
            torch.testing.assert_close(running_mean(agents, 1), maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    plain = Dpsgd().rounds(agents, communicator, Merging(None, Calibration(repair="none")), first=1, last=1)
    before = running_mean(agents)
    list(plain)
    assert torch.equal(running_mean(agents), before)


def test_the_final_merge_comes_in_the_last_round_alone(make_agents, make_communicator):
    agents, communicator = make_agents(agents=4, epochs=1), make_communicator(Ring(), 4)
    merging = Merging(None, Calibration(repair="none"))
    apart = {
        (stage.round, stage.name): float((agents.parameters - agents.parameters.mean(0)).abs().max())
        for stage in FinalMerge().rounds(agents, communicator, merging, first=1, last=3)
    }
    assert apart.pop((3, "merged")) < 1e-6
    assert min(apart.values()) > 1e-5  # gossip at every step leaves little, but not nothing


def test_equal_steps_are_those_of_the_mean_agent(make_agents):
    from dimat.data.partitions import Dirichlet

    partition = Dirichlet(alpha=0.3)
    own = make_agents(agents=4, partition=partition, epochs=2, batch_size=20)
    equal = make_agents(agents=4, partition=partition, epochs=2, batch_size=20, steps="equal")
    own.train(1)
    equal.train(1)
    assert len(set(own.steps_taken)) > 1
    assert set(equal.steps_taken) == {2 * equal.steps_per_epoch}
    mean = sum(own.steps_taken) / 4
    assert abs(mean - equal.steps_taken[0]) <= 2


def test_samples_of_a_round_do_not_depend_on_the_rounds_before(make_agents):
    agents, other = make_agents(agents=2), make_agents(agents=2)
    list(agents.steps(1))
    ours, theirs = ([step.samples[1] for step in agents.steps(2)] for agents in (agents, other))
    for one, two in zip(ours, theirs, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    assert not torch.equal(ours[0].labels, next(iter(other.steps(3))).samples[1].labels)
    assert all(b.number - a.number == 1 for a, b in pairwise(agents.steps(2)))


def test_divergence_names_the_agent_the_method_and_its_setting(make_agents, make_communicator):
    agents, communicator = make_agents(agents=3, epochs=1), make_communicator(Ring(), 3)
    method = Dpsgd(learning_rate=1e3)
    stages = method.rounds(agents, communicator, Merging(None, Calibration(repair="none")), first=1, last=2)
    assert next(stages).name == "merged"
    with torch.no_grad():
        agents.models[1].classifier.weight[0, 0] = torch.inf
    with pytest.raises(Diverged, match=r"agent 0 diverged .* in round 1 with dpsgd learning rate 1000"):
        next(stages)  # one exchange later, agent 0 has it too
