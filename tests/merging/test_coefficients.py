"""Merging coefficients: the projection onto the simplex, and the tuning of layers by entropy."""

import copy
from itertools import combinations

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.distributions import Categorical
from torch.func import functional_call

from dimat.errors import InputError
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.coefficients import (
    Entropy,
    layers_of,
    mixed,
    prediction_entropy,
    project_onto_simplex,
    tuned_average,
)
from dimat.merging.averaging.options import AnyCoefficients
from dimat.models import Plain, ResNet20

ENTRIES = st.lists(st.floats(-3, 3), min_size=1, max_size=6)


def small_network(seed, widths=(4, 5)):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Plain(widths=widths).build(1, 10)


def train(model, digits, steps, seed=0):
    """Some steps of Adam on the digits."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=0.02)
    for _ in range(steps):
        batch = torch.randint(len(digits.train_labels), (100,), generator=generator)
        loss = nn.functional.cross_entropy(
            model(digits.normalized(digits.train_images[batch])), digits.train_labels[batch]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return model.eval()


@pytest.fixture(scope="module")
def trained(digits):
    """A trained network; tests must not change it."""
    return train(small_network(0, (8, 16)), digits, 60)


@pytest.fixture(scope="module")
def images(digits):
    """Starts passes over unlabelled images."""
    batches = digits.normalized(digits.train_images[:400]).split(100)
    return lambda: iter(batches)


def random_images(*sizes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(size, 1, 8, 8, generator=generator, dtype=dtype) for size in sizes]
    return lambda: iter(batches)


def states_of(*models):
    return [model.state_dict() for model in models]


def entropy_of(model, state, batches):
    """Mean entropy with the statistics of each batch."""
    network = copy.deepcopy(model).train()
    network.load_state_dict(state)
    with torch.no_grad():
        return torch.cat([Categorical(logits=network(batch)).entropy() for batch in batches]).mean().item()


def equal_states(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# The projection.


def nearest_by_trying_all_supports(row):
    """On the right support the projection subtracts a constant; all candidates are on the simplex."""
    candidates = []
    for size in range(1, len(row) + 1):
        for support in map(list, combinations(range(len(row)), size)):
            point = numpy.zeros(len(row))
            point[support] = row[support] - (row[support].sum() - 1) / size
            if point.min() >= 0:
                candidates.append(point)
    return min(candidates, key=lambda point: numpy.square(point - row).sum())


@given(ENTRIES)
def test_projection_against_all_supports(entries):
    row = numpy.array(entries)
    found = project_onto_simplex(torch.from_numpy(row)[None])[0]
    numpy.testing.assert_allclose(found.numpy(), nearest_by_trying_all_supports(row), atol=1e-12)


@given(ENTRIES, st.floats(-100, 100))
def test_the_projection_is_on_the_simplex_and_ignores_constants(entries, constant):
    rows = torch.tensor([entries], dtype=torch.float64)
    found = project_onto_simplex(rows)
    assert float(found.min()) >= 0
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(project_onto_simplex(found), found, atol=1e-14, rtol=0)
    torch.testing.assert_close(project_onto_simplex(rows + constant), found, atol=1e-12, rtol=0)


@given(ENTRIES, st.integers(0, 1000))
def test_no_random_point_of_the_simplex_is_nearer(entries, seed):
    row = torch.tensor(entries, dtype=torch.float64)
    points = torch.from_numpy(numpy.random.default_rng(seed).dirichlet(numpy.ones(len(entries)), 50))
    distance = (project_onto_simplex(row[None])[0] - row).norm()
    assert bool((distance <= (points - row).norm(dim=1) + 1e-12).all())


def test_each_row_is_projected_by_itself():
    rows = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = project_onto_simplex(rows)
    assert all(torch.equal(found[[row]], project_onto_simplex(rows[[row]])) for row in range(5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_entries_are_projected_exactly(dtype):
    rows = torch.tensor([[1e9, 1e9, -1e9], [-1e30, 1e30, 0.0]], dtype=dtype)
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], dtype=dtype)
    assert torch.equal(project_onto_simplex(rows), expected)


# The gradient and the steps.


def test_the_gradient_of_the_entropy_equals_finite_differences(randomize):
    models = [randomize(small_network(seed), seed).double() for seed in range(3)]
    states, layers = states_of(*models), layers_of(models[0])
    (batch,) = random_images(12, dtype=torch.float64)()
    rows = torch.rand(len(layers), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    variable = rows.clone().requires_grad_()
    logits = functional_call(models[0].train(), mixed(states, layers, variable), (batch,))
    (gradient,) = torch.autograd.grad(prediction_entropy(logits), variable)

    def value(rows):
        """Through averages that are loaded into a network, layer by layer."""
        merged = copy.deepcopy(states[0])
        for row, names in zip(rows.tolist(), layers.values(), strict=True):
            merged |= weighted_average([{name: state[name] for name in names} for state in states], row)
        return entropy_of(models[0], merged, [batch])

    expected, width = torch.zeros_like(rows), 1e-6
    for position in numpy.ndindex(*rows.shape):
        step = torch.zeros_like(rows)
        step[position] = width
        expected[position] = (value(rows + step) - value(rows - step)) / (2 * width)
    assert float(expected.abs().max()) > 0.01
    torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=1e-5)


class Scored(nn.Module):
    """Scores (classes,) for whatever is seen."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))

    def forward(self, images):
        return self.scores.expand(len(images), -1)


