"""sI-ADMM and csI-ADMM: the recursion, its invariant and its limits; gradient codes, and waits for nodes."""

import itertools

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.quadratics import RING, STEPS, Quadratics, QuadraticTask, iterates

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.links import Links
from dimat.experiment.measure import measure
from dimat.experiment.reading import parse_study
from dimat.methods.coded_admm import CodedAdmm
from dimat.methods.gradient_codes import Cyclic, Repetition, decoding
from dimat.randomness import Randomness
from dimat.topology import Chain, Complete, DirectedRing, EdgeList, Ring, Sequence, Star
from dimat.topology.walk import closed_walk
from paper.measured import costs

METHOD = CodedAdmm(learning_rate=0.2, penalty=4.0)


# The recursion.


def written_out(agents, noises, walk, method):
    """x, y and z, with rho and tau as in the paper, after each step; noises are those of each round."""
    curvature, center, x = agents.curvature.numpy(), agents.center.numpy(), agents.parameters.numpy()
    n, k, rho = len(x), 0, method.penalty
    y, z = numpy.zeros_like(x), x.mean(0)
    for of_round in noises:
        drawn = [iter(of_round[:, i]) for i in range(n)]
        for _ in range(n * agents.epochs * agents.steps_per_epoch):
            i = walk[k % len(walk)]
            k += 1
            root = numpy.sqrt(k) if method.growth == "sqrt" else 1
            tau, gamma = (1 / method.learning_rate - rho) * root, method.dual_step / root
            gradient = curvature[i] @ (x[i] - center[i]) + next(drawn[i])
            new_x = (tau * x[i] + rho * z + y[i] - gradient) / (rho + tau)
            new_y = y[i] + rho * gamma * (z - new_x)
            z = z + ((new_x - x[i]) - (new_y - y[i]) / rho) / n
            x[i], y[i] = new_x, new_y
            numpy.testing.assert_allclose(z, (x - y / rho).mean(0), atol=1e-12)
            yield x.copy(), y.copy(), z


def noises_of(agents, rounds):
    """By round, more than any agent uses of it: (steps, agents, size)."""
    most = agents.agents * STEPS
    return [
        numpy.stack(
            [
                torch.stack(list(itertools.islice(agents.samples(row, round), most))).numpy()
                for row in range(agents.agents)
            ],
            axis=1,
        )
        for round in range(1, rounds + 1)
    ]


def on(graph, agents=5):
    """A communicator that knows the whole of a graph."""
    randomness = Randomness("test", 0)
    return InProcess(
        lambda time: graph.mixing_at(agents, time, randomness), whole=graph.mixing_matrix(agents)
    )


FORMS = {
    "constant": METHOD,
    "growing": CodedAdmm(learning_rate=0.2, penalty=4.0, dual_step=0.5, growth="sqrt"),
    "coded": CodedAdmm(learning_rate=0.2, penalty=4.0, code=Cyclic(nodes=4, stragglers=1)),
    "another way": CodedAdmm(learning_rate=0.2, penalty=4.0, walk=(3, 2, 1, 0, 4)),
}
GRAPHS = {
    "ring": Ring(),
    "complete": Complete(),
    "star": Star(),
    "chain": Chain(),
    "one direction": DirectedRing(),
    "failing": Complete(link_failures=0.5),
    "failing one way": Ring(link_failures=0.3, one_way=True),
    "in turn": Sequence(
        graphs=(EdgeList(edge_list=((0, 1), (2, 3), (1, 4))), EdgeList(edge_list=((1, 2), (3, 4), (0, 4))))
    ),
}


