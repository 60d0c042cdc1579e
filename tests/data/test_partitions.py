"""Partitions of the training images among agents, and their files."""

import json

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import digamma

from dimat.data.partitions import PHASES, Dirichlet, Iid, Shares, TwoPhase, WholeClasses, whole
from dimat.errors import InputError
from dimat.io.files import write_json

IID, CLASSES, TWO_PHASE = Iid(), WholeClasses(), TwoPhase()
HSU = Dirichlet(alpha=1.0, fewest=1, rule="hsu")
BALANCED = Dirichlet(alpha=0.3, fewest=1, balanced=True)
PARTITIONS = [IID, CLASSES, TWO_PHASE, Dirichlet(alpha=1.0, fewest=1), HSU, BALANCED]
SOME_LABELS = numpy.random.default_rng(0).permutation(numpy.repeat(numpy.arange(10), 60))


@st.composite
def some_labels(draw, smallest=4):
    """Labels of 1 to 6 classes of different sizes, in random order."""
    sizes = draw(st.lists(st.integers(smallest, 30), min_size=1, max_size=6))
    labels = numpy.repeat(numpy.arange(len(sizes)), sizes)
    return numpy.random.default_rng(draw(st.integers(0, 99))).permutation(labels)


def deal(partition, labels=SOME_LABELS, agents=5, seed=0):
    return partition.shares(labels, agents, numpy.random.default_rng(seed))


def held(shares, phase="train"):
    return [set(own.tolist()) for own in getattr(shares, phase)]


# What holds for every partition.


