"""Agents that sleep and wake, and links that fail in bursts."""

from itertools import groupby, pairwise

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.families import RANDOMNESS, graph_of, members, ring
from support.small import SMALL

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.randomness import Randomness
from dimat.topology import Complete, check_mixing_matrix
from dimat.topology.bursts import Bursts
from dimat.topology.chains import Chains
from dimat.topology.churn import InTurns, Markov
from dimat.topology.failures import contraction_in_the_long_run

MARKOV = Markov(sleep=0.2, wake=0.3)
BURSTS = Bursts(share=0.3, length=4)
LONG = 4000


def runs_of(states):
    """Lengths of the runs in which a chain is in, but those that a record cuts off."""
    runs = [(inside, len(list(run))) for inside, run in groupby(states)]
    return [length for inside, length in runs[1:-1] if inside]


@given(members(), st.integers(0, 40), st.sampled_from([MARKOV, InTurns()]), st.booleans())
def test_matrices_with_churn_and_bursts_keep_what_makes_them_mix(member, time, churn, bursty):
    graph, agents = member
    if isinstance(churn, InTurns) and agents < 6:
        churn = MARKOV  # fewer agents than links need to meet
    changed = graph.model_copy(update={"churn": churn, "bursts": BURSTS if bursty else None})
    try:
        matrix = changed.mixing_at(agents, time, RANDOMNESS)
    except InputError as refused:  # turns in which some never meet
        assert isinstance(churn, InTurns)
        assert "reach each other" in str(refused)
        return
    check_mixing_matrix(matrix, graph.is_directed)
    period = graph.mixing_at(agents, time, RANDOMNESS)
    kept = ~numpy.eye(agents, dtype=bool) & (matrix != 0)
    assert (matrix[kept] == period[kept]).all()
    asleep = churn.asleep(agents, time, RANDOMNESS)
    numpy.testing.assert_allclose(matrix.diagonal()[asleep], 1)
    assert not kept[asleep].any()
    assert not kept[:, asleep].any()


@pytest.mark.parametrize(
    "graph",
    [Complete(churn=MARKOV), Complete(bursts=BURSTS), Complete(churn=InTurns(turn=2), bursts=BURSTS)],
)
def test_the_graph_at_a_time_is_the_same_in_whatever_order_it_is_asked_for(graph):
    forwards = [graph.mixing_at(5, time, Randomness("order", 3)) for time in range(12)]
    for time in (7, 2, 11, 0, 0, 5):
        assert (graph.mixing_at(5, time, Randomness("order", 3)) == forwards[time]).all()
    assert any((graph.mixing_at(5, t, Randomness("order", 4)) != forwards[t]).any() for t in range(12))
    fresh = Chains(0.2, 0.3, (5,), Randomness("order", 3), "churn").at(9)
    assert (fresh == MARKOV.asleep(5, 9, Randomness("order", 3))).all()


@pytest.mark.parametrize(("sleep", "wake"), [(0.2, 0.3), (0.05, 0.5), (0.9, 0.8)])
def test_agents_sleep_as_often_and_as_long_as_they_should(sleep, wake):
    churn = Markov(sleep=sleep, wake=wake)
    asleep = numpy.array([churn.asleep(20, time, RANDOMNESS) for time in range(LONG)])
    share = sleep / (sleep + wake)
    memory = 1 - sleep - wake
    error = numpy.sqrt(share * (1 - share) * (1 + memory) / (1 - memory) / (20 * LONG))
    assert abs(asleep.mean() - share) < 5 * error
    lengths = [length for agent in asleep.T for length in runs_of(agent)]
    assert numpy.mean(lengths) == pytest.approx(1 / wake, rel=0.04)
    falls = numpy.mean(asleep[1:][~asleep[:-1]])
    assert falls == pytest.approx(sleep, rel=0.05)
    first = [churn.asleep(50, 0, Randomness("first", seed)) for seed in range(60)]
    assert numpy.mean(first) == pytest.approx(share, abs=0.05)  # stationary from the beginning


def test_agents_sleep_independently():
    asleep = numpy.array([MARKOV.asleep(6, time, RANDOMNESS) for time in range(LONG)])
    correlations = numpy.corrcoef(asleep.T) - numpy.eye(6)
    assert abs(correlations).max() < 0.1


@pytest.mark.parametrize(("share", "length"), [(0.3, 4), (0.1, 10), (0.5, 2)])
def test_links_are_bad_as_often_and_as_long_as_they_should(share, length):
    bursts = Bursts(share=share, length=length)
    bad = numpy.array([bursts.bad(12, time, RANDOMNESS, one_way=False) for time in range(LONG)])
    assert (bad == bad.transpose(0, 2, 1)).all()
    chains = bad[:, *numpy.triu_indices(12, 1)]
    assert chains.mean() == pytest.approx(share, rel=0.05)
    lengths = [each for link in chains.T for each in runs_of(link)]
    assert numpy.mean(lengths) == pytest.approx(length, rel=0.05)
    assert numpy.var(lengths) == pytest.approx(length * (length - 1), rel=0.2)  # geometric
    one_way = bursts.bad(12, 5, RANDOMNESS, one_way=True)
    assert (one_way != one_way.T).any()


