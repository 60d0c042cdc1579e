"""No communication: every agent trains alone."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.networks import Networks
from dimat.communication.communicator import Communicator
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.options import Merging
from dimat.methods.method import LocalTraining


class Alone(LocalTraining):
    """A method without communication: what is yielded as merged is the unchanged network."""

    ignores: ClassVar[frozenset[str]] = frozenset({"graph", "matching", "calibration"})
    communicates: ClassVar[Literal["round", "step", "never"]] = "never"

    @override
    def communicate(
        self, agents: Networks, communicator: Communicator, merging: Merging, round: int
    ) -> Sequence[Diagnostic]:
        return ()


class Local(Alone):
    """The lower bound: agents train on their own images and never merge."""

    name: Literal["local"] = "local"
    title: ClassVar[str] = "no communication"
