"""One process for each agent: messages go from process to process, to neighbours and to nobody else.

Processes are started by torchrun or by Slurm's srun. A process that is gone, or does not answer in time, ends
the others with a message that names it.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import numpy
import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous
from typing_extensions import override

from dimat.communication.communicator import Communicator, Link, Message
from dimat.communication.wire import pack, unpack
from dimat.errors import InputError, LostAgent

CPU = torch.device("cpu")
STARTING = 300.0
"""Seconds that processes may take to start and to read their data, one more than the other."""


def join(device: torch.device) -> torch.device:
    """Meet the others; where tensors must lie to be sent. `InputError` if nothing started processes."""
    environment = launcher_environment(os.environ)
    if environment is None:
        raise InputError(
            "communication: 'ranks' needs a process for each agent; start them with torchrun "
            "--nproc-per-node N -m dimat train ..., with srun, or use 'in_process'"
        )
    os.environ.update(environment)
    if not distributed.is_initialized():
        patience = timedelta(seconds=STARTING)
        try:
            store, rank, size = next(rendezvous("env://", timeout=patience))
            store.set_timeout(patience)
            store.set(f"place/{rank}", place(device))
            chosen = backend([store.get(f"place/{other}").decode() for other in range(size)])
            if chosen == "nccl":
                # Without it, nobody waits for messages that do not come: the GPU would, for ever.
                os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"
                torch.cuda.set_device(device)
            shared = distributed.PrefixStore("agents", store)  # pyright: ignore[reportPrivateImportUsage]
            distributed.init_process_group(chosen, store=shared, rank=rank, world_size=size, timeout=patience)
        except RuntimeError as error:
            why = str(error).splitlines()[0]
            raise LostAgent(
                f"the processes of the agents have not all come within {STARTING:g} s ({why}); run again"
            ) from None
    return device if distributed.get_backend() == "nccl" else CPU


def place(device: torch.device) -> str:
    """What a process computes on: one GPU of the world, by name, or a CPU."""
    if device.type != "cuda":
        return "cpu"
    return f"{socket.gethostname()} {torch.cuda.get_device_properties(device).uuid}"


def backend(places: Sequence[str]) -> Literal["nccl", "gloo"]:
    """How processes at these places talk: NCCL only where each has a GPU of its own, as it asks for that."""
    return "nccl" if "cpu" not in places and len(set(places)) == len(places) else "gloo"


def launcher_environment(environment: Mapping[str, str]) -> dict[str, str] | None:
    """What torch needs to know of the processes, from torchrun or from srun; `None` without a launcher."""
    if "RANK" in environment:
        return {}
    if "SLURM_PROCID" not in environment or "SLURM_LAUNCH_NODE_IPADDR" not in environment:
        return None
    return {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": environment["SLURM_NTASKS"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "MASTER_ADDR": environment["SLURM_LAUNCH_NODE_IPADDR"],
        "MASTER_PORT": str(20_000 + int(environment["SLURM_JOB_ID"]) % 20_000),
    }


class Ranks(Communicator):
    """Links between processes; the agent of this one is its rank."""

    def __init__(
        self,
        matrices: numpy.ndarray | Callable[[int], numpy.ndarray],
        device: torch.device,
        seconds: float,
        whole: numpy.ndarray | None = None,
        newest_at: Callable[[int], numpy.ndarray] | None = None,
    ) -> None:
        self.wire = join(device)
        self.rank = distributed.get_rank()
        super().__init__(matrices, [self.rank], whole, newest_at)
        if distributed.get_world_size() != self.agents:
            raise InputError(
                f"communication: {distributed.get_world_size()} processes were started for {self.agents} "
                "agents; expected one for each"
            )
        self.device = device
        self.seconds = seconds
        self._limit = max(seconds, STARTING)  # until all have said something

    @override
    def _rows(self, values: Tensor, matrix: numpy.ndarray) -> tuple[list[int], Tensor]:
        own = values[0].contiguous().to(self.wire)
        outgoing = dict.fromkeys(self.receivers(self.rank, matrix), own)
        arriving = {sender: torch.empty_like(own) for sender in self.senders(self.rank, matrix)}
        self._swap(outgoing, arriving)
        rows = arriving | {self.rank: own}
        members = sorted(rows)
        return members, torch.stack([rows[member] for member in members]).to(self.device)

    @override
    def _deliver(self, messages: Mapping[Link, Message]) -> dict[Link, Any]:
        """Neighbours first tell each other how much comes, which may be nothing, and then send it."""
        packed = {receiver: pack(message).to(self.wire) for (_, receiver), message in messages.items()}
        neighbours = sorted({*self.senders(self.rank), *self.receivers(self.rank)})
        nothing = torch.zeros(1, dtype=torch.int64, device=self.wire)
        sizes = {other: nothing + len(packed.get(other, ())) for other in neighbours}
        announced = {other: torch.empty_like(nothing) for other in neighbours}
        self._swap(sizes, announced)
        arriving = {
            other: torch.empty(int(size), dtype=torch.uint8, device=self.wire)
            for other, size in announced.items()
            if size
        }
        self._swap(packed, arriving)
        return {(sender, self.rank): unpack(message, self.device) for sender, message in arriving.items()}

    @override
    def collect(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """All send to the first process, which sends everything back."""
        everything = dict(values)
        if self.rank:
            self._send_packed(everything, 0)
            everything = self._receive_packed(0, patience=2)
        else:
            for other in range(1, self.agents):
                everything |= self._receive_packed(other)
            for other in range(1, self.agents):
                self._send_packed(everything, other)
        self._limit = self.seconds
        return everything

    @override
    def gather(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        if self.rank:
            self._send_packed(dict(values), 0)
            return {}
        everything = dict(values)
        for other in range(1, self.agents):
            everything |= self._receive_packed(other, device=CPU)
        return everything

    def _swap(self, outgoing: Mapping[int, Tensor], arriving: Mapping[int, Tensor]) -> None:
        """Send each of ``outgoing`` to its receiver, and fill each of ``arriving`` from its sender."""
        operations = [
            *(distributed.P2POp(distributed.isend, message, to) for to, message in outgoing.items()),
            *(distributed.P2POp(distributed.irecv, message, sender) for sender, message in arriving.items()),
        ]
        peers = [*outgoing, *arriving]
        if operations:
            try:
                works = distributed.batch_isend_irecv(operations)
            except RuntimeError as error:
                raise self._lost(peers, error) from None
            # Some backends give one handle for all of them.
            for position, work in enumerate(works):
                self._wait(work, [peers[position]] if len(works) == len(peers) else peers)

    def _send_packed(self, values: dict[Any, Any], to: int) -> None:
        message = pack(values)
        for tensor in (torch.tensor([len(message)]), message):
            self._pass(distributed.isend, tensor, to, 1)

    def _receive_packed(
        self, sender: int, patience: float = 1, device: torch.device | None = None
    ) -> dict[Any, Any]:
        size = self._pass(distributed.irecv, torch.zeros(1, dtype=torch.int64), sender, patience)
        message = self._pass(distributed.irecv, torch.empty(int(size), dtype=torch.uint8), sender, patience)
        return unpack(message, device or self.device)

    def _pass(self, how: Callable[..., Any], tensor: Tensor, peer: int, patience: float) -> Tensor:
        """Send or receive one tensor that is no message of a method."""
        moved = tensor.to(self.wire)
        try:
            work = how(moved, peer)
        except RuntimeError as error:
            raise self._lost([peer], error) from None
        self._wait(work, [peer], patience)
        return moved.cpu()

    def _wait(self, work: distributed.Work, peers: Sequence[int], patience: float = 1) -> None:
        try:
            done = work.wait(timedelta(seconds=self._limit * patience))
        except RuntimeError as error:
            raise self._lost(peers, error) from None
        if done is False:
            raise self._lost(peers, None)

    def _lost(self, peers: Sequence[int], error: RuntimeError | None) -> LostAgent:
        """Who does not answer, and what that looked like."""
        why = str(error).splitlines()[0] if error else "no answer"
        agents = " or ".join(map(str, peers))
        return LostAgent(
            f"agent {agents} (rank {agents}) is gone or has not answered agent {self.rank} within "
            f"{self._limit:g} s ({why}); run again to go on from the last checkpoint"
        )
