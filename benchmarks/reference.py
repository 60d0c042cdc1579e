"""The naive way to merge every agent with its neighbours: a reference for time and for the result.

Every agent works alone. It runs its own network and each neighbour's anew, recalibrates them, collects
features with forward hooks, and computes the covariance of all channels of all these networks stacked, of
which it needs one row of blocks. For N agents with d neighbours each these are N (2 d + 3) passes of a
network over the images. One `correlations` for all agents does with N of them, and computes no block twice.
"""

from collections import Counter
from functools import partial

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, fx, nn

from dimat.agents.networks import Networks
from dimat.communication.in_process import InProcess
from dimat.merging.averaging.average import weighted_average
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.statistics import Pair
from dimat.models.passes import Pass
from dimat.models.symmetry import Group, Permutations, permute

Features = dict[str, Tensor]


def merge_naively(networks: Networks, communicator: InProcess, images: Pass) -> dict[Pair, Permutations]:
    """Replace every one of the ``networks`` by the merge of its neighbourhood; P_ij of all neighbours."""
    permutations: dict[Pair, Permutations] = {}
    merged = []
    for agent in range(networks.agents):
        others = communicator.senders(agent)
        models = [networks.models[member] for member in (agent, *others)]
        for model in models:
            recalibrate(model, images())
        covariances = stacked_covariances(models, networks.symmetry, images)
        for place, other in enumerate(others, start=1):
            permutations[agent, other] = {
                group.name: best_assignment(covariances[group.name], group.size, place)
                for group in networks.symmetry
            }
        states = [model.state_dict() for model in models]
        aligned = [
            permute(state, networks.symmetry, permutations[agent, other])
            for state, other in zip(states[1:], others, strict=True)
        ]
        weights = [communicator.mixing[agent, source] for source in (agent, *others)]
        merged.append(weighted_average([states[0], *aligned], weights))
    for model, state in zip(networks.models, merged, strict=True):
        model.load_state_dict(state)
        recalibrate(model, images())
    return permutations


def stacked_covariances(models: list[nn.Module], groups: list[Group], images: Pass) -> Features:
    """Covariance of the channels of all ``models`` stacked, (n C, n C) for each group, in float64."""
    collected: list[Features] = [{} for _ in models]
    hooks = [
        hook
        for model, features in zip(models, collected, strict=True)
        for hook in collect_into(features, model.eval(), groups)
    ]
    count = dict.fromkeys((group.name for group in groups), 0)
    total: Features = {}
    product: Features = {}
    with torch.no_grad():
        for batch in images():
            for model in models:
                model(batch)
            for group in groups:
                rows = torch.cat([features[group.name] for features in collected])
                count[group.name] += rows.shape[1]
                total[group.name] = total.get(group.name, 0) + rows.sum(1).double()
                product[group.name] = product.get(group.name, 0) + (rows @ rows.T).double()
            for features in collected:
                features.clear()
    for hook in hooks:
        hook.remove()
    return {
        name: product[name] / count[name] - torch.outer(total[name], total[name]) / count[name] ** 2
        for name in product
    }


def collect_into(
    features: Features, model: nn.Module, groups: list[Group]
) -> list[torch.utils.hooks.RemovableHandle]:
    """Hooks that put each group's features (C, observations) into ``features`` whenever ``model`` runs.

    A module that is called several times in a run gives the features of the call that the group names.
    """
    calls: Counter[str] = Counter()
    group_of = {group.node: group for group in groups}
    wanted: dict[str, dict[int, Group]] = {}
    for node in fx.symbolic_trace(model).graph.nodes:
        if node.op == "call_module":
            if node.name in group_of:
                wanted.setdefault(node.target, {})[calls[node.target]] = group_of[node.name]
            calls[node.target] += 1
    made: Counter[str] = Counter()

    def collect(target: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        group = wanted[target].get(made[target] % calls[target])
        made[target] += 1
        if group is not None:
            features[group.name] = output.transpose(0, 1).flatten(1)

    return [model.get_submodule(target).register_forward_hook(partial(collect, target)) for target in wanted]


def best_assignment(covariance: Tensor, size: int, place: int) -> Tensor:
    """The order of the ``place``-th network's channels that correlates best with the first network's."""
    deviation = covariance.diag().clamp_min(1e-12).sqrt()
    correlation = covariance / torch.outer(deviation, deviation)
    block = correlation[:size, place * size : (place + 1) * size]
    return torch.from_numpy(linear_sum_assignment(block.cpu().numpy(), maximize=True)[1])
