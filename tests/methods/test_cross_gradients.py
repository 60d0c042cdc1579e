"""Cross-gradient aggregation: its projections, messages and compression."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates, mixing

from dimat.methods.cga import Cga, project
from dimat.methods.sign_compression import compress, decompress


def nearest(g, constraints):
    """The reference: non-negative least squares for the dual, by an active-set method."""
    weights, _ = nnls(constraints.T.numpy(), -g.numpy(), maxiter=10_000)
    return g + constraints.T @ torch.from_numpy(weights)


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


@pytest.mark.parametrize("compressed", [False, True])
def test_cross_gradients_are_those_of_the_neighbours_at_ones_own_point(compressed):
    """One step of all agents, written out; the second step has momentum and, compressed, what was lost."""
    agents = Quadratics(noise=0.3)
    noises = agents.noises(1)
    x = agents.parameters
    v = torch.zeros_like(x)
    lost = {}
    neighbours = [[(i - 1) % 5, (i + 1) % 5] for i in range(5)]
    for noise in noises:
        projected = []
        for i in range(5):
            own = agents.gradient(i, noise[i], x[i])
            crossed = []
            for j in neighbours[i]:
                g = agents.gradient(j, noise[j], x[i])
                if compressed:
                    g = g + lost.get((j, i), 0)
                    kept = torch.where(g > 0, 1.0, -1.0) * float(g.abs().mean().float())
                    lost[j, i] = g - kept
                    g = kept
                crossed.append(g)
            projected.append(nearest(own, torch.stack([own, *crossed])))
        v = 0.8 * v - RATE * torch.stack(projected)
        x = mixing() @ x + v
    method = Cga(learning_rate=RATE, momentum=0.8, compressed=compressed)
    communicator = iterates(method, agents, RING, rounds=1)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-7)
    size = 5 if compressed else 32  # of 4 numbers: a byte of signs and a scale, or double precision
    assert communicator.bytes_sent[0, "gradients"] == STEPS * 2 * size
    assert communicator.bytes_sent[0, "models"] == STEPS * 2 * 32


@given(st.integers(1, 70), st.integers(0, 2**31))
def test_signs_and_a_scale_survive(size, seed):
    vector = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    message = compress(vector)
    assert message.nbytes == -(-size // 8) + 4
    kept = decompress(message, vector)
    torch.testing.assert_close(kept, vector.sign() * vector.abs().mean(), rtol=1e-6, atol=0)
