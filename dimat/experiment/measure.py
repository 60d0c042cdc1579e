"""What is recorded of all agents at one stage of a round."""

import statistics
from collections.abc import Sequence
from dataclasses import astuple

import torch

from dimat.agents.agents import Agents
from dimat.agents.disagreement import disagreement
from dimat.communication.communicator import Communicator
from dimat.experiment.records import Measurement
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.tasks.task import Metric


def measure(
    agents: Agents,
    communicator: Communicator,
    round: int,
    stage: str,
    diagnostics: Sequence[Diagnostic] = (),
) -> list[Measurement]:
    """Everything that is recorded at one stage of a round, of the agents of all processes."""
    values: dict[tuple[int, str], float] = {}
    for row, agent in enumerate(agents.local_agents):
        for metric, value in agents.evaluate(row).items():
            values[agent, metric] = value
        values[agent, "gradient_steps"] = float(agents.steps_taken[row])
        if stage == "merged":
            values[agent, "messages_sent"] = float(communicator.messages_sent[agent])
    if stage == "merged":
        for (agent, kind), size in communicator.bytes_sent.items():
            if agent in agents.local_agents:
                values[agent, f"bytes_sent_{kind}"] = float(size)
    rows = [
        Measurement(round, stage, agent, "", metric, value)
        for (agent, metric), value in sorted(communicator.collect(values).items())
    ]
    everyone = communicator.collect(dict(zip(agents.local_agents, agents.parameters, strict=True)))
    apart = disagreement(torch.stack([everyone[agent] for agent in sorted(everyone)]))
    of_layers = [Measurement(round, stage, None, *astuple(diagnostic)) for diagnostic in diagnostics]
    return [*rows, Measurement(round, stage, None, "", "disagreement", apart), *of_layers]


def summary(measurements: Sequence[Measurement], metric: Metric) -> str:
    """The mean of the primary metric over agents, in words."""
    mean = statistics.mean(row.value for row in measurements if row.metric == metric.name)
    return f"mean {metric.title} {mean * metric.scale:.4g} {metric.unit}".rstrip()