def test_steps_are_those_of_adam_on_moves_that_stay_on_the_simplex():
    """Two parents and two classes: the entropy depends on the share of one parent alone."""
    states, rate = states_of(Scored(3.0, 0.0), Scored(0.0, 1.0)), 0.03
    share, first, second = 0.5, 0.0, 0.0
    for step in range(1, 31):
        gap = 3 * share - (1 - share)
        answer = 1 / (1 + numpy.exp(-gap))
        slope = -gap * answer * (1 - answer)  # of the entropy, in the gap between both scores
        # On the line where both shares sum to 1, half of the difference between both derivatives.
        move = (share - numpy.clip(share - rate * (3 * slope - -slope) / 2, 0, 1)) / rate
        first, second = 0.9 * first + 0.1 * move, 0.999 * second + 0.001 * move**2
        scale = numpy.sqrt(second / (1 - 0.999**step)) + 1e-8
        share = numpy.clip(share - rate * first / (1 - 0.9**step) / scale, 0, 1)
        if step in (1, 2, 7, 15, 30):
            _, found = tuned_average(Scored(0.0, 0.0), states, [0.5, 0.5], random_images(2), step, rate)
            assert found[""].tolist() == pytest.approx([share, 1 - share], abs=1e-5)
    assert share == 1


def test_what_parents_share_does_not_drown_what_tells_them_apart():
    """All parents gain from larger scores, one a little more: the others must leave all the same."""
    states = states_of(Scored(5.0, 0.0), Scored(5.2, 0.0), Scored(5.1, 0.0))
    _, found = tuned_average(Scored(0.0, 0.0), states, [1 / 3] * 3, random_images(2), 200, 0.01)
    assert found[""].tolist() == pytest.approx([0, 1, 0], abs=1e-6)


# Tuned averages.


