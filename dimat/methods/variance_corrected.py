"""Variance-corrected averaging (Tian, Al-Ars, Kitsak and Hofstee 2024, arXiv 2404.04616)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from dimat.agents.networks import Networks
from dimat.communication.communicator import Communicator
from dimat.merging.averaging.average import weighted_average
from dimat.merging.calibration.calibrate import calibrate
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.options import Merging
from dimat.methods.method import LocalTraining
from dimat.methods.unmatched import Unmatched


class VarianceCorrected(Unmatched, LocalTraining):
    """WA whose averages keep the variance of the networks they are made of, tensor by tensor.

    Averages of unlike networks have small weights; each tensor is stretched around its mean until its entries
    vary as much as those of the neighbours' do on average.
    """

    name: Literal["variance_corrected"] = "variance_corrected"
    title: ClassVar[str] = "variance-corrected WA"
    communicates: ClassVar[Literal["round", "step", "never"]] = "round"
    every_link: ClassVar[bool] = True
    bears_delays: ClassVar[bool] = True

    @override
    def communicate(
        self, agents: Networks, communicator: Communicator, merging: Merging, round: int
    ) -> Sequence[Diagnostic]:
        communicator.advance()
        received = communicator.send_to_receivers(agents.states(), "models")
        trained = [name for name, _ in agents.models[0].named_parameters()]
        averages = []
        for row, agent in enumerate(agents.local_agents):
            states = [agents.models[row].state_dict(), *received[row].values()]
            weights = [communicator.mixing[agent, source] for source in (agent, *received[row])]
            averages.append(corrected_average(states, weights, trained))
        for model, state in zip(agents.models, averages, strict=True):
            model.load_state_dict(state)
        calibrate(agents, communicator, merging.calibration, round)
        return ()


def corrected_average(
    states: Sequence[Mapping[str, Tensor]], weights: Sequence[float], trained: Sequence[str]
) -> dict[str, Tensor]:
    """The weighted average; entries of each ``trained`` tensor vary as those of ``states`` do on average."""
    average = weighted_average(states, weights)
    for name in trained:
        tensor = average[name]
        wanted = sum(
            weight * state[name].var(correction=0) for state, weight in zip(states, weights, strict=True)
        )
        found = tensor.var(correction=0)
        stretched = tensor.mean() + (tensor - tensor.mean()) * (wanted / found).sqrt()
        average[name] = torch.where(found > 0, stretched, tensor)
    return average
