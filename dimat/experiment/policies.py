"""The policies of congestion controllers that learn: how they are trained and kept."""

import logging
import time
from functools import cached_property

import torch
from typing_extensions import override

from dimat.communication.congestion.adpg import Adpg
from dimat.communication.congestion.policy import Policy
from dimat.errors import InputError
from dimat.experiment.layout import Layout
from dimat.experiment.provenance import machine, now
from dimat.experiment.runs import Identified, Seed
from dimat.io.files import read_tensors, tensors_sha256, write_json, write_tensors
from dimat.randomness import Randomness

log = logging.getLogger(__name__)


class TrainedPolicy(Identified):
    """A policy for links with a queue of at most ``buffer``; it depends on nothing else."""

    controller: Adpg
    buffer: float
    seed: Seed

    @override
    def words(self) -> list[str]:
        return [self.controller.name, f"seed{self.seed}"]

    @cached_property
    def randomness(self) -> Randomness:
        """The source of its start and of the rates that flows begin with."""
        return Randomness(self.controller.name, self.seed)

    def learnt(self) -> tuple[Policy, list[float]]:
        """The policy and the loss at each update, the same every time."""
        torch.set_num_threads(1)
        return self.controller.train(self.buffer, self.randomness.torch("policy"))

    def train(self, layout: Layout) -> None:
        """Write the policy, and what made it."""
        began_at, began = now(), time.perf_counter()
        policy, losses = self.learnt()
        log.info("%d updates, loss %.4g at first and %.4g in the end", len(losses), losses[0], losses[-1])
        about = {"policy": self.id, "trained": self.model_dump(mode="json")}
        made = {
            **about,
            "weights": tensors_sha256(policy.weights),
            "made_on": [machine(torch.device("cpu"))],
            "began": began_at,
            "ended": now(),
            "seconds": time.perf_counter() - began,
            "losses": losses,
        }
        write_json(layout.policy_provenance(self.id), made)
        write_tensors(layout.policy(self.id), policy.weights, about)

    def load(self, layout: Layout) -> Policy:
        """The policy that was trained; `InputError` if the file holds another."""
        path = layout.policy(self.id)
        weights, about = read_tensors(path)
        if not isinstance(about, dict) or about.get("policy") != self.id:
            raise InputError(f"{path}: holds another policy; delete it and run again")
        return Policy(weights)