@pytest.mark.parametrize("others", [1, 2])
def test_a_trained_parent_wins_over_random_ones(others, trained, digits, images):
    parents = [trained, *(small_network(seed, (8, 16)).eval() for seed in range(1, others + 1))]
    weights = [1 / len(parents)] * len(parents)
    states = states_of(*parents)
    merged, found = tuned_average(trained, states, weights, images, 60, 0.02)
    start, end = (
        entropy_of(trained, state, images()) for state in (weighted_average(states, weights), merged)
    )
    assert end < 0.75 * start
    assert all(float(shares[0]) > weights[0] for shares in found.values())
    for shares in found.values():
        assert float(shares.min()) >= 0
        assert float(shares.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_rows_are_on_the_simplex_after_every_step_however_long(steps, trained, images):
    states = states_of(trained, small_network(1, (8, 16)), small_network(2, (8, 16)))
    _, found = tuned_average(trained, states, [0.5, 0.3, 0.2], images, steps, 10.0)
    for shares in found.values():
        assert shares.shape == (3,)
        assert float(shares.min()) >= 0
        assert float(shares.sum()) == pytest.approx(1, abs=1e-12)


def test_the_state_is_the_average_with_the_coefficients_returned(randomize):
    model = randomize(ResNet20(width=1).build(1, 3), 0)
    states = states_of(model, *(randomize(copy.deepcopy(model), seed) for seed in (1, 2)))
    states[1]["bn1.num_batches_tracked"] += 10
    weights = [0.5, 0.3, 0.2]
    merged, found = tuned_average(model, states, weights, random_images(4, 6), 3, 0.05)
    assert list(merged) == list(states[0])
    assert set(found) == {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    assert len({tuple(shares.tolist()) for shares in found.values()}) > 1
    buffers = {name for name, _ in model.named_buffers()}
    for name, tensor in merged.items():
        shares = weights if name in buffers else found[name.rpartition(".")[0]].tolist()
        expected = weighted_average([{name: state[name]} for state in states], shares)[name]
        assert tensor.dtype == states[0][name].dtype
        torch.testing.assert_close(tensor, expected)
    assert merged["bn1.num_batches_tracked"] == 3


def test_equal_parents_give_themselves_back(trained, images):
    merged, _ = tuned_average(trained, states_of(trained, trained, trained), [0.2, 0.3, 0.5], images, 5, 0.1)
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(merged[name], tensor)


def test_one_parent_comes_back_unseen(trained):
    def images():
        raise AssertionError("an image was looked at")

    merged, found = tuned_average(trained, states_of(trained), [1.0], images, 5, 0.1)
    assert equal_states(merged, trained.state_dict())
    assert all(shares.tolist() == [1] for shares in found.values())


def test_a_network_without_parameters_has_nothing_to_tune():
    model = nn.Sequential(nn.BatchNorm2d(1, affine=False), nn.Flatten())
    states = states_of(model, copy.deepcopy(model))
    states[1]["0.running_mean"] = torch.ones(1)
    merged, found = tuned_average(model, states, [0.5, 0.5], random_images(4), 2, 0.1)
    assert merged["0.running_mean"].tolist() == [0.5]
    assert found == {}


def test_no_images_are_an_error_that_says_so(trained):
    with pytest.raises(InputError, match="no images"):
        tuned_average(trained, states_of(trained, trained), [0.5, 0.5], lambda: iter(()), 5, 0.1)


@pytest.mark.parametrize("steps", [2, 3, 7])
def test_batches_are_taken_in_turn_and_no_more_than_needed(steps, trained, images):
    seen = []

    def watched():
        for position, batch in zip(range(3), images(), strict=False):
            seen.append(position)
            yield batch

    states = states_of(trained, small_network(1, (8, 16)))
    tuned_average(trained, states, [0.5, 0.5], watched, steps, 0.1)
    assert seen == [step % 3 for step in range(steps)]


class Tied(nn.Module):
    """Two linear layers of one weight but two offsets, dropout, and a module with no parameters."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.flatten = nn.Flatten()
        self.one, self.other = nn.Linear(64, 64), nn.Linear(64, 64)
        for tensor in (self.one.weight, self.one.bias, self.other.bias):
            nn.init.normal_(tensor, std=0.2, generator=generator)
        self.other.weight = self.one.weight
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.other(self.dropout(self.one(self.flatten(images)).relu()))


def test_a_shared_parameter_stays_shared():
    model = Tied(0)
    states = states_of(model, Tied(1))
    merged, found = tuned_average(model, states, [0.5, 0.5], random_images(20), 10, 0.02)
    assert set(found) == {"one", "other"}
    assert found["one"].tolist() != found["other"].tolist()
    assert torch.equal(merged["one.weight"], merged["other.weight"])
    for name, owner in (("one.weight", "one"), ("one.bias", "one"), ("other.bias", "other")):
        expected = sum(share * state[name] for share, state in zip(found[owner], states, strict=True))
        torch.testing.assert_close(merged[name], expected)
    model.load_state_dict(merged)
    assert model.one.weight is model.other.weight


# What must stay as it is.


@pytest.mark.parametrize("spec", ["plain", "tied"])
@pytest.mark.parametrize("training", [True, False])
def test_model_states_and_randomness_stay_as_they_are(spec, training):
    models = [small_network(seed) if spec == "plain" else Tied(seed) for seed in (0, 1)]
    model = models[0].train(training)
    next(model.children()).train(not training)
    modes = [module.training for module in model.modules()]
    states = [dict(other.state_dict(keep_vars=True)) for other in models]
    before = copy.deepcopy([other.state_dict() for other in models])
    randomness = torch.get_rng_state()

    with torch.no_grad():  # as a caller may
        merged, found = tuned_average(model, states, [0.5, 0.5], random_images(5, 6), 4, 0.1)
    assert torch.equal(torch.get_rng_state(), randomness)
    assert [module.training for module in model.modules()] == modes
    assert all(equal_states(other.state_dict(), old) for other, old in zip(models, before, strict=True))
    tensors = [*states[0].values(), *states[1].values(), *model.parameters()]
    assert all(tensor.grad is None for tensor in tensors)
    assert not any(tensor.requires_grad for tensor in (*merged.values(), *found.values()))

    again, found_again = tuned_average(model, states, [0.5, 0.5], random_images(5, 6), 4, 0.1)
    assert equal_states(merged, again)
    assert equal_states(found, found_again)
    merged[next(iter(merged))].fill_(7)
    assert equal_states(models[0].state_dict(), before[0])


def test_running_statistics_do_not_matter(trained, images):
    states = states_of(trained, small_network(1, (8, 16)))
    _, found = tuned_average(trained, states, [0.5, 0.5], images, 3, 0.1)
    spoiled = [dict(state) for state in states]
    for state in spoiled:
        state["features.1.running_var"] = torch.full((8,), 1e6)
    _, again = tuned_average(trained, spoiled, [0.5, 0.5], images, 3, 0.1)
    assert equal_states(found, again)


# Specs.


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("mixing", "mixing"),
        ("entropy", "entropy-tuned"),
        ({"name": "entropy", "images": "test"}, "entropy-tuned on test images (leaks)"),
        ({"name": "entropy", "steps": 5, "learning_rate": 0.1}, "entropy-tuned, steps 5, learning rate 0.1"),
        (
            {"name": "entropy", "images": "test", "limit": None},
            "entropy-tuned on test images (leaks), limit None",
        ),
    ],
)
def test_labels(value, label):
    assert TypeAdapter(AnyCoefficients).validate_python(value).label() == label


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"learning_rate": 0.0}, {"limit": 1}, {"images": "pooled"}, {"rate": 1}], ids=str
)
def test_options_that_are_not_valid(wrong):
    with pytest.raises(ValidationError):
        Entropy(**wrong)
