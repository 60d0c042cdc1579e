"""Runs on a second device: every method, matching and calibration, on a study that takes seconds."""

import copy
import json

from support.small import SMALL

from dimat.methods import known_methods

FORMS = {
    "dpsgd": [{"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "normalization": "frozen"}],
    "cdmsgd": [{"nesterov": True}],
    "ld_sgd": [{"local_steps": 1, "gossip_steps": 1}],
    "swarm_sgd": [{"momentum": 0.5}],
    "gradient_tracking": [{"form": "diging"}, {"form": "dsgt"}],
    "dot_admm": [{"local_steps": 1, "normalization": "frozen", "weight_decay": 0.01}],
    "coded_admm": [
        {"growth": "sqrt", "weight_decay": 0.01, "normalization": "frozen"},
        {"walk": [0, 1, 2, 1], "code": {"name": "cyclic", "nodes": 3, "stragglers": 1}},
    ],
    "ist": [{"local_steps": 1, "weight_decay": 0.01}],
    "cga": [
        {"compressed": True},
        {"compressed": True, "scales": "layer", "own_compressed": True, "per_layer": True},
        {"margin": 0.5, "nesterov": True},
    ],
    "coda": [{"local_steps": 1, "growing": True, "stage_steps": 2}],
    "choco": [
        {"compression": "random_k", "momentum": 0.5},
        {"compression": {"name": "quantized", "bits": 8}},
        {"compression": "signs"},
    ],
    "epidemic": [{"local_steps": 2, "momentum": 0.5}],
    "papa": [{"every": 1, "momentum": 0.5}],
    "k_gt": [{"local_steps": 2, "weight_decay": 0.01}],
    "wash": [{"probability": 0.05, "by_layer": "constant"}],
    "dimat": [
        {"coefficients": {"name": "entropy", "steps": 2}},
        {"coefficients": {"name": "entropy", "steps": 2, "images": "test"}},
        {"coefficients": {"name": "task_arithmetic", "ties": 0.2}},
        {"coefficients": {"name": "adamerging", "steps": 2, "images": "test"}},
        {"shrink": 0.5, "optimizer": "momentum"},
    ],
}
"""Forms of methods besides their own defaults."""
METHODS = [*({"name": name} for name in known_methods), *(
    {"name": name, **form} for name, forms in FORMS.items() for form in forms
)]  # fmt: skip
MATCHINGS = [
    *(
        {"matcher": matcher, "alignment": alignment}
        for matcher in ("activation", "weight", "activation-weight")
        for alignment in ("per_edge", "consistent")
    ),
    {"passes": 2, "rematch": "sticky"},
    {"rematch": "first_meeting"},
    {"rematch": "margin", "alignment": "consistent"},
    {"matcher": "activation-weight", "alignment": "universe"},
    {"rematch": "lowers_disagreement", "alignment": "consistent"},
    *({"matcher": {"name": name, "temperature": 0.1}} for name in ("activation", "activation-weight")),
]  # fmt: skip
CALIBRATIONS = [
    {"repair": repair, "images": images, "augmented": images != "own", "limit": 20}
    for repair, images in (
        ("none", "own"), ("recalibrate", "neighbours"), ("recalibrate", "own"), ("repair", "pooled"),
        ("rescale", "own"), ("least_squares", "neighbours"),
    )
]  # fmt: skip
TOKENS = {"name": "vit", "patch": 4, "width": 8, "heads": 2, "depth": 1}
OTHERS = {
    "residual": {
        "method": "dimat", "model": {"name": "resnet20", "width": 1}, "calibration": {"limit": 10},
        "training": {"rounds": 1, "batch_size": 15, "pretrain_epochs": 1},
    },
    "tokens": {
        "method": "dimat", "model": TOKENS, "calibration": {"repair": "repair", "limit": 10},
        "training": {"rounds": 1, "batch_size": 15, "pretrain_epochs": 1},
    },
    "tokens in a universe": {
        "method": "dimat", "model": TOKENS, "calibration": {"repair": "least_squares", "limit": 10},
        "matching": {"matcher": "weight", "alignment": "universe"},
        "training": {"rounds": 1, "batch_size": 15, "pretrain_epochs": 1},
    },
    "tokens that move if that is closer": {
        "method": "dimat", "model": TOKENS, "calibration": {"limit": 10},
        "matching": {"rematch": "lowers_disagreement", "alignment": "consistent"},
        "training": {"rounds": 2, "batch_size": 15, "pretrain_epochs": 1},
    },
    "mixed tokens": {
        "method": "dimat", "model": TOKENS, "calibration": {"limit": 10},
        "matching": {"matcher": {"name": "weight", "temperature": 0.1}},
        "training": {"rounds": 1, "batch_size": 15, "pretrain_epochs": 1},
    },
    "kept optimizers": {
        "method": "dimat", "graph": "complete",
        "training": {"rounds": 2, "batch_size": 10, "pretrain_epochs": 1, "optimizer_state": "kept"},
    },
    "links that fail": {"method": "dimat", "graph": {"name": "ring", "link_failures": 0.5}},
    "one direction": {"method": "sgp", "graph": "directed_ring"},
    "tuned": {"method": "dpsgd", "tuning": {"factors": [0.5, 1.0]}},
    "turned": {
        "method": "wa", "task": {"name": "rotated", "angles": [0, 30, 90]}, "measures": "parts",
        "training": {"rounds": 2, "batch_size": 10, "pretrain_epochs": 1, "start": "pretrained"},
    },
    "measured": {"method": "wa", "measures": ["training_loss", "parts", "mean_model"]},
    "ranked": {
        "task": "auc", "method": {"name": "coda", "stage_steps": 2}, "measures": ["training_loss"],
        "data": {
            "name": "digits", "train_limit": 40, "test_limit": 20, "crop": 1,
            "two_classes": {"positive": [3, 5, 7], "share": 0.2},
        },
    },
}  # fmt: skip
CASES = {
    **{json.dumps(method): {"method": method} for method in METHODS},
    **{f"matching {json.dumps(each)}": {"method": "dimat", "matching": each} for each in MATCHINGS},
    **{f"calibration {json.dumps(each)}": {"method": "dimat", "calibration": each} for each in CALIBRATIONS},
    **OTHERS,
}


OFTEN = {
    *(json.dumps({"name": name}) for name in known_methods),
    f"matching {json.dumps(MATCHINGS[5])}",
    f"matching {json.dumps(MATCHINGS[6])}",
    f"calibration {json.dumps(CALIBRATIONS[3])}",
    "residual",
    "tokens",
    "tokens in a universe",
    "tuned",
    "measured",
    "ranked",
}
"""Cases that each run of the tests has; all others take minutes more (`make test-device`)."""


def study_with(changes):
    content = copy.deepcopy(SMALL)
    content["data"] |= {"train_limit": 40, "test_limit": 20, "flip": True, "crop": 1}
    content["calibration"] = {"limit": 20}
    content["training"] |= {"pretrain_epochs": 1, "rounds": 2, "batch_size": 10}
    return content | {"checkpoint_seconds": 1000} | changes


def records(runner):
    return {id: runner.layout.run(id).read_bytes() for id in runner.study.runs}
