"""Compressors: what they keep, that they contract, and that all that they need is in the message."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dimat.communication.compression import AnyCompressor, Identity, Quantized, RandomK, Signs, TopK
from dimat.communication.in_process import InProcess
from dimat.topology import Ring

SIZES = st.integers(1, 300)
SEEDS = st.integers(0, 2**62 - 1)
SHARES = st.floats(0.001, 1)


def vector(size, seed, dtype=torch.float64):
    """Entries of very different magnitudes."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.rand(size, generator=generator, dtype=dtype) * 8 - 4
    return torch.randn(size, generator=generator, dtype=dtype) * scales.exp()


def received(compressor, x, seed=0):
    return compressor.decompress(compressor.compress(x, seed), torch.empty_like(x))


def error(compressor, x, seed=0):
    """|Q(x) - x|^2 / |x|^2"""
    return float((received(compressor, x, seed) - x).square().sum() / x.square().sum())


@given(SIZES, SHARES, SEEDS)
def test_top_k_keeps_the_largest_and_contracts(size, share, seed):
    x = vector(size, seed)
    kept = received(TopK(share=share), x)
    k = max(1, math.ceil(share * size))
    places = sorted(range(size), key=lambda place: -abs(float(x[place])))[:k]
    expected = torch.zeros_like(x)
    expected[places] = x[places]
    assert torch.equal(kept, expected)
    assert error(TopK(share=share), x) <= 1 - k / size + 1e-12


@given(SIZES, SHARES, SEEDS)
def test_random_k_keeps_entries_as_they_are(size, share, seed):
    x = vector(size, seed)
    kept = received(RandomK(share=share), x, seed)
    assert int((kept != 0).sum()) == max(1, math.ceil(share * size))
    assert torch.equal(kept[kept != 0], x[kept != 0])
    assert torch.equal(kept, received(RandomK(share=share), x, seed))


def test_random_k_contracts_by_its_share_on_average():
    x = vector(50, 3)
    errors = torch.tensor([error(RandomK(share=0.2), x, seed) for seed in range(4000)])
    assert errors.mean() == pytest.approx(0.8, abs=4 * float(errors.std()) / 4000**0.5)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("bucket", [16, 512])
def test_quantized_is_right_on_average_and_contracts(bits, bucket):
    compressor = Quantized(bits=bits, bucket=bucket)
    x, times = vector(100, 5), 2000
    found = torch.stack([received(compressor, x, seed) for seed in range(times)])
    rounded = found * compressor.tau(len(x))
    # an entry is one of two neighbouring levels
    steps = torch.cat([part.norm().expand(len(part)) for part in x.split(bucket)]) / (2 ** (bits - 1) - 1)
    deviation = 4.5 * steps / 2 / times**0.5 + 1e-6 * steps
    assert ((rounded.mean(0) - x).abs() <= deviation).all()
    n, s = min(bucket, len(x)), 2 ** (bits - 1) - 1
    tau = 1 + min(n / s**2, math.sqrt(n) / s)
    errors = (found - x).square().sum(1) / x.square().sum()
    assert float(errors.mean()) <= 1 - 1 / tau + 4 * float(errors.std()) / times**0.5


@given(SIZES, st.sampled_from([2, 4, 8]), st.integers(1, 400), SEEDS)
def test_quantized_entries_are_levels_of_their_bucket(size, bits, bucket, seed):
    x = vector(size, seed)
    compressor = Quantized(bits=bits, bucket=bucket)
    levels = 2 ** (bits - 1) - 1
    found = received(compressor, x, seed) * compressor.tau(size) * levels
    for part, original in zip(found.split(bucket), x.split(bucket), strict=True):
        inside = part / original.norm()
        torch.testing.assert_close(inside, inside.round(), rtol=0, atol=1e-4)
        exact = levels * original / original.norm()
        assert ((inside - exact).abs() < 1 + 1e-4).all()


@given(SIZES, SEEDS)
def test_signs_contract_by_the_ratio_of_the_norms(size, seed):
    x = vector(size, seed).float().double()
    delta = float(x.abs().sum() ** 2 / (size * x.square().sum()))
    assert error(Signs(), x) == pytest.approx(1 - delta, abs=1e-6)


COMPRESSORS = [
    TopK(share=0.1),
    RandomK(share=0.1),
    Quantized(),
    Quantized(bits=8, bucket=7),
    Signs(),
    Identity(),
]


@pytest.mark.parametrize("compressor", COMPRESSORS, ids=lambda each: each.label())
def test_zero_stays_zero_and_types_stay(compressor):
    for dtype in (torch.float32, torch.float64):
        found = received(compressor, torch.zeros(33, dtype=dtype))
        assert found.dtype == dtype
        assert not found.any()


@pytest.mark.parametrize(
    ("compressor", "size"),
    [
        (TopK(share=0.1), 100 * (4 + 4)),  # a value and an index
        (RandomK(share=0.1), 100 * 4 + 8),  # values, and a seed
        (Quantized(bits=4, bucket=512), 500 + 2 * 4),  # two entries a byte, two norms
        (Quantized(bits=2, bucket=100), 250 + 10 * 4),
        (Signs(), 125 + 4),
        (Identity(), 4000),
    ],
    ids=lambda each: str(each),
)
def test_indices_and_scales_are_counted_where_messages_are_sent(compressor, size):
    communicator = InProcess(Ring().mixing_matrix(3))
    communicator.send({(0, 1): compressor.compress(vector(1000, 0, torch.float32), 0)}, "models")
    assert communicator.bytes_sent == {(0, "models"): size}
    assert communicator.messages_sent == {0: 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "top_k", "share": 0},
        {"name": "random_k", "share": 1.5},
        {"name": "quantized", "bits": 3},
        {"name": "quantized", "bucket": 0},
        "zip",
    ],
)
def test_what_no_compressor_can_do_is_refused(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyCompressor).validate_python(wrong)