@pytest.mark.parametrize("partition", PARTITIONS, ids=str)
@given(labels=some_labels(), agents=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_partition_is_a_disjoint_cover(partition, labels, agents, seed):
    try:
        shares = deal(partition, labels, agents, seed)
    except InputError as error:
        assert "agent" in str(error)  # some agent would hold nothing: refused, not dealt
        return
    for phase in PHASES:
        images = [image for own in getattr(shares, phase) for image in own.tolist()]
        assert len(images) == len(set(images))
        assert len(getattr(shares, phase)) == agents
        assert all(own.tolist() == sorted(own.tolist()) and len(own) for own in getattr(shares, phase))
    assert set().union(*held(shares, "pretrain"), *held(shares, "train")) == set(range(len(labels)))


@pytest.mark.parametrize("partition", PARTITIONS, ids=str)
def test_same_seed_same_partition_and_another_seed_another(partition):
    assert held(deal(partition, seed=1)) == held(deal(partition, seed=1))
    assert held(deal(partition, seed=1)) != held(deal(partition, seed=2))


@pytest.mark.parametrize("partition", PARTITIONS, ids=str)
def test_more_agents_than_images_is_refused(partition):
    with pytest.raises(InputError, match="agents"):
        deal(partition, numpy.array([0, 1, 0, 1]), agents=5)


@pytest.mark.parametrize("partition", PARTITIONS, ids=str)
def test_one_agent_holds_everything(partition):
    shares = deal(partition, agents=1)
    assert set().union(*held(shares, "pretrain"), *held(shares, "train")) == set(range(len(SOME_LABELS)))


def test_whole_is_one_agent_with_everything():
    assert held(whole(4)) == held(whole(4), "pretrain") == [{0, 1, 2, 3}]


# IID.


@given(labels=some_labels(), agents=st.integers(1, 7), seed=st.integers(0, 99))
def test_iid_is_even_in_every_class_and_in_all(labels, agents, seed):
    if agents > len(labels):
        return
    shares = deal(IID, labels, agents, seed)
    counts = numpy.stack([numpy.bincount(labels[own], minlength=labels.max() + 1) for own in shares.train])
    assert (numpy.ptp(counts, axis=0) <= 1).all()
    assert numpy.ptp(counts.sum(axis=1)) <= 1
    assert held(shares, "pretrain") == held(shares, "train")


# Whole classes.


@given(labels=some_labels(), agents=st.integers(1, 6), seed=st.integers(0, 99))
def test_whole_classes_have_one_holder_where_there_are_enough(labels, agents, seed):
    classes = labels.max() + 1
    if agents > classes:
        return
    own = deal(CLASSES, labels, agents, seed).train
    holders = [[agent for agent in range(agents) if (labels[own[agent]] == c).any()] for c in range(classes)]
    assert all(len(agents_of_class) == 1 for agents_of_class in holders)
    kinds = [sum(agent in agents_of_class for agents_of_class in holders) for agent in range(agents)]
    assert max(kinds) - min(kinds) <= 1


@given(labels=some_labels(smallest=12), agents=st.integers(2, 12), seed=st.integers(0, 99))
def test_agents_beyond_the_number_of_classes_share_a_class_evenly(labels, agents, seed):
    classes = labels.max() + 1
    if agents <= classes:
        return
    own = deal(CLASSES, labels, agents, seed).train
    counts = numpy.stack([numpy.bincount(labels[indices], minlength=classes) for indices in own])
    assert ((counts > 0).sum(axis=1) == 1).all()
    for column in counts.T:
        sharing = column[column > 0]
        assert agents // classes <= len(sharing) <= -(-agents // classes)
        assert sharing.max() - sharing.min() <= 1


# Two phases.


@given(labels=some_labels(smallest=12), agents=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_two_phases_do_not_overlap(labels, agents, seed):
    shares = deal(TWO_PHASE, labels, agents, seed)
    first, second = (set().union(*held(shares, phase)) for phase in PHASES)
    assert not first & second
    assert first | second == set(range(len(labels)))
    for label, size in enumerate(numpy.bincount(labels)):
        assert sum(labels[image] == label for image in first) == size // 2
    counts = numpy.stack([numpy.bincount(labels[own], minlength=labels.max() + 1) for own in shares.pretrain])
    assert (numpy.ptp(counts, axis=0) <= 1).all()
    if agents <= labels.max() + 1:
        kinds = [set(labels[own].tolist()) for own in shares.train]
        assert sum(map(len, kinds)) == len(set().union(*kinds))


# Dirichlet.


@given(alpha=st.sampled_from([0.3, 1.0, 10.0]), fewest=st.integers(1, 30), seed=st.integers(0, 99))
def test_dirichlet_leaves_every_agent_the_fewest(alpha, fewest, seed):
    shares = deal(Dirichlet(alpha=alpha, fewest=fewest), seed=seed)
    assert min(len(own) for own in shares.train) >= fewest


def skew(alpha, seed):
    """Mean over agents and classes of |share of the class - 1/N|."""
    shares = deal(Dirichlet(alpha=alpha, fewest=1), seed=seed)
    return float(abs(shares.counts("train", SOME_LABELS, 10) / 60 - 1 / 5).mean())


@given(st.integers(0, 99))
def test_dirichlet_is_even_for_a_large_alpha_and_skewed_for_a_small_one(seed):
    assert skew(1e6, seed) < 0.01
    assert skew(0.1, seed) > 0.15
    assert skew(0.1, seed) > skew(10.0, seed)


def test_dirichlet_that_cannot_be_dealt_is_refused():
    with pytest.raises(InputError, match=r"partition\.alpha"):
        deal(Dirichlet(alpha=1.0, fewest=len(SOME_LABELS) // 5 + 1))


@pytest.mark.parametrize("alpha", [1e-300, 1e-9, 1e-3])
def test_dirichlet_with_a_tiny_alpha_deals_whole_classes(alpha):
    """Such proportions underflow; they must not turn into NaN."""
    own = deal(Dirichlet(alpha=alpha, fewest=1), agents=2).train
    assert sorted(len(indices) for indices in own)[0] % 60 == 0


EVEN = [
    Dirichlet(alpha=0.1, fewest=1, rule="hsu"),
    Dirichlet(alpha=10.0, fewest=1, rule="hsu"),
    Dirichlet(alpha=0.01, fewest=1, balanced=True),
    BALANCED,
]


@pytest.mark.parametrize("partition", EVEN, ids=lambda partition: partition.label())
@given(labels=some_labels(), agents=st.integers(1, 7), seed=st.integers(0, 99))
def test_equal_sizes_differ_by_one_at_most(partition, labels, agents, seed):
    if agents > len(labels):
        return
    shares = deal(partition, labels, agents, seed)
    assert numpy.ptp([len(own) for own in shares.train]) <= 1
    assert set().union(*held(shares)) == set(range(len(labels)))


LARGE = numpy.repeat(numpy.arange(10), 1000)


def entropies(partition, seeds, agents=5):
    """The entropy of the labels that each agent holds, in nats: (seeds, agents)."""
    found = []
    for seed in seeds:
        counts = deal(partition, LARGE, agents, seed).counts("train", LARGE, 10)
        shares = counts / counts.sum(axis=1, keepdims=True)
        found.append(-(shares * numpy.log(numpy.where(shares > 0, shares, 1))).sum(axis=1))
    return numpy.array(found)


def near(sample, expected):
    """Whether a sample has the ``expected`` mean, within 4 standard errors and the rounding of counts."""
    return abs(sample.mean() - expected) < 4 * sample.std() / len(sample) ** 0.5 + 0.01


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_hsu_has_the_entropy_of_its_dirichlet_distribution(alpha):
    """Of the first agent, for which every class is there: psi(alpha + 1) - sum p_k psi(alpha p_k + 1)."""
    found = entropies(Dirichlet(alpha=alpha, rule="hsu"), range(100), agents=20)[:, 0]
    assert near(found, digamma(alpha + 1) - digamma(alpha / 10 + 1))


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_yurochkin_has_the_entropy_of_shares_that_are_drawn_class_by_class(alpha):
    found = entropies(Dirichlet(alpha=alpha), range(100)).mean(axis=1)
    gammas = numpy.random.default_rng(7).gamma(alpha, size=(4000, 5, 10)) + 1e-300
    counts = gammas / gammas.sum(axis=1, keepdims=True)  # each class sums to 1 over the agents
    counts = counts[(counts.sum(axis=2) > 0.01).all(axis=1)]  # as many as must be left to each
    shares = counts / counts.sum(axis=2, keepdims=True)
    expected = -(shares * numpy.log(shares.clip(1e-300))).sum(axis=2).mean()
    assert near(found, expected)


def test_the_two_rules_are_not_the_same():
    """Of the first of 20 agents, where no class is used up."""
    found = {
        (rule, alpha): entropies(Dirichlet(alpha=alpha, rule=rule, fewest=1), range(60), 20)[:, 0].mean()
        for rule, alpha in (("yurochkin", 0.1), ("hsu", 1.0), ("hsu", 0.1))
    }
    assert found["yurochkin", 0.1] > found["hsu", 1.0] + 0.1  # although both have parameters of 0.1
    assert found["hsu", 1.0] > found["hsu", 0.1] + 0.4


def test_equal_sizes_keep_most_of_the_skew():
    balanced = entropies(Dirichlet(alpha=0.1, balanced=True), range(40)).mean()
    even = entropies(Dirichlet(alpha=100.0, balanced=True), range(3)).mean()
    assert balanced < 1.3 < 2.25 < even <= numpy.log(10)


def test_too_many_agents_for_equal_sizes_are_refused():
    for options in ({"rule": "hsu"}, {"balanced": True}):
        with pytest.raises(InputError, match=r"partition\.fewest: 121 images for each of 5 agents"):
            deal(Dirichlet(alpha=1.0, fewest=121, **options))


def test_hsu_is_balanced_by_itself():
    with pytest.raises(ValidationError, match="leave out 'balanced'"):
        Dirichlet(alpha=1.0, rule="hsu", balanced=True)


@pytest.mark.parametrize("rule", [{"rule": "hsu"}, {"balanced": True}], ids=str)
@pytest.mark.parametrize("alpha", [1e-300, 1e-9, 1e6])
def test_extreme_concentrations_are_dealt(alpha, rule):
    shares = deal(Dirichlet(alpha=alpha, fewest=1, **rule), agents=3)
    assert [len(own) for own in shares.train] == [200, 200, 200]


# Files.


FINGERPRINT = "f" * 64


@pytest.fixture
def saved(tmp_path):
    """A partition in a file: (its path, the partition)."""
    path, shares = tmp_path / "partitions" / "deal.json", deal(TWO_PHASE)
    write_json(path, shares.content(path.stem, FINGERPRINT, SOME_LABELS, tuple("0123456789")))
    return path, shares


def load(path):
    return Shares.load(path, FINGERPRINT, len(SOME_LABELS))


def test_a_saved_partition_is_read_back(saved):
    path, shares = saved
    for phase in PHASES:
        for found, expected in zip(getattr(load(path), phase), getattr(shares, phase), strict=True):
            assert found.dtype == numpy.int64
            assert found.tolist() == expected.tolist()


def test_the_file_counts_images_of_each_class(saved):
    path, _ = saved
    for phase in PHASES:
        for agent in json.loads(path.read_text())[phase]:
            assert agent["counts"] == [
                int((SOME_LABELS[agent["images"]] == label).sum()) for label in range(10)
            ]


def test_a_partition_of_other_data_is_refused(saved):
    path, _ = saved
    with pytest.raises(InputError, match=r"deal\.json.*other data"):
        Shares.load(path, "e" * 64, len(SOME_LABELS))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(saved, share):
    path, _ = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"deal\.json.*delete it"):
        load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"deal\.json"):
        load(tmp_path / "deal.json")


ALTERATIONS = {
    "an image held twice": lambda content: content["train"][0]["images"].append(
        content["train"][1]["images"][0]
    ),
    "an image held by nobody": lambda content: content["train"][0]["images"].pop(),
    "an index too large": lambda content: content["train"][0]["images"].append(600),
    "a negative index": lambda content: content["train"][0]["images"].append(-1),
    "a text for an index": lambda content: content["train"][0]["images"].append("one"),
    "no phase": lambda content: content.pop("pretrain"),
    "no agents": lambda content: content["train"].clear(),
    "no fingerprint": lambda content: content.pop("fingerprint"),
    "agents that are in one phase only": lambda content: content["train"].append({"images": []}),
    "an agent without images": lambda content: [
        content[phase].append({"images": [], "counts": [0] * 10}) for phase in PHASES
    ],
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_file_is_refused(saved, alteration):
    path, _ = saved
    content = json.loads(path.read_text())
    ALTERATIONS[alteration](content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"deal\.json"):
        load(path)


@pytest.mark.parametrize(
    "content", ["[]", "null", "3", "{}", '{"train": 1, "pretrain": 2, "fingerprint": 3}']
)
def test_a_file_that_is_no_partition_is_refused(saved, content):
    path, _ = saved
    path.write_text(content)
    with pytest.raises(InputError, match=r"deal\.json"):
        load(path)
