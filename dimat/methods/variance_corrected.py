"""Variance-corrected averaging (Tian, Al-Ars, Kitsak and Hofstee 2024, arXiv 2404.04616)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor
from typing_extensions import override

from dimat.agents.networks import Fleet
from dimat.communication.communicator import Network
from dimat.merging.averaging.average import weighted_average
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.options import Merge
from dimat.methods.every_step import calibrate, only_calibration
from dimat.methods.method import LocalTraining


class VarianceCorrected(LocalTraining):
    """WA whose averages keep the variance of the networks they are made of, tensor by tensor.

    Averages of unlike networks have small weights; each tensor is stretched around its mean until its entries
    vary as much as those of the neighbours' do on average.
    """

    name: Literal["variance_corrected"] = "variance_corrected"
    title = "variance-corrected WA"

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Of a merge only the calibration of normalization is left."""
        return super().canonical(point) | {"merge": only_calibration(self.name, point["merge"])}

    @override
    def communicate(
        self, fleet: Fleet, network: Network, merge: Merge | None, round: int
    ) -> Sequence[Diagnostic]:
        network.advance()
        received = network.exchange(fleet.states(), "models")
        trained = [name for name, _ in fleet.models[0].named_parameters()]
        averages = []
        for row, agent in enumerate(fleet.mine):
            states = [fleet.models[row].state_dict(), *received[row].values()]
            weights = [network.mixing[agent, source] for source in (agent, *received[row])]
            averages.append(corrected_average(states, weights, trained))
        for model, state in zip(fleet.models, averages, strict=True):
            model.load_state_dict(state)
        calibrate(fleet, network, merge, round)
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
        if found > 0:
            average[name] = tensor.mean() + (tensor - tensor.mean()) * (wanted / found).sqrt()
    return average