@pytest.mark.parametrize(
    ("form", "graph"),
    [*((form, "ring") for form in FORMS), *(("growing", graph) for graph in GRAPHS if graph != "ring")],
)
def test_iterates_are_those_of_the_recursion_written_out(form, graph):
    """In rounds of a step of each agent, so that much is compared; the invariant holds at each step."""
    method, communicator, rounds = FORMS[form], on(GRAPHS[graph]), 7
    task = QuadraticTask(5, 4, noise=0.3, seed=0)
    agents = Vectors(task, task.randomness, epochs=1, steps_per_epoch=1)
    agents.curvature, agents.center = task.curvature, task.center
    walk = method.walk or closed_walk(communicator.whole)
    expected = list(written_out(agents, noises_of(agents, rounds), walk, method))
    for round in range(1, rounds + 1):
        method.learn(agents, communicator, round)
        x, y, z = expected[5 * round - 1]
        holder = walk[5 * round % len(walk)]
        found = agents.parameters, agents.state["multipliers"], agents.state["token"][holder]
        for one, other in zip(found, (x, y, z), strict=True):
            torch.testing.assert_close(one, torch.from_numpy(other), rtol=0, atol=1e-12)
    assert sum(agents.steps_taken) == 5 * rounds


def test_one_agent_has_nobody_to_pass_a_token_to():
    agents = Quadratics(agents=1)
    communicator = iterates(METHOD, agents, numpy.eye(1), rounds=200)
    torch.testing.assert_close(agents.parameters, agents.center, rtol=0, atol=1e-6)
    assert not communicator.bytes_sent


def test_one_token_is_sent_at_each_step_and_for_the_first_mean():
    communicator = iterates(METHOD, Quadratics(), RING, rounds=3)
    sent = {agent: 3 * STEPS + 1 for agent in range(5)}  # and once around for the mean
    assert communicator.messages_sent == sent
    assert communicator.bytes_sent == {(agent, "token"): 32 * many for agent, many in sent.items()}


# Where it leads.


def optimum(agents):
    """Where the sum of all gradients vanishes."""
    total = torch.einsum("iab,ib->a", agents.curvature, agents.center)
    return torch.linalg.solve(agents.curvature.sum(0), total)


@pytest.mark.parametrize(
    ("graph", "rate", "penalty"),
    [("ring", 0.2, 1.0), ("ring", 0.25, 2.0), ("ring", 0.1, 10.0), ("star", 0.25, 2.0)],
)
def test_at_rest_all_are_at_the_minimizer_and_multipliers_are_the_gradients_there(graph, rate, penalty):
    agents, communicator = Quadratics(), on(GRAPHS[graph])
    method = CodedAdmm(learning_rate=rate, penalty=penalty)
    for round in range(1, 91):
        method.learn(agents, communicator, round)
    best = optimum(agents)
    torch.testing.assert_close(agents.parameters, best.expand(5, -1), rtol=0, atol=1e-8)
    gradients = agents.all_gradients(best.expand(5, -1))
    torch.testing.assert_close(agents.state["multipliers"], gradients, rtol=0, atol=1e-7)
    assert agents.state["multipliers"].sum(0).abs().max() < 1e-7
    walk = closed_walk(communicator.whole)
    holder = walk[90 * STEPS * 5 % len(walk)]
    torch.testing.assert_close(agents.state["token"][holder], best, rtol=0, atol=1e-8)


def lap(curvature, total, penalty):
    """What a lap around a ring does to (x, y, z) - its matrix - with rho + tau = ``total``."""
    n, d, _ = curvature.shape
    whole = numpy.eye((2 * n + 1) * d)
    for i in range(n):
        x, y, z = (slice(place * d, (place + 1) * d) for place in (i, n + i, 2 * n))
        before, after = numpy.eye(len(whole)), numpy.eye(len(whole))
        pull = curvature[i] @ before[x] - before[y] + penalty * (before[x] - before[z])
        after[x] -= pull / total
        after[y] += penalty * (before[z] - after[x])
        after[z] += (after[x] - before[x] - (after[y] - before[y]) / penalty) / n
        whole = after @ whole
    return whole


