"""Task vectors and their coefficients: closed forms, special cases that are known, and TIES by hand."""

import copy
import itertools

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.func import functional_call

from dimat.errors import InputError
from dimat.merging.api import merge
from dimat.merging.averaging.adamerging import AdaMerging, tuned
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.coefficients import prediction_entropy
from dimat.merging.averaging.options import AnyCoefficients
from dimat.merging.averaging.task_vectors import TaskArithmetic, added, from_base
from dimat.merging.averaging.ties import agreeing, elected, trimmed
from dimat.models import Plain


def network(seed, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Plain(widths=(4, 5)).build(1, 10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(0.1 * seed)
    return model.to(dtype)


def parameters_of(model):
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def images(count=40, size=20, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    batches = torch.randn(count, 1, 8, 8, generator=generator, dtype=dtype).split(size)
    return lambda: iter(batches)


BASE, PARENTS = network(0), [network(seed) for seed in (1, 2, 3)]
START = parameters_of(BASE)
STATES = [model.state_dict() for model in PARENTS]
VECTORS = [{name: state[name] - START[name] for name in START} for state in STATES]
THIRDS = [1 / 3] * 3


def combined(way, weights=THIRDS, batches=None):
    return from_base(BASE, STATES, weights, START, way, batches or images())


def close(one, other, **bounds):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], **({"rtol": 0, "atol": 1e-12} | bounds))


# What coefficients do to the network.


def test_the_derivative_by_a_coefficient_is_that_along_its_task_vector():
    (batch,) = images(30, 30)()
    rows = torch.rand(len(START), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows.requires_grad_()
    model = copy.deepcopy(BASE).train()
    (found,) = torch.autograd.grad(
        prediction_entropy(functional_call(model, added(START, VECTORS, rows), (batch,))), rows
    )
    point = {name: tensor.detach().requires_grad_() for name, tensor in added(START, VECTORS, rows).items()}
    slopes = torch.autograd.grad(
        prediction_entropy(functional_call(model, point, (batch,))), list(point.values())
    )
    for row, name, slope in zip(found, START, slopes, strict=True):
        expected = torch.stack([(slope * vector[name]).sum() for vector in VECTORS])
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-8)
    assert float(found.abs().max()) > 1e-3


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=6), st.floats(0.05, 3))
def test_entropy_always_rewards_larger_logits(entries, scale):
    """With logits s u, dH/ds = -s Var_p(u), which is never positive."""
    u = torch.tensor([entries], dtype=torch.float64)
    s = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(prediction_entropy(s * u), s)
    p = (scale * u).softmax(1)
    variance = (p * u**2).sum() - (p * u).sum() ** 2
    assert float(found) == pytest.approx(-scale * float(variance), abs=1e-10)


def test_without_tuning_it_is_task_arithmetic_and_at_1_over_k_averaging():
    by_hand = {name: START[name] + 0.3 * sum(state[name] - START[name] for state in STATES) for name in START}
    arithmetic, coefficients = combined(TaskArithmetic())
    close({name: arithmetic[name] for name in START}, by_hand)
    assert coefficients[""].tolist() == [0.3] * 3
    for per in ("task", "layer"):
        way = AdaMerging(per=per, learning_rate=1e-12)
        frozen, coefficients = combined(way)
        close(frozen, arithmetic, atol=1e-7)
        assert len(coefficients) == (1 if per == "task" else len(START))
    averaged, _ = combined(TaskArithmetic(factor=1 / 3))
    close(averaged, weighted_average(STATES, THIRDS))
    one = from_base(BASE, STATES[:1], [1.0], START, TaskArithmetic(factor=1.0), images())[0]
    close(one, STATES[0])
    nothing, _ = combined(TaskArithmetic(factor=0.0))
    close({name: nothing[name] for name in START}, START)


def test_buffers_are_averaged_with_the_weights_of_the_graph():
    weights = [0.5, 0.25, 0.25]
    found, _ = combined(TaskArithmetic(), weights)
    expected = weighted_average(STATES, weights)
    for name, _ in BASE.named_buffers():
        assert torch.equal(found[name], expected[name])


# Tuning.


def steps_by_hand(rows, batches, rate, clamped):
    """Adam, with the gradient by central differences of the entropy of a network that is loaded."""

    def entropy(rows, batch):
        used = numpy.clip(rows, 0, 1) if clamped else rows
        state = {
            name: START[name] + sum(share * vector[name] for share, vector in zip(row, VECTORS, strict=True))
            for row, name in zip(used.tolist(), START, strict=True)
        }
        model = copy.deepcopy(BASE).train()
        model.load_state_dict(state, strict=False)
        with torch.no_grad():
            p = model(batch).softmax(1)
        return float(-(p * p.log()).sum(1).mean())

    first, second, width = numpy.zeros_like(rows), numpy.zeros_like(rows), 1e-5
    for step, batch in enumerate(batches, start=1):
        slope = numpy.zeros_like(rows)
        for place in numpy.ndindex(*rows.shape):
            moved = [rows.copy(), rows.copy()]
            moved[0][place] += width
            moved[1][place] -= width
            slope[place] = (entropy(moved[0], batch) - entropy(moved[1], batch)) / (2 * width)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        scale = numpy.sqrt(second / (1 - 0.999**step)) + 1e-8
        rows = rows - rate * first / (1 - 0.9**step) / scale
    return numpy.clip(rows, 0, 1) if clamped else rows


