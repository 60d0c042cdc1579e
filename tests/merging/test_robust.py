"""Medians and trimmed means of networks, and an agent that attacks."""

import copy

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small import SMALL
from torch import nn

import dimat
from dimat.agents.attacks import Noise, Permuted
from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.measure import measure
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.options import Averaging
from dimat.merging.averaging.robust import Median, TrimmedMean, robust_average
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.methods.dpsgd import Dpsgd
from dimat.models import Linear
from dimat.models.symmetry import permute
from dimat.topology import Complete, Ring


def states_of(networks, seed=0):
    generator = numpy.random.default_rng(seed)
    return [
        {
            "weight": torch.from_numpy(generator.normal(size=(3, 4)).astype("float32")),
            "bias": torch.from_numpy(generator.integers(0, 3, 5).astype("float64")),  # with ties
            "steps": torch.tensor(int(generator.integers(100))),
        }
        for _ in range(networks)
    ]


@given(st.integers(1, 9), st.integers(0, 99))
def test_the_median_is_that_of_numpy(networks, seed):
    states = states_of(networks, seed)
    merged = robust_average(states, Median())
    for name in ("weight", "bias"):
        expected = numpy.median([state[name].numpy() for state in states], axis=0)
        numpy.testing.assert_allclose(merged[name].numpy(), expected, rtol=1e-6)
    median = numpy.median([int(state["steps"]) for state in states])
    assert merged["steps"].dtype == torch.int64
    assert abs(int(merged["steps"]) - median) <= 0.5


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_the_trimmed_mean_is_the_mean_of_what_numpy_sorts_into_the_middle(networks, trim, seed):
    states = states_of(networks, seed)
    drop = min(trim, (networks - 1) // 2)
    merged = robust_average(states, TrimmedMean(trim=trim))
    for name in ("weight", "bias"):
        ordered = numpy.sort([state[name].numpy() for state in states], axis=0)
        expected = ordered[drop : networks - drop].mean(axis=0)
        numpy.testing.assert_allclose(merged[name].numpy(), expected, rtol=1e-5, atol=1e-7)


@given(st.integers(3, 9), st.floats(1, 1e6), st.integers(0, 99))
def test_one_network_cannot_move_them_beyond_the_others(networks, size, seed):
    states = states_of(networks, seed)
    honest = torch.stack([state["weight"] for state in states[1:]])
    states[0]["weight"] = size * torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
    for way in (Median(), TrimmedMean()):
        merged = robust_average(states, way)["weight"]
        assert (merged >= honest.min(0).values - 1e-6).all()
        assert (merged <= honest.max(0).values + 1e-6).all()
    moved = weighted_average(states, [1 / networks] * networks)["weight"]
    assert size < 1e3 or (moved.abs() > 10 * honest.abs().max()).any()


def test_they_ignore_the_order_of_networks():
    states = states_of(5)
    for way in (Median(), TrimmedMean()):
        there, back = robust_average(states, way), robust_average(states[::-1], way)
        assert all(torch.equal(there[name], back[name]) for name in there)


def test_networks_are_merged_by_their_median():
    generator = torch.Generator().manual_seed(0)
    networks = []
    for _ in range(3):
        network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        for parameter in network.parameters():
            nn.init.normal_(parameter, generator=generator)
        networks.append(network)
    images = torch.randn(20, 6, generator=generator)
    merged = dimat.merge(networks, images, matcher=None, repair="none", coefficients="median").model
    for name, parameter in merged.named_parameters():
        each = numpy.stack([network.get_parameter(name).detach().numpy() for network in networks])
        numpy.testing.assert_array_equal(parameter.detach().numpy(), numpy.median(each, axis=0))
    with pytest.raises(ValueError, match="weights: median takes all networks alike"):
        dimat.merge(networks, images, weights=[0.5, 0.25, 0.25], coefficients="median")


# Attacks.


def trained(make_agents):
    agents = make_agents(agents=4, epochs=1, batch_size=100)
    assert agents.symmetry  # traced in single precision
    agents.pretrain(0)
    for model in agents.models:
        model.double()
    agents.task.inputs = doubled(agents.task.inputs)
    return agents


def doubled(inputs):
    """Images in double precision, so that round-off does not turn a choice of the matching."""

    def find(*arguments, **options):
        batches = inputs(*arguments, **options)
        return lambda: (images.double() for images in batches())

    return find


def merged(make_agents, make_communicator, attack, matching):
    agents = trained(make_agents)
    agents.attack = attack
    communicator = make_communicator(Ring(), 4)
    merging = Merging(matching, Calibration(images="own"))
    merge_with_neighbours(agents, communicator, merging, Averaging(), 1)
    return agents.parameters, agents


@pytest.mark.parametrize("alignment", ["per_edge", "consistent"])
def test_matching_undoes_a_permutation_exactly(make_agents, make_communicator, alignment):
    matching = Matching(alignment=alignment)
    honest, _ = merged(make_agents, make_communicator, None, matching)
    attacked, _ = merged(make_agents, make_communicator, Permuted(agent=0), matching)
    if alignment == "per_edge":  # each in its own frame, of which only the attacker's is another
        torch.testing.assert_close(attacked[1:], honest[1:], rtol=1e-6, atol=1e-9)
        assert not torch.allclose(attacked[0], honest[0], atol=1e-3)
        assert attacked[0].sort().values.sum().item() == pytest.approx(honest[0].sum().item())
    else:  # a common frame is known up to a permutation of all
        between = [torch.cdist(found, found) for found in (attacked, honest)]
        torch.testing.assert_close(*between, rtol=1e-6, atol=1e-9)


def test_averaging_does_not_undo_it(make_agents, make_communicator):
    honest, _ = merged(make_agents, make_communicator, None, None)
    attacked, _ = merged(make_agents, make_communicator, Permuted(agent=0), None)
    harmed = (attacked - honest).norm(dim=1) / honest.norm(dim=1)
    assert (harmed[[1, 3]] > 0.1).all()  # the attacker's neighbours
    assert harmed[2] == 0


def test_the_attacker_computes_what_it_would(make_agents):
    agents = make_agents(agents=3)
    before, parameters = agents.evaluate(1), agents.parameters
    agents.attack = Permuted(agent=1)
    agents.attacked(7)
    assert not torch.equal(agents.parameters[1], parameters[1])
    assert torch.equal(agents.parameters[[0, 2]], parameters[[0, 2]])
    assert agents.evaluate(1)["test_accuracy"] == before["test_accuracy"]
    assert torch.equal(agents.parameters[1].sort().values, parameters[1].sort().values)


def test_noise_is_as_large_as_it_says_and_new_each_time(make_agents):
    agents = make_agents(agents=3)
    parameters = agents.parameters
    agents.attack = Noise(agent=2, scale=0.5)
    agents.attacked(1)
    first = agents.parameters
    assert torch.equal(first[:2], parameters[:2])
    assert first[2].std().item() == pytest.approx(0.5, rel=0.1)
    assert abs(first[2].mean().item()) < 5 * 0.5 / len(first[2]) ** 0.5
    agents.attacked(2)
    assert not torch.equal(agents.parameters[2], first[2])
    agents.attacked(1)
    assert torch.equal(agents.parameters[2], first[2])


def test_a_method_of_steps_is_attacked_at_each(make_agents, make_communicator):
    """D-PSGD on a complete graph: one step is the mean of what all have after theirs, the attacker's too."""
    agents = make_agents(agents=3, epochs=1, batch_size=1000)
    twin = copy.deepcopy(agents)
    agents.attack = Noise(agent=0, scale=2.0)
    communicator = make_communicator(Complete(), 3)
    method = Dpsgd(learning_rate=1e-9)
    for _ in method.rounds(agents, communicator, Merging(None, Calibration(repair="none")), 1, 2):
        pass
    twin.attack = agents.attack
    twin.attacked(agents.epochs * agents.steps_per_epoch)
    assert agents.steps_per_epoch == 1
    torch.testing.assert_close(
        agents.parameters[1], twin.parameters.mean(0), rtol=1e-4, atol=1e-5
    )  # the step itself is tiny


def test_the_attacker_is_not_counted(make_agents, make_communicator):
    agents = make_agents(agents=3)
    communicator = make_communicator(Ring(), 3)
    everyone = measure(agents, communicator, 0, "start", asked=frozenset({"parts", "training_loss"}))
    agents.attack = Noise(agent=1)
    honest = measure(agents, communicator, 0, "start", asked=frozenset({"parts", "training_loss"}))
    of_others = [each for each in everyone if each.agent != 1]
    of_attacker = {each.metric for each in honest if each.agent == 1}
    assert of_attacker == {"gradient_steps"}
    found = [each for each in honest if each.agent != 1]
    assert [each for each in found if each.metric != "disagreement"] == [
        each for each in of_others if each.metric != "disagreement"
    ]
    x = agents.parameters[[0, 2]].double()
    apart = next(each.value for each in honest if each.metric == "disagreement")
    assert apart == pytest.approx(float((x[0] - x[1]).square().sum() / 4), rel=1e-5)


def test_what_cannot_attack_is_refused():
    with pytest.raises(InputError, match=r"attack\.agent: 3 of 3 agents; expected .* 0 to 2"):
        _ = Study.model_validate(SMALL | {"attack": {"name": "permuted", "agent": 3}}).runs
    with pytest.raises(InputError, match="attack: method local meets no attackers; expected one of: dimat"):
        _ = Study.model_validate(SMALL | {"attack": "noise", "method": "local"}).runs


def test_a_study_without_an_attack_is_as_before():
    plain, null = (Study.model_validate(SMALL | more) for more in ({}, {"attack": None}))
    assert (
        list(plain.runs)
        == list(null.runs)
        == ["digits-plain-iid-3-ring-dimat-pooled-recalibrate-seed0-66231e9ba0"]
    )
    assert plain.content == null.content
    assert "attack" not in plain.resolved()
    attacked = Study.model_validate(SMALL | {"attack": "permuted"})
    (run,) = attacked.runs.values()
    assert run.parameters()["attack.name"] == "permuted"
    assert attacked.content != plain.content
    assert list(attacked.pretrained) == list(plain.pretrained)  # it begins with the first communication


def test_permutations_need_channels(make_agents):
    agents = make_agents(agents=2, model=Linear())
    agents.attack = Permuted()
    with pytest.raises(InputError, match="'permuted' exchanges hidden channels"):
        agents.attacked(1)


def test_permuting_and_matching_by_hand(make_agents):
    """What the attacker becomes is `permute` of what it was, by a permutation of each group."""
    agents = make_agents(agents=2)
    state = {name: tensor.clone() for name, tensor in agents.states()[0].items()}
    agents.attack = Permuted(agent=0)
    agents.attacked(3)
    moved = agents.states()[0]
    group = agents.symmetry[0]
    member = next(each for each in group.members if each.axis == 0 and each.name.endswith("weight"))
    rows = [
        int((state[member.name].flatten(1) == row).all(1).nonzero()[0])
        for row in moved[member.name].flatten(1)
    ]
    assert sorted(rows) == list(range(group.size))
    identity = {each.name: torch.arange(each.size) for each in agents.symmetry} | {
        group.name: torch.tensor(rows)
    }
    assert torch.equal(permute(state, agents.symmetry, identity)[member.name], moved[member.name])