def test_bursts_without_memory_are_independent_losses():
    bad = numpy.array([Bursts(share=0.3, length=1 / 0.7).bad(12, t, RANDOMNESS, False) for t in range(LONG)])
    link = bad[:, *numpy.triu_indices(12, 1)]
    again = numpy.mean([numpy.mean(later[before]) for before, later in pairwise(link)])
    assert again == pytest.approx(0.3, abs=0.01)


def test_groups_take_turns():
    churn = InTurns(groups=4, awake=2, turn=3)
    turns = [numpy.flatnonzero(~churn.asleep(8, time, RANDOMNESS)).tolist() for time in range(13)]
    assert turns[0] == turns[2] == turns[12] == [0, 1, 4, 5]
    assert turns[3] == [1, 2, 5, 6]
    assert turns[9] == [0, 3, 4, 7]
    assert Complete(churn=churn).period(8) == 12
    two = graph_of({"name": "sequence", "graphs": ["ring", "complete"], "churn": {"name": "cyclic"}})
    assert two.period(6) == 6
    assert (two.mixing_at(6, 7, RANDOMNESS) == two.mixing_at(6, 1, RANDOMNESS)).all()


def test_groups_that_never_meet_are_refused():
    with pytest.raises(InputError, match=r"churn cyclic groups 2, awake 1 over 4 .* cannot reach each other"):
        Complete(churn=InTurns(groups=2, awake=1)).mixing_at(4, 0, RANDOMNESS)


def test_the_contraction_of_turns_is_that_of_their_product():
    graph = ring(churn=InTurns())
    product = numpy.linalg.multi_dot([graph.mixing_at(6, time, RANDOMNESS) for time in (2, 1, 0)])
    assert graph.contraction(6) == pytest.approx(numpy.linalg.norm(product - 1 / 6, 2) ** (1 / 3))
    assert graph.contraction(6) > ring().contraction(6)


def test_contraction_in_the_long_run():
    fixed = ring().mixing_matrix(6)
    assert contraction_in_the_long_run(lambda _: fixed, 6) == pytest.approx(ring().contraction(6), abs=2e-3)
    assert contraction_in_the_long_run(lambda _: Complete().mixing_matrix(4), 4) == 0
    assert contraction_in_the_long_run(lambda _: numpy.eye(1), 1) == 0
    # Two agents who keep 3/4 when their link holds: its gap is 1/2 then and nothing else, whatever the order.
    holds = numpy.array([[0.75, 0.25], [0.25, 0.75]])
    bad = BURSTS.bad
    factor = contraction_in_the_long_run(
        lambda time: numpy.eye(2) if bad(2, time, RANDOMNESS, False)[0, 1] else holds, 2
    )
    assert factor == pytest.approx(0.5**0.7, abs=0.02)
    assert ring(churn=MARKOV).contraction(6) > ring().contraction(6)


def test_what_is_not_there_is_no_part_of_ids():
    plain = Study.model_validate(SMALL | {"graph": "ring"})
    null = Study.model_validate(SMALL | {"graph": {"name": "ring", "churn": None, "bursts": None}})
    assert (
        list(plain.runs)
        == list(null.runs)
        == ["digits-plain-iid-3-ring-dimat-pooled-recalibrate-seed0-66231e9ba0"]
    )
    sleepy = Study.model_validate(SMALL | {"graph": {"name": "ring", "churn": {"name": "cyclic"}}})
    (run,) = sleepy.runs.values()
    assert run.id not in plain.runs
    assert run.parameters()["graph.churn.awake"] == "2"


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"churn": {"name": "cyclic", "groups": 3, "awake": 3}}, "awake: 3 of 3 groups; expected fewer"),
        ({"bursts": {"share": 0.8, "length": 2}}, "at least 4 times in a row on average"),
        ({"one_way": True}, "expected link_failures above 0, or bursts, too"),
        ({"name": "sequence", "graphs": [{"name": "ring", "churn": "cyclic"}]}, "keys of the sequence"),
    ],
)
def test_what_cannot_be_is_refused(graph, words):
    with pytest.raises(ValidationError, match=words):
        graph_of({"name": "ring"} | graph)


def test_bursts_one_way_need_push_sum():
    bursts = {"share": 0.3, "length": 3}
    graph = {"name": "ring", "bursts": bursts, "one_way": True}
    with pytest.raises(InputError, match="fail one way"):
        _ = Study.model_validate(SMALL | {"graph": graph, "method": "dpsgd"}).runs
    assert Study.model_validate(SMALL | {"graph": graph, "method": "sgp"}).runs
    with pytest.raises(InputError, match="favour some agents"):
        directed = {"name": "directed_ring", "churn": {"name": "markov", "sleep": 0.1, "wake": 0.5}}
        _ = Study.model_validate(SMALL | {"graph": directed, "method": "dpsgd"}).runs
