"""Methods on real networks: what they send, which statistics they keep, when they merge."""

from itertools import islice, pairwise

import pytest
import torch

from dimat.agents.agents import Diverged
from dimat.merging.options import Merge
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
def test_bytes_of_gossip_are_those_of_the_closed_form(method, models_per_step, make_fleet, make_network):
    fleet, network = make_fleet(agents=5, epochs=2), make_network(Ring(), 5)
    method.learn(fleet, network, 1)
    steps = fleet.epochs * fleet.steps_per_epoch
    assert fleet.steps_taken == [steps] * 5
    for agent in range(5):
        assert network.bytes_sent[agent, "models"] == steps * models_per_step * bytes_of(fleet)
        assert network.bytes_sent[agent, "weights"] == (steps * 2 * 8 if method.name == "sgp" else 0)


def test_gradients_of_a_fleet_are_those_of_back_propagation(make_fleet):
    fleet = make_fleet(agents=3)
    (step,) = islice(fleet.steps(1), 1)
    found = step.gradients(fleet.parameters)
    for row, network in enumerate(fleet.models):
        images, labels = step.samples[row]
        network.train().zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        expected = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        torch.testing.assert_close(found[row], expected)


def test_weights_are_matched_whatever_the_grid_says():
    method = WeightMatching()
    merge = Merge(images="own", passes=2)
    point = method.canonical({"merge": merge})
    assert point["merge"].matcher.name == "weight"
    assert point["merge"].images == "own"


def test_a_neighbours_point_leaves_no_trace(make_fleet):
    fleet = make_fleet(agents=3)
    (step,) = islice(fleet.steps(1), 1)
    points = fleet.parameters
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in fleet.states()]
    fleet.gradient(0, step.samples[0], points[1], own=False)
    for state, old in zip(fleet.states(), before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)
    fleet.gradient(0, step.samples[0], points[0])
    assert not torch.equal(fleet.states()[0]["features.1.running_mean"], before[0]["features.1.running_mean"])


def running_mean(fleet, row=0):
    return fleet.models[row].features[1].running_mean.clone()


def test_frozen_networks_keep_their_statistics(make_fleet, make_network):
    fleet, network = make_fleet(agents=3, epochs=1), make_network(Ring(), 3)
    frozen = Dpsgd(normalization="frozen")
    start = running_mean(fleet)
    frozen.learn(fleet, network, 1)
    first = running_mean(fleet)
    assert not torch.equal(first, start)  # the first epoch is as ever
    frozen.learn(fleet, network, 2)
    assert torch.equal(running_mean(fleet), first)
    Dpsgd().learn(fleet, network, 3)
    assert not torch.equal(running_mean(fleet), first)


@pytest.mark.parametrize("images", ["own", "pooled"])
def test_normalization_is_recalibrated_before_a_method_is_evaluated(images, make_fleet, make_network):
    fleet, network = make_fleet(agents=3, epochs=1), make_network(Ring(), 3)
    stages = Dpsgd().rounds(fleet, network, Merge(images=images), first=1, last=2)
    for stage in stages:
        if stage.name == "merged":
            holders = [1] if images == "own" else [0, 1, 2]
            seen = torch.cat([fleet.holdings[holder] for holder in holders])
            maps = fleet.models[1].features[0](fleet.data.normalized(fleet.data.train_images[seen]))
            torch.testing.assert_close(running_mean(fleet, 1), maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    plain = Dpsgd().rounds(fleet, network, Merge(repair="none"), first=1, last=1)
    before = running_mean(fleet)
    list(plain)
    assert torch.equal(running_mean(fleet), before)


def test_the_final_merge_comes_in_the_last_round_alone(make_fleet, make_network):
    fleet, network = make_fleet(agents=4, epochs=1), make_network(Ring(), 4)
    merge = Merge(repair="none")
    apart = {
        (stage.round, stage.name): float((fleet.parameters - fleet.parameters.mean(0)).abs().max())
        for stage in FinalMerge().rounds(fleet, network, merge, first=1, last=3)
    }
    assert apart.pop((3, "merged")) < 1e-6
    assert min(apart.values()) > 1e-5  # gossip at every step leaves little, but not nothing


def test_equal_steps_are_those_of_the_mean_agent(make_fleet):
    from dimat.data.partitions import Dirichlet

    partition = Dirichlet(alpha=0.3)
    own = make_fleet(agents=4, partition=partition, epochs=2, batch_size=20)
    equal = make_fleet(agents=4, partition=partition, epochs=2, batch_size=20, steps="equal")
    own.train(1)
    equal.train(1)
    assert len(set(own.steps_taken)) > 1
    assert set(equal.steps_taken) == {2 * equal.steps_per_epoch}
    mean = sum(own.steps_taken) / 4
    assert abs(mean - equal.steps_taken[0]) <= 2


def test_samples_of_a_round_do_not_depend_on_the_rounds_before(make_fleet):
    fleet, other = make_fleet(agents=2), make_fleet(agents=2)
    list(fleet.steps(1))
    ours, theirs = ([step.samples[1] for step in agents.steps(2)] for agents in (fleet, other))
    for one, two in zip(ours, theirs, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    assert not torch.equal(ours[0].labels, next(iter(other.steps(3))).samples[1].labels)
    assert all(b.number - a.number == 1 for a, b in pairwise(fleet.steps(2)))


def test_divergence_names_the_agent_the_method_and_its_setting(make_fleet, make_network):
    fleet, network = make_fleet(agents=3, epochs=1), make_network(Ring(), 3)
    method = Dpsgd(learning_rate=1e3)
    stages = method.rounds(fleet, network, Merge(repair="none"), first=1, last=2)
    assert next(stages).name == "merged"
    with torch.no_grad():
        fleet.models[1].classifier.weight[0, 0] = torch.inf
    with pytest.raises(Diverged, match=r"agent 0 diverged .* in round 1 with dpsgd learning rate 1000"):
        next(stages)  # one exchange later, agent 0 has it too
