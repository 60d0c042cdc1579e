"""Cross-gradient aggregation: its projections, messages and compression."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import nnls
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates, mixing

from dimat.communication.compression.signs import compress, decompress
from dimat.methods import projection
from dimat.methods.cga import Cga
from dimat.methods.projection import project


def nearest(g, constraints, margin=0.0):
    """The reference: non-negative least squares for the dual, by an active-set method."""
    g = g + margin * constraints.sum(0)  # the weights that are left are those above the margin
    weights, _ = nnls(constraints.T.numpy(), -g.numpy(), maxiter=10_000)
    return g + constraints.T @ torch.from_numpy(weights)


class Swept:
    """A number of sweeps that nobody may ask for."""

    def __index__(self):
        raise AssertionError("swept")


def test_gradients_that_are_not_finite_are_not_swept_for_ever(monkeypatch):
    monkeypatch.setattr(projection, "SWEEPS", Swept())
    for bad in (torch.inf, torch.nan):
        found = project(torch.ones(1, 3), [[torch.tensor([bad, 1.0, 1.0]), torch.ones(3)]])
        assert not found.isfinite().all()


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**31), st.integers(6, 12))
def test_projections_are_feasible_and_those_of_a_reference_solver(agents, most, seed, size):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(agents, size, generator=generator, dtype=torch.float64)
    counts = torch.randint(1, most + 1, (agents,), generator=generator).tolist()
    constraints = [torch.randn(n, size, generator=generator, dtype=torch.float64) for n in counts]
    found = project(gradients, [list(vectors) for vectors in constraints])
    for row, (g, vectors) in enumerate(zip(gradients, constraints, strict=True)):
        products = vectors @ found[row] / (vectors.norm(dim=1) * g.norm())
        assert products.min() > -1e-10
        torch.testing.assert_close(found[row], nearest(g, vectors), rtol=0, atol=1e-8)


def test_a_gradient_that_nobody_objects_to_is_kept():
    g = torch.tensor([[1.0, 2.0, 0.0]])
    torch.testing.assert_close(project(g, [[g[0], torch.tensor([0.0, 1.0, 5.0]), torch.zeros(3)]]), g)


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 2**31), st.integers(5, 9), st.floats(0, 2))
def test_with_a_margin_every_constraint_has_a_part(most, seed, size, margin):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(2, size, generator=generator, dtype=torch.float64)
    constraints = torch.randn(2, most, size, generator=generator, dtype=torch.float64)
    found = project(gradients, [list(vectors) for vectors in constraints], margin)
    for row, (g, vectors) in enumerate(zip(gradients, constraints, strict=True)):
        expected = nearest(g, vectors, margin)
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-8)


SIZES = (1, 3)
"""Parts of the vectors of `InParts`."""


class InParts(Quadratics):
    """Quadratics whose vectors have two parts, as networks have tensors."""

    @property
    def sizes(self):
        return list(SIZES)


def kept_by_signs(g, sizes):
    """Signs and the mean magnitude of each part."""
    return torch.cat(
        [
            torch.where(part > 0, 1.0, -1.0).to(g) * float(part.abs().mean().float())
            for part in g.split(list(sizes))
        ]
    )


FORMS = {
    "the paper's": {},
    "margin": {"margin": 0.5},
    "weighted": {"weighted": True, "margin": 0.5},
    "per layer": {"per_layer": True},
    "the code's": {"margin": 0.5, "weighted": True, "per_layer": True, "nesterov": True},
    "compressed": {"compressed": True},
    "compressed, the code's": {
        **{"compressed": True, "scales": "layer", "own_compressed": True},
        **{"margin": 0.5, "weighted": True, "per_layer": True, "nesterov": True},
    },
    "own compressed": {"compressed": True, "own_compressed": True},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_steps_are_those_of_cross_gradients_written_out(form):
    """A round of all agents; from its second step on with momentum and, compressed, with what was lost."""
    compressed, own_compressed = form.get("compressed", False), form.get("own_compressed", False)
    scales = SIZES if form.get("scales") == "layer" else (sum(SIZES),)
    layers = SIZES if form.get("per_layer") else (sum(SIZES),)
    agents = InParts(noise=0.3)
    noises = agents.noises(1)
    x = agents.parameters
    v = torch.zeros_like(x)
    lost = {}
    neighbours = [[(i - 1) % 5, (i + 1) % 5] for i in range(5)]

    def sent(key, g):
        g = g + lost.get(key, 0)
        kept = kept_by_signs(g, scales)
        lost[key] = g - kept
        return kept

    for noise in noises:
        projected = []
        for i in range(5):
            near = {i: agents.gradient(i, noise[i], x[i])}
            if own_compressed:
                near[i] = sent((i, i), near[i])
            for j in neighbours[i]:
                g = agents.gradient(j, noise[j], x[i])
                near[j] = sent((j, i), g) if compressed else g
            if form.get("weighted"):
                near = {j: float(mixing()[i, j]) * g for j, g in near.items()}
            parts = {j: g.split(list(layers)) for j, g in near.items()}
            projected.append(
                torch.cat(
                    [
                        nearest(own, torch.stack([parts[j][p] for j in near]), form.get("margin", 0.0))
                        for p, own in enumerate(parts[i])
                    ]
                )
            )
        u = torch.stack(projected)
        if form.get("nesterov"):
            v = 0.8 * v + u
            x = mixing() @ x - RATE * (u + 0.8 * v)
        else:
            v = 0.8 * v - RATE * u
            x = mixing() @ x + v
    method = Cga(learning_rate=RATE, momentum=0.8, **form)
    communicator = iterates(method, agents, RING, rounds=1)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-6)
    # of 4 numbers: a byte of signs and a scale or two, or double precision
    size = 1 + 4 * len(scales) if compressed else 32
    assert communicator.bytes_sent[0, "gradients"] == STEPS * 2 * size
    assert communicator.bytes_sent[0, "models"] == STEPS * 2 * 32


def test_layers_of_networks_are_their_tensors(make_agents):
    agents = make_agents(agents=2)
    tensors = list(agents.models[0].parameters())
    assert agents.sizes == [tensor.numel() for tensor in tensors]
    assert sum(agents.sizes) == agents.parameters.shape[1]


def test_weight_decay_is_in_every_gradient():
    agents = Quadratics(noise=0.3)
    method = Cga(learning_rate=RATE, momentum=0.0, weight_decay=0.3)
    x, noise = agents.parameters, agents.noises(1)
    for each in noise:
        directions = []
        for i in range(5):
            own, *others = (
                agents.gradient(j, each[j], x[i]) + 0.3 * x[i] for j in (i, (i - 1) % 5, (i + 1) % 5)
            )
            directions.append(nearest(own, torch.stack([own, *others])))
        x = mixing() @ x - RATE * torch.stack(directions)
    iterates(method, agents, RING, 1)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scales": "layer"}, "expected compressed: true"),
        ({"own_compressed": True}, "expected compressed: true"),
        ({"nesterov": True, "momentum": 0.0}, "expected momentum above 0"),
        ({"margin": -0.1}, "greater than or equal to 0"),
    ],
)
def test_options_without_effect_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        Cga(**options)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 2**31))
def test_signs_and_scales_survive(sizes, seed):
    size = sum(sizes)
    vector = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    message = compress(vector, sizes)
    assert message.nbytes == -(-size // 8) + 4 * len(sizes)
    kept = decompress(message, sizes, vector)
    expected = torch.cat([part.sign() * part.abs().mean() for part in vector.split(sizes)])
    torch.testing.assert_close(kept, expected, rtol=1e-6, atol=0)
