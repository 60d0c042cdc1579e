"""How parameters are said to people: in labels of figures and tables, and in the conditions of claims."""

import hashlib
import json
from collections.abc import Mapping

SAID = {
    ("task.name", "auc"): "AUC loss",
    ("task.name", "logistic"): "cross-entropy",
    ("partition.name", "iid"): "IID",
    ("partition.name", "dirichlet"): "Dirichlet",
    ("partition.name", "classes"): "whole classes",
    ("partition.name", "two_phase"): "two phases",
    ("matching.matcher.name", "activation"): "activations matched",
    ("matching.matcher.name", "weight"): "weights matched",
    ("matching.matcher.name", "activation-weight"): "activations and weights matched",
    ("matching.alignment", "per_edge"): "matched per link",
    ("matching.alignment", "consistent"): "common frame",
    ("matching.alignment", "universe"): "common frame by Frank-Wolfe (C2M3)",
    ("matching.rematch.name", "every_round"): "matched every round",
    ("matching.rematch.name", "first_meeting"): "matched once",
    ("matching.rematch.name", "sticky"): "sticky",
    ("matching.rematch.name", "margin"): "margin",
    ("matching.rematch.name", "lowers_disagreement"): "matched where it lowers the disagreement",
    ("calibration.repair", "none"): "no repair",
    ("calibration.repair", "recalibrate"): "recalibrated",
    ("calibration.repair", "least_squares"): "least squares (PLeaS)",
    ("calibration.repair", "repair"): "REPAIR",
    ("calibration.repair", "rescale"): "rescaled",
    ("calibration.images", "own"): "own images",
    ("calibration.images", "neighbours"): "neighbours' images",
    ("calibration.images", "pooled"): "pooled images",
    ("method.coefficients.name", "mixing"): "mixing weights",
    ("method.coefficients.name", "entropy"): "entropy-tuned",
    ("method.coefficients.name", "task_arithmetic"): "task arithmetic",
    ("method.coefficients.name", "adamerging"): "AdaMerging",
    ("method.coefficients.per", "task"): "task-wise",
    ("method.coefficients.per", "layer"): "layer-wise",
    ("method.coefficients.clamped", "true"): "clamped",
    ("method.coefficients.clamped", "false"): "free",
    ("method.coefficients.images", "test"): "on test images (leaks)",
    ("method.coefficients.images", "own"): "on own images",
    ("method.shrink", "1.0"): "not shrunk",
    ("method.coefficients.name", "median"): "median",
    ("method.coefficients.name", "trimmed_mean"): "trimmed mean",
    ("attack.name", "noise"): "one agent sends noise",
    ("attack.name", "permuted"): "one agent permutes itself",
    ("graph.name", "two_hub"): "two hubs",
    ("partition.rule", "yurochkin"): "by class (Yurochkin et al. 2019)",
    ("partition.rule", "hsu"): "by agent (Hsu et al. 2019)",
    ("partition.balanced", "true"): "equal sizes",
    ("partition.balanced", "false"): "unequal sizes",
    ("method.form", "diging"): "DIGing (Nedic et al. 2017)",
    ("method.form", "dsgt"): "DSGT (Pu and Nedic 2021)",
    ("method.form", "aug_dgm"): "Aug-DGM (Xu et al. 2015)",
    ("method.growing", "true"): "growing",
    ("method.growing", "false"): "not growing",
    ("method.nesterov", "true"): "Nesterov",
    ("method.nesterov", "false"): "no Nesterov",
    ("method.optimizer.nesterov", "true"): "Nesterov",
    ("method.optimizer.nesterov", "false"): "no Nesterov",
    ("method.milestones", "[]"): "no milestones",
    ("method.optimizer.milestones", "[]"): "no milestones",
    ("method.warmup", "0"): "no warm-up",
    ("method.optimizer.warmup", "0"): "no warm-up",
    ("method.scales", "whole"): "one scale",
    ("method.scales", "layer"): "a scale for each layer",
    ("method.own_compressed", "true"): "own gradient compressed",
    ("method.own_compressed", "false"): "own gradient as it is",
    ("method.per_layer", "true"): "layer by layer",
    ("method.per_layer", "false"): "all layers at once",
    ("method.weighted", "true"): "weighted gradients",
    ("method.weighted", "false"): "unweighted gradients",
    ("method.growth", "none"): "constant",
    ("method.growth", "sqrt"): "tau growing",
    ("method.code.name", "cyclic"): "cyclic code",
    ("method.code.name", "repetition"): "repetition code",
    ("method.code.stragglers", "0"): "all nodes waited for",
    ("method.code.stragglers", "1"): "1 straggler",
    ("method.first_order", "true"): "first order",
    ("method.first_order", "false"): "second order",
    ("method.combination", "mixing"): "mixing weights",
    ("method.combination", "mean"): "plain means (published)",
    ("method.cooperative", "true"): "cooperative",
    ("method.cooperative", "false"): "alone",
    ("method.outer", "adam"): "Adam",
    ("method.outer", "sgd"): "SGD",
    ("task.queries", "fresh"): "fresh queries",
    ("task.queries", "same"): "queries as support (published)",
    ("training.steps", "own"): "own number of steps",
    ("training.steps", "equal"): "equal steps",
}
"""What is said of a value, where its key and the value alone would not be plain."""
PATTERNS = {
    "partition.alpha": "{}",
    "model.width": "width {}",
    "graph.weights": "{} weights",
    "method.shrink": "shrunk to {}",
    "method.coefficients.factor": "factor {}",
    "method.coefficients.ties": "TIES {}",
    "method.coefficients.trim": "{} trimmed a side",
    "attack.agent": "agent {} not counted",
    "attack.scale": "scale {}",
    "task.angles": "turned by {} degrees",
    "method.optimizer.name": "{}",
    "method.optimizer.learning_rate": "rate {}",
    "method.learning_rate": "rate {}",
    "method.momentum": "momentum {}",
    "method.stage_steps": "first stage {} steps",
    "method.margin": "margin {}",
    "method.walk": "walk {}",
    "method.code.nodes": "{} nodes",
    "method.code.stragglers": "{} stragglers",
    "method.weight_decay": "weight decay {}",
    "method.warmup": "warm-up {} epochs",
    "method.warmup_start": "from {} of the rate",
    "method.milestones": "milestones {}",
    "method.milestone_factor": "factor {} at each",
    "method.inner_rate": "inner rate {}",
    "task.rate": "adapted at rate {}",
    "method.optimizer.weight_decay": "weight decay {}",
    "method.optimizer.warmup": "warm-up {} epochs",
    "method.optimizer.warmup_start": "from {} of the rate",
    "method.optimizer.milestones": "milestones {}",
    "method.optimizer.milestone_factor": "factor {} at each",
    "method.optimizer.decay": "decay {}",
    "matching.rematch.bonus": "bonus {}",
    "matching.rematch.gain": "gain {}",
    "tuning.factors": "tuned among {}",
    "calibration.limit": "at most {} images",
    "data.train_limit": "{} training images",
    "data.test_limit": "{} test images",
    "data.size": "{0}x{0}",
}
"""The same for all values of a key; {} is the value."""
TEXTS = ("data.path", "data.title", "graph.path")
"""Keys whose values are text, whatever numbers they look like."""
OFF = {("graph.link_failures", "0.0"), ("graph.agent_failures", "0.0"), ("graph.one_way", "false")}
"""What is said of nobody: that something does not happen which happens elsewhere."""
WITH_OPTIONS = ("graph.churn", "graph.bursts", "graph.delays")
"""What is there or is not: its options are said behind it, in brackets."""