@pytest.mark.parametrize(("share", "least", "most"), [(0.05, 0.45, 0.6), (0.5, 0.6, 0.9), (1.0, 1.0, 2.0)])
def test_it_diverges_where_rho_and_tau_together_are_too_small(share, least, most):
    """Below a limit between L / 2 and 2 L, with L the largest curvature; the more is rho, the higher."""
    curvature = Quadratics().curvature.numpy()
    largest = numpy.linalg.eigvalsh(curvature).max()
    totals = largest * numpy.geomspace(0.3, 3, 30)
    # z = mean(x - y / rho) leaves as many eigenvalues 1 as there are dimensions.
    radii = [numpy.abs(numpy.linalg.eigvals(lap(curvature, s, share * s))).max() for s in totals]
    last = numpy.flatnonzero(numpy.array(radii) > 1 + 1e-6).max()
    limit = numpy.sqrt(totals[last] * totals[last + 1])
    assert least <= limit / largest <= most

    apart = {}
    for factor in (0.8, 1.25):
        agents, total = Quadratics(), factor * limit
        iterates(CodedAdmm(learning_rate=1 / total, penalty=share * total), agents, RING, rounds=60)
        apart[factor] = float((agents.parameters - optimum(agents)).abs().max())
    assert apart[0.8] > 1e3 and apart[1.25] < 0.1


def test_growing_sizes_lower_the_level_that_noise_leaves():
    apart = {}
    for growth in ("none", "sqrt"):
        agents = Quadratics(noise=1.0)
        iterates(CodedAdmm(learning_rate=0.2, penalty=1.0, growth=growth), agents, RING, rounds=50)
        apart[growth] = float((agents.parameters - optimum(agents)).norm())
    assert apart["sqrt"] < apart["none"] / 3


def test_a_tuned_rate_keeps_the_shares_of_rho_and_tau():
    tuned = METHOD.with_rate(0.02, None)
    assert (tuned.rate(None), tuned.penalty) == (0.02, pytest.approx(40.0))


# Gradient codes.


SIZES = [(nodes, stragglers) for nodes in range(1, 8) for stragglers in range(nodes)]
CODES = [Cyclic(nodes=nodes, stragglers=stragglers) for nodes, stragglers in SIZES] + [
    Repetition(nodes=nodes, stragglers=stragglers)
    for nodes, stragglers in SIZES
    if nodes % (stragglers + 1) == 0
]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.label())
def test_any_answers_of_all_but_the_stragglers_give_the_gradient_of_the_batch(code):
    matrix, gradients = code.matrix(), numpy.random.default_rng(0).normal(size=(code.nodes, 3))
    assert ((matrix != 0).sum(axis=1) == code.stragglers + 1).all()
    assert ((matrix != 0).sum(axis=0) == code.stragglers + 1).all()
    answers = matrix @ gradients
    for answered in map(list, itertools.combinations(range(code.nodes), code.nodes - code.stragglers)):
        decoded = decoding(matrix[answered]) @ answers[answered]
        numpy.testing.assert_allclose(decoded, gradients.sum(0), atol=1e-9)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.label())
