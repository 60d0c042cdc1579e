"""Every configuration that is accepted runs its first rounds; all others are refused when they are read."""

import random
from collections import Counter

import pytest
from support.jobs import open_runner

from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.methods import known_methods

GRAPHS = [
    "ring", "complete", "two_hub", "star", "chain", "torus", "hypercube", "erdos_renyi", "directed_ring",
    "exponential", "one_peer_exponential",
    {"name": "random_regular", "degree": 2},
    {"name": "small_world", "neighbours": 2},
    {"name": "barabasi_albert", "links": 1},
    {"name": "ring", "link_failures": 0.3},
    {"name": "ring", "link_failures": 0.3, "one_way": True},
    {"name": "complete", "agent_failures": 0.3, "weights": "uniform"},
    {"name": "sequence", "graphs": ["ring", "star"]},
    {"name": "edges", "edge_list": [[0, 1], [1, 2], [2, 0]]},
]  # fmt: skip
PARTITIONS = ["iid", "classes", "two_phase", {"name": "dirichlet", "alpha": 0.5, "fewest": 2}]
MATCHINGS = [
    {}, {"matcher": "weight"}, {"matcher": "activation-weight"}, {"alignment": "consistent"}, {"passes": 2},
    {"rematch": "first_meeting"}, {"rematch": "sticky"}, {"rematch": "margin", "alignment": "consistent"},
    {"matcher": "weight", "alignment": "universe"},
    {"rematch": "lowers_disagreement", "alignment": "consistent"},
    {"matcher": {"name": "activation-weight", "temperature": 0.1}},
]  # fmt: skip
CALIBRATIONS = [
    {}, {"images": "own"}, {"images": "neighbours", "limit": 2}, {"repair": "none"}, {"repair": "repair"},
    {"repair": "rescale", "images": "own"}, {"repair": "least_squares"}, {"augmented": True},
]  # fmt: skip
MODELS = [
    {"name": "plain", "widths": [2]},
    {"name": "plain", "widths": [2, 3]},
    {"name": "vgg16", "width": 0.02},
    {"name": "vit", "width": 6, "heads": 2, "depth": 1},
]
TRAININGS = [
    {}, {"batch_size": 2}, {"optimizer": "momentum", "optimizer_state": "kept"}, {"steps": "equal"},
    {"start": "same", "pretrain_schedule": "cosine"}, {"precision": "bfloat16"}, {"rounds": 1},
]  # fmt: skip


def drawn(method, seed):
    """A configuration of ``method`` with whatever else by chance, always the same."""
    draw = random.Random(f"{method} {seed}")
    return {
        "name": "small",
        "data": {"name": "digits", "train_limit": draw.choice([20, 40, 60]), "test_limit": 10, "crop": 1},
        "model": draw.choice(MODELS[:2] * 4 + MODELS),
        "partition": draw.choice(PARTITIONS),
        "graph": draw.choice(GRAPHS),
        "agents": draw.choice([1, 2, 3, 4, 4, 5]),
        "method": method,
        "matching": draw.choice(MATCHINGS),
        "calibration": draw.choice(CALIBRATIONS),
        "training": {"pretrain_epochs": 1, "rounds": 2, "epochs": 1, "batch_size": 20}
        | draw.choice(TRAININGS),
        "tuning": draw.choice([None, None, None, {"factors": [1.0]}]),
        "seeds": seed,
        "device": "cpu",
    }


@pytest.mark.parametrize("method", known_methods)
def test_what_is_accepted_runs_its_first_rounds(tmp_path, method, long):
    outcomes = Counter()
    for seed in range(200):
        content = drawn(method, seed)
        try:
            parse_study(content, "study")
        except InputError as error:
            assert str(error).startswith("study: ") and len(str(error).splitlines()) == 1
            outcomes["refused"] += 1
            continue
        runner = open_runner(content, tmp_path / str(seed))
        for start in runner.study.pretrained.values():
            runner.pretrain(start)
        for tuned in runner.study.tuned.values():
            runner.tune(tuned)
        for id, run in runner.study.runs.items():
            runner.train(run)
            assert runner.layout.run(id).exists()
        outcomes["ran"] += 1
        if outcomes["ran"] == (25 if long else 2):
            break
    print(method, outcomes)
    assert outcomes["ran"] >= 2