def phrases(parameters: Mapping[str, str]) -> list[str]:
    """Parameters in as few words as tell them from others beside them, in order; an empty value is none.

    Left out is what is `OFF`: of two runs that differ in that alone, one has words and the other has none.
    """
    on = {key: value for key, value in parameters.items() if value and (key, value) not in OFF}
    found: dict[str, str] = {}
    for key, value in on.items():
        whole = next((each for each in WITH_OPTIONS if key.startswith(f"{each}.")), None)
        if whole is None:
            found[key] = said(key, value)
        elif whole not in found:
            found[whole] = _with_options(whole, on)
    return list(found.values())


def _with_options(whole: str, parameters: Mapping[str, str]) -> str:
    """What is said of ``whole``: its kind or its name, and its options behind it."""
    name = f"{whole}.name"
    first = said(name, parameters[name]) if name in parameters else whole.rpartition(".")[2]
    options = [
        said(key.partition(".")[2], value)  # without the axis, as `whole` is said once for all
        for key, value in parameters.items()
        if key.startswith(f"{whole}.") and key != name
    ]
    return f"{first} ({', '.join(options)})" if options else first


def said(key: str, value: str) -> str:
    """A parameter in words; those of one key are as distinct as its values."""
    key = key.replace("training.optimizer.", "method.optimizer.")  # whose it is changes nothing
    if (key, value) in SAID:
        return SAID[key, value]
    if key == "graph.edge_list":  # long; the hash tells lists apart
        return f"{len(json.loads(value))} links ({hashlib.sha256(value.encode()).hexdigest()[:4]})"
    if key in TEXTS:
        return value
    if key in PATTERNS:
        return PATTERNS[key].format(plain(value))
    words = key.partition(".")[2].removesuffix(".name").replace(".", " ").replace("_", " ") or key
    if value in ("true", "false"):
        return words if value == "true" else f"not {words}"
    if key.endswith(".name"):
        return value.replace("_", " ") if words == "name" else f"{words} {value.replace('_', ' ')}"
    return f"{words} {plain(value)}"


def plain(value: str) -> str:
    """A value as people write it: numbers without needless digits, lists without brackets."""
    try:
        content = json.loads(value)
    except ValueError:
        return value
    if isinstance(content, list):
        return " ".join(plain(item if isinstance(item, str) else json.dumps(item)) for item in content)
    return f"{content:g}" if isinstance(content, float) and float(f"{content:g}") == content else value
