"""One process for each agent: messages go from process to process, to neighbours and to nobody else.

Processes are started by torchrun or by Slurm's srun. A process that is gone, or does not answer in time, ends
the others with a message that names it.
"""

import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy
import torch
from torch import Tensor, distributed
from typing_extensions import override

from dimat.communication.communicator import Link, Network, State, weighted_sum
from dimat.errors import InputError, LostAgent

STARTING = 300.0
"""Seconds that processes may take to start and to read their data, one more than the other."""


def join(device: torch.device) -> None:
    """Meet the other processes; `InputError` if nothing has started them."""
    environment = launcher_environment(os.environ)
    if environment is None:
        raise InputError(
            "network: 'ranks' needs a process for each agent; start them with torchrun --nproc-per-node N -m "
            "dimat train ..., with srun, or use 'in_process'"
        )
    os.environ.update(environment)
    if not distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=timedelta(seconds=STARTING))


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


class Ranks(Network):
    """Links between processes; the agent of this one is its rank."""

    def __init__(
        self,
        matrices: numpy.ndarray | Callable[[int], numpy.ndarray],
        device: torch.device,
        seconds: float,
    ) -> None:
        join(device)
        self.rank = distributed.get_rank()
        super().__init__(matrices, [self.rank])
        if distributed.get_world_size() != self.agents:
            raise InputError(
                f"network: {distributed.get_world_size()} processes were started for {self.agents} agents; "
                "valid is one for each"
            )
        self.device = device
        self.seconds = seconds
        self._limit = max(seconds, STARTING)  # until all have said something

    @override
    def mix(self, values: Tensor, kind: str, matrix: numpy.ndarray | None = None) -> Tensor:
        matrix = self.mixing if matrix is None else matrix
        receivers = self.receivers(self.rank, matrix)
        self.count(self.rank, kind, values[0].nbytes * len(receivers), len(receivers))
        outgoing = dict.fromkeys(receivers, values[0].contiguous())
        rows = self._swap(outgoing, self.senders(self.rank, matrix), values[0])
        return weighted_sum(rows | {self.rank: values[0]}, matrix[self.rank])[None]

    @override
    def exchange(self, messages: Sequence[State], kind: str) -> list[dict[int, State]]:
        (own,) = messages
        packed = pack(own)
        receivers = self.receivers(self.rank)
        self.count(self.rank, kind, packed.nbytes * len(receivers), len(receivers))
        arrived = self._swap(dict.fromkeys(receivers, packed), self.senders(self.rank), packed)
        return [{sender: unpack(message, own) for sender, message in sorted(arrived.items())}]

    @override
    def answer(self, answers: Mapping[Link, Tensor], kind: str) -> dict[Link, Tensor]:
        outgoing = {to: message.contiguous() for (_, to), message in answers.items()}
        for message in outgoing.values():
            self.count(self.rank, kind, message.nbytes, 1)
        like = next(iter(outgoing.values()), torch.empty(0))
        arrived = self._swap(outgoing, self.receivers(self.rank), like)
        return {(sender, self.rank): message for sender, message in arrived.items()}

    @override
    def collect(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """All send to the first process, which sends everything back."""
        everything = dict(values)
        if self.rank:
            self._send_pickled(everything, 0)
            everything = self._receive_pickled(0, patience=2)
        else:
            for other in range(1, self.agents):
                everything |= self._receive_pickled(other)
            for other in range(1, self.agents):
                self._send_pickled(everything, other)
        self._limit = self.seconds
        return everything

    def _swap(
        self, outgoing: Mapping[int, Tensor], senders: Sequence[int], like: Tensor
    ) -> dict[int, Tensor]:
        """Send each message to its receiver, and receive one like ``like`` from each of ``senders``."""
        arriving = {sender: torch.empty_like(like) for sender in senders}
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
        return arriving

    def _send_pickled(self, values: dict[Any, Any], to: int) -> None:
        message = torch.frombuffer(bytearray(pickle.dumps(values)), dtype=torch.uint8)
        for tensor in (torch.tensor([len(message)]), message):
            self._pass(distributed.isend, tensor, to, 1)

    def _receive_pickled(self, sender: int, patience: float = 1) -> dict[Any, Any]:
        size = self._pass(distributed.irecv, torch.zeros(1, dtype=torch.int64), sender, patience)
        message = self._pass(distributed.irecv, torch.empty(int(size), dtype=torch.uint8), sender, patience)
        return pickle.loads(message.numpy().tobytes())  # noqa: S301  from a process of this very job

    def _pass(self, how: Callable[..., Any], tensor: Tensor, peer: int, patience: float) -> Tensor:
        """Send or receive one tensor that is no message of a method."""
        moved = tensor.to(self.device)
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


def pack(state: State) -> Tensor:
    """All tensors of a state as bytes."""
    return torch.cat([tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in state.values()])


def unpack(message: Tensor, like: State) -> dict[str, Tensor]:
    """The tensors of a packed state with the names, shapes and types of ``like``."""
    parts = message.split([tensor.nbytes for tensor in like.values()])
    return {
        name: part.clone().view(tensor.dtype).view(tensor.shape)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }
