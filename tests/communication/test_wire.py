"""What travels: every value arrives as it was sent, over links only, and nothing runs when it is read."""

import re
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dimat
from dimat.communication.in_process import InProcess
from dimat.communication.wire import TYPES, pack, unpack
from dimat.topology import Chain

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
KEYS = st.booleans() | st.integers() | st.text(max_size=5) | st.tuples(st.integers(), st.text(max_size=3))


@st.composite
def tensors(draw):
    """A tensor of any type and shape, also empty, and of no dimension; bits are random."""
    dtype = TYPES[draw(st.sampled_from(sorted(TYPES)))]
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    generator = numpy.random.default_rng(draw(st.integers(0, 1000)))
    found = torch.from_numpy(numpy.asarray(generator.normal(size=shape) * 20))
    found = (
        found > 0
        if dtype is torch.bool
        else found.abs().to(dtype)
        if not dtype.is_signed
        else found.to(dtype)
    )
    return found.mT if found.ndim > 1 and draw(st.booleans()) else found


VALUES = st.recursive(
    SCALARS | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one, other):
    """Equal in value and in kind, all the way down; the order of mappings counts, too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@given(VALUES)
def test_values_arrive_as_they_were_sent(value):
    message = pack(value)
    assert message.dtype == torch.uint8
    assert message.ndim == 1
    assert same(unpack(message), value)


@pytest.mark.parametrize("name", TYPES)
def test_tensors_of_every_type_keep_their_bits(name):
    bits = torch.randint(0, 2, (24,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tensor = bits.view(TYPES[name])
    found = unpack(pack({("weight", 1): tensor}))["weight", 1]
    assert found.dtype == tensor.dtype
    assert torch.equal(found.view(torch.uint8), bits)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("shape", [(0,), (0, 1), (1, 0, 2), (1, 1), (1,), ()], ids=str)
def test_strides_of_empty_and_single_values_mean_nothing(name, shape):
    tensor = torch.ones(shape, dtype=TYPES[name])
    for strides in (0,) * len(shape), (3,) * len(shape):
        strided = tensor.as_strided(shape, strides)
        assert same(unpack(pack([strided, torch.tensor(5)])), [tensor, torch.tensor(5)])


def test_what_is_unpacked_is_a_copy():
    message = pack([torch.ones(3)])
    unpack(message)[0].fill_(7)
    assert unpack(message)[0].tolist() == [1, 1, 1]


def test_channels_last_states_survive():
    state = {
        "weight": torch.randn(3, 2, 2, 2).to(memory_format=torch.channels_last),
        "count": torch.tensor(7),
        "half": torch.randn(3).half(),
    }
    assert same(unpack(pack(state)), state)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", lambda: None, [torch.float32]],
    ids=["object", "set", "bytes", "function", "type"],
)
def test_nothing_else_is_sent(value):
    with pytest.raises(TypeError, match="cannot be sent"):
        pack(value)


def test_nothing_that_is_read_can_run():
    sources = list(Path(dimat.__file__).parent.rglob("*.py"))
    assert len(sources) > 50
    assert [
        path for path in sources if re.search(r"pickle|\bmarshal\b|\beval\(|\bshelve\b", code(path))
    ] == []


def code(path):
    """Without the evaluation mode of networks."""
    return path.read_text(encoding="utf-8").replace(".eval()", "")


# Links.


def test_messages_go_over_links_only():
    communicator = InProcess(Chain().mixing_matrix(3))
    message = torch.ones(2)
    with pytest.raises(ValueError, match="agents 0 and 2 have no link"):
        communicator.send({(0, 1): message, (0, 2): message}, "models")
    with pytest.raises(ValueError, match="agents 1 and 1 have no link"):
        communicator.send({(1, 1): message}, "models")
    arrived = communicator.send({(0, 1): message, (2, 1): {"a": message, "b": message.double()}}, "answers")
    assert set(arrived) == {(0, 1), (2, 1)}
    assert communicator.bytes_sent[0, "answers"] == 8
    assert communicator.bytes_sent[2, "answers"] == 24
    assert communicator.messages_sent[2] == 1


def test_a_link_may_be_used_against_its_direction_to_answer():
    matrix = numpy.array([[1.0, 0.0], [0.5, 0.5]])  # 0 sends to 1
    communicator = InProcess(matrix)
    assert communicator.receivers(0) == [1]
    assert communicator.receivers(1) == []
    assert communicator.send({(1, 0): torch.zeros(1)}, "answers")[1, 0].tolist() == [0]