def test_with_one_more_straggler_some_gradient_is_missing(code):
    """Of a cyclic code no set of fewer answers will do; of repetition, those that lack a whole group."""
    matrix, few = code.matrix(), code.nodes - code.stragglers - 1
    if not few:
        return
    failed = 0
    for answered in map(list, itertools.combinations(range(code.nodes), few)):
        try:
            decoding(matrix[answered])
        except ValueError:
            failed += 1
        else:
            groups = {node // (code.stragglers + 1) for node in answered}
            assert isinstance(code, Repetition) and len(groups) == code.nodes // (code.stragglers + 1)
    assert failed >= 1


@given(st.data())
def test_a_step_is_done_as_soon_as_the_answers_suffice(data):
    code = data.draw(st.sampled_from(CODES))
    delays = numpy.random.default_rng(data.draw(st.integers(0, 99))).exponential(size=code.nodes)
    (waited,) = code.waits(delays[None])
    matrix = code.matrix()
    decoding(matrix[delays <= waited])
    if (before := delays < waited).any():
        with pytest.raises(ValueError, match="expected more"):
            decoding(matrix[before])


@pytest.mark.parametrize("code", [code for code in CODES if code.nodes >= 4], ids=lambda code: code.label())
def test_waits_are_on_average_those_of_the_closed_form(code):
    """Of K exponential delays, the last of K - S; or the last of K / (S + 1) groups, of each the first."""
    spare = code.stragglers + 1
    expected = sum(1 / j for j in range(spare, code.nodes + 1))
    if isinstance(code, Repetition):
        expected = sum(1 / j for j in range(1, code.nodes // spare + 1)) / spare
    waits = code.waits(numpy.random.default_rng(1).exponential(size=(20_000, code.nodes)))
    assert waits.mean() == pytest.approx(expected, abs=4.5 * waits.std() / len(waits) ** 0.5)


# Time.


def test_what_agents_wait_is_recorded_and_time_adds_up_over_those_who_take_turns():
    import pandas

    code, rounds = Cyclic(nodes=6, stragglers=1), 40
    found = {}
    for each in (None, code):
        agents, communicator = Quadratics(noise=0.3), InProcess(RING)
        method = METHOD.model_copy(update={"code": each})
        for round in range(1, rounds + 1):
            method.learn(agents, communicator, round)
        found[each] = agents, measure(agents, communicator, rounds, "merged")
    uncoded, coded = (agents for agents, _ in found.values())
    assert torch.equal(uncoded.parameters, coded.parameters)
    measured = {
        each: {
            metric: [row.value for row in rows if row.metric == metric]
            for metric in ("waited", "gradient_steps")
        }
        for each, (_, rows) in found.items()
    }
    assert measured[None]["waited"] == []
    waited = measured[code]["waited"]
    steps = rounds * STEPS * 5
    assert sum(waited) == pytest.approx(1.45 * steps, rel=0.1)  # 1/2 + ... + 1/6

    records = pandas.DataFrame(
        [
            ("run", row.round, row.stage, row.agent, row.layer, row.metric, row.value)
            for row in found[code][1]
        ],
        columns=["run", "round", "stage", "agent", "layer", "metric", "value"],
    )
    links = Links(bandwidth=1.0, latency=2.0, step=3.0, delay=5.0)
    messages = steps + 5
    total = (3 * steps + 2 * messages + 5 * sum(waited)) / 1e3 + 32 * messages / 1e6
    assert costs(records, links, {"run"})["simulated s"].tolist() == [pytest.approx(total)]
    slowest = (3 * steps / 5 + 2 * messages / 5 + 5 * max(waited)) / 1e3 + 32 * messages / 5 / 1e6
    assert costs(records, links)["simulated s"].tolist() == [pytest.approx(slowest)]


# What is refused.


CODE = {"name": "cyclic", "nodes": 6}
REFUSED = {
    "stragglers: 6 of 6 nodes leave none that answers": {"code": CODE | {"stragglers": 6}},
    "nodes: 6 are not whole groups of stragglers + 1 = 4": {
        "code": {"name": "repetition", "nodes": 6, "stragglers": 3}
    },
    "penalty: 2 is more than rho + tau = 1 / learning_rate = 1": {"penalty": 2.0, "learning_rate": 1.0},
    "method.walk: [0, 1, 2, 7] has an agent 7; expected agents 0 to 4": {"walk": [0, 1, 2, 7]},
    "method.walk: [0, 1, 2, 3] never comes to agent 4": {"walk": [0, 1, 2, 3]},
    "method.walk: [0, 1, 2, 4, 3] goes from 2 to 4; expected a way over links": {"walk": [0, 1, 2, 4, 3]},
    "method.walk: [0, 1, 1, 2, 3, 4] goes from 1 to 1": {"walk": [0, 1, 1, 2, 3, 4]},
    "method.walk: [0, 1, 2, 3, 4, 3] does not close": {"walk": [0, 1, 2, 3, 4, 3]},
    "method.walk: [0, 1, 2, 3, 4, 0] does not close": {"walk": [0, 1, 2, 3, 4, 0]},
}


def study_with(**options):
    setting = {"name": "small", "data": "digits", "model": "plain", "partition": "iid", "graph": "ring"}
    return parse_study(setting | {"method": {"name": "coded_admm", **options}}, "study")


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(said):
    with pytest.raises(InputError) as found:
        study_with(**REFUSED[said])
    assert said in str(found.value) and len(str(found.value).splitlines()) == 1


def test_a_walk_and_a_code_are_accepted():
    (run, *_) = study_with(walk=[0, 4, 3, 2, 1, 2, 1], code=CODE | {"stragglers": 2}).runs.values()
    assert run.method.walk == (0, 4, 3, 2, 1, 2, 1) and run.method.code.stragglers == 2