@pytest.mark.parametrize("clamped", [True, False])
def test_steps_are_those_of_adam(clamped):
    way = AdaMerging(clamped=clamped, steps=3, learning_rate=0.01)
    _, found = combined(way, batches=images(60))
    expected = steps_by_hand(numpy.full((len(START), 3), 0.3), images(60)(), 0.01, clamped)
    for row, name in zip(expected, START, strict=True):
        assert found[name].tolist() == pytest.approx(row.tolist(), abs=1e-6)


def test_of_each_network_one_coefficient_moves_as_the_sum_over_tensors():
    (batch,) = images(30, 30)()
    rows = torch.full((1, 3), 0.3, dtype=torch.float64, requires_grad=True)
    many = torch.full((len(START), 3), 0.3, dtype=torch.float64, requires_grad=True)
    model = copy.deepcopy(BASE).train()
    slopes = [
        torch.autograd.grad(
            prediction_entropy(functional_call(model, added(START, VECTORS, each), (batch,))), each
        )[0]
        for each in (rows, many)
    ]
    torch.testing.assert_close(slopes[0][0], slopes[1].sum(0), rtol=0, atol=1e-12)


class Scored(nn.Module):
    """Scores (classes,) for whatever is seen."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores, dtype=torch.float64))

    def forward(self, seen):
        return self.scores.expand(len(seen), -1)


def tuned_scores(ours, rows, steps, clamped, rate=0.01):
    """Coefficients of vectors ``ours`` on the start (1, 0)."""
    model = Scored(1.0, 0.0)
    base = parameters_of(model)
    vectors = [{"scores": torch.tensor(vector, dtype=torch.float64)} for vector in ours]
    start = torch.tensor([rows], dtype=torch.float64)
    batches = itertools.repeat(torch.zeros(2, 1), steps)
    return tuned(start, model, base, vectors, batches, rate, clamped=clamped)[0].tolist()


def test_a_clamped_coefficient_that_reached_0_stays_there_and_a_free_one_goes_on():
    """The second vector makes answers less sure: its coefficient falls."""
    vectors, rows = [[1.0, 0.0], [-1.0, 0.0]], [0.3, 0.02]
    found = [tuned_scores(vectors, rows, steps, clamped=True)[1] for steps in (2, 20, 200)]
    assert found == [pytest.approx(0, abs=1e-3), 0, 0]
    assert tuned_scores(vectors, rows, 200, clamped=False)[1] < -0.5
    # The first grows until it is clamped, or without bound.
    assert tuned_scores(vectors, rows, 400, clamped=True)[0] == 1
    assert tuned_scores(vectors, rows, 400, clamped=False)[0] > 1.5


def test_a_clamped_coefficient_below_0_does_not_come_back_though_larger_is_surer():
    assert tuned_scores([[3.0, 0.0]], [-0.01], 50, clamped=True) == [0.0]
    assert tuned_scores([[3.0, 0.0]], [-0.01], 50, clamped=False)[0] > 0.3


def test_where_nothing_was_learnt_no_image_is_looked_at():
    def unseen():
        raise AssertionError("an image was looked at")

    equal = [BASE.state_dict()] * 3
    for way in (AdaMerging(), AdaMerging(per="task", ties=0.2), TaskArithmetic()):
        found, coefficients = from_base(BASE, equal, THIRDS, START, way, unseen)
        for name in START:
            assert torch.equal(found[name], START[name])
        assert {tuple(row.tolist()) for row in coefficients.values()} == {(0.3,) * 3}
    with pytest.raises(InputError, match="no images"):
        from_base(BASE, STATES, THIRDS, START, AdaMerging(), lambda: iter(()))


def test_nothing_that_is_given_changes():
    before = copy.deepcopy([BASE.state_dict(), *STATES])
    modes = [module.training for module in BASE.modules()]
    combined(AdaMerging(steps=2, ties=0.5))
    for state, old in zip([BASE.state_dict(), *STATES], before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)
    assert [module.training for module in BASE.modules()] == modes


# TIES.

MATRICES = st.integers(1, 4).flatmap(
    lambda rows: st.integers(1, 8).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-3, 3), min_size=columns, max_size=columns), min_size=rows, max_size=rows
        )
    )
)


def ties_entry_by_entry(rows, share):
    """Trim, elect and select, one number at a time."""
    kept = max(1, round(share * len(rows[0])))
    cut = []
    for row in rows:
        least = sorted(map(abs, row), reverse=True)[kept - 1]
        cut.append([value if abs(value) >= least else 0 for value in row])
    sums = [sum(row[column] for row in cut) for column in range(len(rows[0]))]
    most = sum((value > 0) - (value < 0) for value in sums)
    found = [[0] * len(rows[0]) for _ in rows]
    for column, total in enumerate(sums):
        up = total > 0 or (total == 0 and most > 0)
        for place, row in enumerate(cut):
            if (row[column] > 0) if up else (row[column] < 0):
                found[place][column] = row[column]
    return found


@given(MATRICES, st.floats(0.01, 1))
def test_ties_against_single_entries(rows, share):
    tensor = torch.tensor(rows, dtype=torch.float64)
    assert elected(trimmed(tensor, share)).tolist() == ties_entry_by_entry(rows, share)


@given(MATRICES)
def test_what_is_elected_agrees_and_its_sum_loses_nothing_that_agrees(rows):
    tensor = torch.tensor(rows, dtype=torch.float64)
    found = elected(tensor)
    assert bool(((found > 0).any(0) & (found < 0).any(0)).logical_not().all())
    assert bool((found.sum(0).abs() >= tensor.sum(0).abs()).all())
    assert torch.equal(elected(found), found)


def test_the_largest_entries_are_those_of_all_tensors_together():
    one = {"a": torch.tensor([[5.0, 1.0]]), "b": torch.tensor([4.0, 0.5, 0.1])}
    other = {"a": torch.tensor([[-1.0, 0.1]]), "b": torch.tensor([9.0, -7.0, 0.1])}
    found = agreeing([one, other], 0.4)
    assert [{name: tensor.tolist() for name, tensor in each.items()} for each in found] == [
        {"a": [[5.0, 0.0]], "b": [4.0, 0.0, 0.0]},
        {"a": [[0.0, 0.0]], "b": [9.0, -7.0, 0.0]},
    ]


def test_ties_that_keep_all_of_one_network_keep_it():
    (found,) = agreeing(VECTORS[:1], 1.0)
    close(found, VECTORS[0])
    state, _ = combined(TaskArithmetic(ties=0.2))
    by_hand = agreeing(VECTORS, 0.2)
    close(
        {name: state[name] for name in START},
        {name: START[name] + 0.3 * sum(each[name] for each in by_hand) for name in START},
    )


# Given networks.


def test_merging_given_networks_needs_their_start():
    models, base = [network(seed, torch.float32) for seed in (1, 2)], network(0, torch.float32)
    (batch,) = images(20, 20, torch.float32)()
    with pytest.raises(ValueError, match=r"^base: task_arithmetic counts from the network"):
        merge(models, batch, coefficients="task_arithmetic")
    with pytest.raises(ValueError, match="network 2"):
        merge(models, batch, coefficients="task_arithmetic", base=Plain(widths=(4, 6)).build(1, 10))
    found = merge(models, batch, matcher=None, repair="none", coefficients="task_arithmetic", base=base)
    one, other, start = (parameters_of(model) for model in (*models, base))
    for name, tensor in parameters_of(found.model).items():
        expected = start[name] + 0.3 * (one[name] - start[name] + other[name] - start[name])
        torch.testing.assert_close(tensor, expected)
    tuned_ones = merge(models, batch, coefficients={"name": "adamerging", "steps": 2}, base=base)
    assert all(tensor.isfinite().all() for tensor in tuned_ones.model.state_dict().values())


# Specs.


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("task_arithmetic", "task arithmetic 0.3"),
        ({"name": "task_arithmetic", "factor": 0.25, "ties": 0.2}, "task arithmetic 0.25, TIES"),
        ("adamerging", "AdaMerging, layer-wise, clamped"),
        (
            {"name": "adamerging", "per": "task", "clamped": False, "ties": 0.2, "images": "test"},
            "AdaMerging++, task-wise, free, on test images (leaks)",
        ),
    ],
)
def test_labels(value, label):
    assert TypeAdapter(AnyCoefficients).validate_python(value).label() == label


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "task_arithmetic", "factor": -0.1},
        {"name": "task_arithmetic", "factor": 1.5},
        {"name": "task_arithmetic", "ties": 0.0},
        {"name": "task_arithmetic", "steps": 3},
        {"name": "adamerging", "steps": 0},
        {"name": "adamerging", "per": "module"},
        {"name": "adamerging", "ties": 1.1},
        {"name": "adamerging", "images": "pooled"},
    ],
    ids=str,
)
def test_options_that_are_not_valid(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyCoefficients).validate_python(wrong)
