"""What is recorded of all agents at one stage of a round."""

import statistics
from collections.abc import Sequence, Set
from dataclasses import astuple

import torch

from dimat.agents.agents import Agents
from dimat.agents.disagreement import disagreement
from dimat.agents.networks import Networks
from dimat.communication.communicator import Communicator
from dimat.errors import InputError
from dimat.experiment.mean_model import mean_model_scores
from dimat.experiment.measures import Measure, in_order
from dimat.experiment.records import Measurement
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.tasks.task import Metric


def measure(
    agents: Agents,
    communicator: Communicator,
    round: int,
    stage: str,
    diagnostics: Sequence[Diagnostic] = (),
    asked: Set[Measure] = frozenset(),
    calibration: Calibration | None = None,
    decay: float = 0.0,
) -> list[Measurement]:
    """Everything that is recorded at one stage of a round, of the agents of all processes.

    What is ``asked`` for is measured besides; the mean of all networks is repaired as ``calibration`` says,
    and the optimum is that with an L2 term of factor ``decay``. Of an attacker only what it costs is
    recorded, and it is not counted in what is said of all agents. `InputError` if the task has no such thing.
    """
    values: dict[tuple[int, str], float] = {}
    for row, agent in agents.honest:
        for metric, value in agents.evaluate(row).items():
            values[agent, metric] = value
        if agents.goes_on and not agents.finite(row):
            values[agent, "diverged"] = 1.0
    for row, agent in enumerate(agents.local_agents):
        values[agent, "gradient_steps"] = float(agents.steps_taken[row])
        for metric, value in agents.state.recorded(row).items():
            values[agent, metric] = value
        if stage == "merged":
            values[agent, "messages_sent"] = float(communicator.messages_sent[agent])
    if stage == "merged":
        for (agent, kind), size in communicator.bytes_sent.items():
            if agent in agents.local_agents:
                values[agent, f"bytes_sent_{kind}"] = float(size)
    if "training_loss" in asked:
        for row, agent in agents.honest:
            values[agent, "training_loss"] = _with_networks(agents, asked).training_loss(row)
    if "optimum" in asked:
        best = _with_networks(agents, asked).task.minimizer(decay)
        parameters = agents.parameters
        for row, agent in agents.honest:
            own = parameters[row]
            values[agent, "distance_to_optimum"] = ((own - best).norm() / best.norm()).item()
    if "adaptation" in asked:
        networks = _with_networks(agents, asked)
        for row, agent in networks.honest:
            for steps, value in enumerate(networks.adapted_scores(row)):
                values[agent, f"{networks.task.metric.name}_{steps}"] = value
    rows = [
        Measurement(round, stage, agent, "", metric, value)
        for (agent, metric), value in sorted(communicator.collect(values).items())
    ]
    everyone = communicator.collect(dict(zip(agents.local_agents, agents.parameters, strict=True)))
    apart = disagreement(
        torch.stack([everyone[agent] for agent in sorted(everyone) if not agents.attacks(agent)])
    )
    of_layers = [Measurement(round, stage, None, *astuple(diagnostic)) for diagnostic in diagnostics]
    rows += [Measurement(round, stage, None, "", "disagreement", apart), *of_layers]
    if "parts" in asked:
        rows += _of_parts(_with_networks(agents, asked), communicator, round, stage)
    if "mean_model" in asked:
        networks = _with_networks(agents, asked)
        scores = communicator.collect(mean_model_scores(networks, communicator, calibration, round))
        rows += [
            Measurement(round, stage, None, "", f"mean_model_{metric}", value)
            for metric, value in sorted(scores.items())
        ]
    return rows


def _of_parts(networks: Networks, communicator: Communicator, round: int, stage: str) -> list[Measurement]:
    """The primary metric of every agent on the part of the test set that stands for each agent's images."""
    metric = f"part_{networks.task.metric.name.removeprefix('test_')}"
    values = {
        (agent, part): value
        for row, agent in networks.honest
        for part, value in enumerate(networks.part_scores(row))
    }
    return [
        Measurement(round, stage, agent, "", metric, value, part)
        for (agent, part), value in sorted(communicator.collect(values).items())
    ]


def _with_networks(agents: Agents, asked: Set[Measure]) -> Networks:
    if not isinstance(agents, Networks):
        raise InputError(
            f"measures: {list(in_order(asked))} are of networks, and {type(agents.task).__name__} has none; "
            "expected no measures"
        )
    return agents


def summary(measurements: Sequence[Measurement], metric: Metric) -> str:
    """The mean of the primary metric over agents, in words."""
    mean = statistics.mean(row.value for row in measurements if row.metric == metric.name)
    return f"mean {metric.title} {mean * metric.scale:.4g} {metric.unit}".rstrip()
