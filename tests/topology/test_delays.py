"""When messages arrive that are late, what that does to the speed of averaging, and who refuses it."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.families import RANDOMNESS, graph_of, members
from support.small import SMALL

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.methods import known_methods
from dimat.randomness import Randomness
from dimat.topology import Complete, Ring
from dimat.topology.delays import Delays
from dimat.topology.failures import LONG

LATE = Delays(most=4, late=0.6)


def newest_by_hand(delays, matrices, randomness, time):
    """Link by link, from the list of all that was ever sent over it."""
    agents = len(matrices[0])
    drawn = [delays.drawn(agents, sent, randomness) for sent in range(time + 1)]
    newest = numpy.full((agents, agents), -1)
    for i in range(agents):
        for j in range(agents):
            arrives = {}
            for sent in range(time + 1):
                if i != j and matrices[sent][i, j] > 0:
                    arrives[sent] = sent + (int(drawn[sent][i, j]) if arrives else 0)
            newest[i, j] = max([sent for sent, when in arrives.items() if when <= time], default=-1)
    return newest


@given(members(), st.integers(0, 5), st.floats(0, 1), st.sampled_from([0, 0.4]), st.integers(0, 99))
def test_the_newest_message_is_the_last_of_those_that_have_arrived(member, most, late, failures, seed):
    graph, agents = member
    agents, randomness = min(agents, 6), Randomness("test", seed)
    graph = Complete() if agents != member[1] else graph
    delays = Delays(most=most, late=late)
    graph = graph.model_copy(update={"delays": delays, "link_failures": failures})
    arrivals = graph.arrivals(agents, randomness)
    if not (most and late):
        assert arrivals is None
        return
    matrices = [graph.mixing_at(agents, time, randomness) for time in range(9)]
    before, others = numpy.full((agents, agents), -1), ~numpy.eye(agents, dtype=bool)
    for time, matrix in enumerate(matrices):
        found = arrivals.at(time)
        expected = newest_by_hand(delays, matrices, randomness, time)
        numpy.testing.assert_array_equal(found[others], expected[others])
        assert (found >= before).all()  # nobody goes back to an older one
        if not failures and graph.period(agents) == 1:
            ages = time - found[others & (matrix > 0)]
            assert (ages <= min(most, time)).all()
        before = found


def test_a_message_is_late_as_often_as_it_should_be():
    drawn = numpy.stack([LATE.drawn(20, time, RANDOMNESS) for time in range(200)])
    assert drawn.max() == LATE.most
    for least in range(LATE.most + 1):
        share = LATE.late**least
        error = numpy.sqrt(share * (1 - share) / drawn.size)
        assert abs((drawn >= least).mean() - share) <= 5 * error
    assert (Delays(most=3).drawn(5, 7, RANDOMNESS) == 3).all()
    assert (Delays(most=3, late=0).drawn(5, 7, RANDOMNESS) == 0).all()
    assert Delays(most=0).drawn(5, 7, RANDOMNESS).tolist() == numpy.zeros((5, 5)).tolist()
    backwards = LATE.drawn(20, 0, RANDOMNESS).T  # each way by itself
    assert (LATE.drawn(20, 0, RANDOMNESS) != backwards).any()


def test_what_has_arrived_is_the_same_in_whatever_order_it_is_asked_for():
    graph = Complete(delays=LATE, link_failures=0.3)
    forwards = graph.arrivals(5, Randomness("order", 3))
    found = [forwards.at(time) for time in range(12)]
    other = graph.arrivals(5, Randomness("order", 3))
    for time in (7, 2, 11, 0, 0, 5):
        assert (other.at(time) == found[time]).all()
    changed = graph.arrivals(5, Randomness("order", 4))
    assert any((changed.at(time) != found[time]).any() for time in range(12))


def lifted(mixing, ages, most):
    """x_{t+1} and all that was before, from (x_t, x_{t-1}, ..., x_{t-most}): one matrix."""
    agents = len(mixing)
    matrix = numpy.eye(agents * (most + 1), k=-agents)
    matrix[:agents] = 0
    for i in range(agents):
        for j in range(agents):
            matrix[i, agents * (0 if i == j else ages[i, j]) + j] += mixing[i, j]
    return matrix


@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("graph", [Ring(), Complete()])
def test_with_a_fixed_delay_averaging_is_as_fast_as_the_lifted_matrix_says(graph, most):
    ages = numpy.full((5, 5), most)
    moduli = numpy.sort(abs(numpy.linalg.eigvals(lifted(graph.mixing_matrix(5), ages, most))))
    assert moduli[-1] == pytest.approx(1)
    late = graph.model_copy(update={"delays": Delays(most=most)})
    assert late.contraction(5) == pytest.approx(moduli[-2], rel=2e-3)
    assert late.contraction(5) > graph.contraction(5)
    assert graph.model_copy(update={"delays": Delays(most=0)}).contraction(5) == graph.contraction(5)
    assert late.contraction(1) == 0


def test_with_random_delays_it_is_the_product_of_lifted_matrices():
    graph, agents, most = Ring(delays=LATE), 5, LATE.most
    source = Randomness("failures", 0)
    arrivals = graph.arrivals(agents, source)
    drawn = source.numpy("values").standard_normal((most + 1, agents))
    state = numpy.concatenate(list(reversed(drawn)))
    growth = 0.0
    for time in range(most, most + LONG):
        ages = numpy.minimum(time - arrivals.at(time), most)  # of no use where there is no link
        state = lifted(graph.mixing_matrix(agents), ages, most) @ state
        state -= state[:agents].mean()
        growth += numpy.log(numpy.linalg.norm(state))
        state /= numpy.linalg.norm(state)
    assert graph.contraction(agents) == pytest.approx(numpy.exp(growth / LONG), rel=2e-3)
    assert Ring().contraction(5) < graph.contraction(5) < Ring(delays=Delays(most=4)).contraction(5)


def runs(graph, **changes):
    return Study.model_validate(SMALL | {"graph": {"name": "ring"} | graph} | changes).runs


def test_no_delays_are_no_part_of_ids():
    assert list(runs({})) == list(runs({"delays": None}))
    (late,) = runs({"delays": {"most": 2}}).values()
    assert late.id not in runs({})
    assert late.parameters()["graph.delays.most"] == "2"


@pytest.mark.parametrize("name", sorted(known_methods))
def test_a_method_takes_late_messages_or_refuses_them_by_name(name):
    kind = known_methods[name]
    needed = {"code": {"name": "cyclic", "nodes": 4, "stragglers": 1}} if name == "coded_admm" else {}
    study = {"method": {"name": name} | needed}
    (run,) = runs({}, **study).values()
    if run.graph is None or kind.bears_delays:
        assert runs({"delays": {"most": 1}}, **study)
        return
    with pytest.raises(InputError, match=f"messages that arrive late; method {name} needs all.* dimat, "):
        _ = runs({"delays": {"most": 1}}, **study)


@pytest.mark.parametrize("matching", [{"alignment": "consistent"}, {"rematch": "first_meeting"}])
@pytest.mark.parametrize("method", ["dimat", "wa"])
def test_common_frames_and_late_messages_exclude_each_other(method, matching):
    if method == "wa":  # does not match
        assert runs({"delays": {"most": 1}}, method=method, matching=matching)
        return
    held = Study.model_validate(SMALL | {"matching": matching}).runs
    (run,) = held.values()
    if not run.matching.common_frame:
        assert runs({"delays": {"most": 1}}, matching=matching)
        return
    with pytest.raises(InputError, match="moves agents to a common frame meanwhile; expected"):
        _ = runs({"delays": {"most": 1}}, matching=matching)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"delays": {}}, "delays.most\n.*required"),
        ({"delays": {"most": 101}}, "less than or equal to 100"),
        ({"delays": {"most": -1}}, "greater than or equal to 0"),
        ({"delays": {"most": 2, "late": 1.5}}, "less than or equal to 1"),
        ({"delays": {"most": 2, "lost": 0.5}}, "'lost' is an unknown key; expected one of most, late"),
        (
            {"name": "sequence", "graphs": [{"name": "ring", "delays": {"most": 1}}]},
            "delays are keys of the sequence",
        ),
    ],
)
def test_what_cannot_be_is_refused(graph, words):
    with pytest.raises(ValidationError, match=words):
        graph_of({"name": "ring"} | graph)
