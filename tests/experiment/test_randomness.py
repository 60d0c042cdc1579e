"""Randomness that depends on (experiment, seed, agent, round, purpose) and on nothing else."""

import itertools

import numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from dimat.randomness import Randomness

KEYS = st.tuples(
    st.text(max_size=4),
    st.integers(0, 2**40),
    st.none() | st.integers(0, 20),
    st.none() | st.integers(0, 20),
    st.text(max_size=4),
)
AXES = [("digits/plain", "digits/resnet20"), (0, 1), (None, 0, 1), (None, 0, 1), ("train", "partition")]


def draws(experiment, seed, agent, round, purpose, count=4):
    """Numbers from both generators of one key."""
    randomness = Randomness(experiment, seed)
    numbers = randomness.numpy(purpose, agent=agent, round=round).integers(0, 2**62, count).tolist()
    generator = randomness.torch(purpose, agent=agent, round=round)
    return tuple(numbers + torch.randint(2**62, (count,), generator=generator).tolist())


@given(KEYS, KEYS)
def test_what_was_drawn_before_does_not_matter(key, other):
    first = draws(*key)
    draws(*other)
    torch.manual_seed(3)
    numpy.random.seed(3)
    assert draws(*key) == first


@given(KEYS)
def test_generators_are_independent_objects(key):
    experiment, seed, agent, round, purpose = key
    randomness = Randomness(experiment, seed)
    one, other = (randomness.torch(purpose, agent=agent, round=round) for _ in range(2))
    torch.rand(10, generator=one)
    fresh = randomness.torch(purpose, agent=agent, round=round)
    assert torch.rand(1, generator=other) == torch.rand(1, generator=fresh)


def test_every_part_of_the_key_makes_a_difference():
    keys = list(itertools.product(*AXES))
    assert len({number for key in keys for number in draws(*key)}) == 8 * len(keys)


@given(KEYS, KEYS)
def test_other_keys_give_other_draws(key, other):
    assert (draws(*key) == draws(*other)) == (key == other)


def test_neighbouring_seeds_and_agents_share_nothing():
    """Seed s of agent i must not be seed s + 1 of agent i - 1."""
    assert not set(draws("digits/plain", 0, 1, 0, "train")) & set(draws("digits/plain", 1, 0, 0, "train"))


def test_draws_leave_the_global_generators_alone():
    before = torch.random.get_rng_state(), numpy.random.get_state()[1].tolist()
    draws("digits/plain", 0, 0, 0, "train")
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert numpy.random.get_state()[1].tolist() == before[1]


def test_draws_are_those_of_the_published_numbers():
    """These values were drawn once and pinned: if they change, no published number can be reproduced."""
    randomness = Randomness("digits/plain", 0)
    drawn = randomness.numpy("partition").integers(0, 2**31, 2).tolist()
    order = torch.randperm(8, generator=randomness.torch("train, epoch 0", agent=1, round=2)).tolist()
    assert (drawn, order) == ([840707454, 109324927], [3, 4, 1, 6, 7, 0, 2, 5])
