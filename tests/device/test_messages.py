"""Messages between processes on devices: each arrives on its receiver's; sums are those of one program."""

import multiprocessing
import os
import socket

import numpy
import pytest
import torch
from support.pretend_device import CPU, DEVICE, carried, pretend_device

from dimat.communication.compression.signs import compress, decompress
from dimat.communication.in_process import InProcess
from dimat.communication.ranks import Ranks, backend
from dimat.communication.wire import pack, unpack
from dimat.topology import Ring

AGENTS = 4


def test_what_lay_on_a_device_arrives_on_the_receivers():
    with pretend_device() as device:
        strided = torch.arange(6.0).view(2, 3).mT.to(DEVICE)
        sent = {
            "here": torch.arange(3),
            "there": [strided, torch.ones((), device=DEVICE, dtype=torch.bfloat16)],
        }
        device.counted.clear()
        message = pack(sent)
        assert device.waits == 1  # one copy for all tensors of the device that follow each other
        found, plain = unpack(message, DEVICE), unpack(message)
        assert found["here"].device == plain["here"].device == CPU
        assert [each.device for each in found["there"]] == [DEVICE, DEVICE]
        assert [each.device for each in plain["there"]] == [CPU, CPU]
        for one, other in zip(found["there"], plain["there"], strict=True):
            assert torch.equal(carried(one), other)
        assert plain["there"][0].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 30])
def test_signs_are_packed_on_the_device_as_on_the_cpu(size):
    vector = torch.randn(size, generator=torch.Generator().manual_seed(size))
    sizes = [size // 3, size - size // 3] if size > 2 else [size]
    message = compress(vector, sizes)
    assert message[: -4 * len(sizes)].tolist() == numpy.packbits(vector.numpy() > 0).tolist()
    with pretend_device() as device:
        there = vector.to(DEVICE)
        device.counted.clear()
        packed = compress(there, sizes)
        found = decompress(packed, sizes, there)
        assert device.waits == 0
        assert torch.equal(carried(packed), message)
        assert torch.equal(carried(found), decompress(message, sizes, vector))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["cpu", "cpu"], "gloo"),
        (["a GPU-1", "a GPU-2", "b GPU-1"], "nccl"),
        (["a GPU-1", "a GPU-1"], "gloo"),  # two processes on one GPU
        (["a GPU-1", "cpu"], "gloo"),
    ],
)
def test_nccl_is_for_processes_with_a_gpu_each(places, expected):
    assert backend(places) == expected


def exchanges(communicator, device):
    """What the local agents get of each kind of communication, on the CPU."""
    own = communicator.local_agents
    rows = torch.arange(AGENTS * 5.0).view(AGENTS, 5)[own].sin().to(device)
    mixed = communicator.mix(rows, "models")
    got = communicator.send_to_receivers([{"row": row, "twice": 2 * row} for row in rows], "models")
    everything = communicator.collect(
        {agent: (row, torch.tensor(agent)) for agent, row in zip(own, rows, strict=True)}
    )
    for row, messages in zip(rows, got, strict=True):
        assert all(each.device == row.device for message in messages.values() for each in message.values())
    assert {row.device for row, _ in everything.values()} == {device}
    assert {number.device for _, number in everything.values()} == {CPU}
    gathered = communicator.gather(dict(zip(own, rows, strict=True)))
    return {
        "mixed": {agent: carried(row).tolist() for agent, row in zip(own, mixed, strict=True)},
        "got": {agent: {j: carried(each["twice"]).tolist() for j, each in messages.items()}
                for agent, messages in zip(own, got, strict=True)},
        "stacked": carried(torch.stack([everything[agent][0] for agent in range(AGENTS)])).tolist(),
        "gathered": {agent: carried(each).tolist() for agent, each in gathered.items()},
    }  # fmt: skip


def process(rank, port, answers):
    """An agent on a device of its own."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(AGENTS), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with pretend_device():
        communicator = Ranks(Ring().mixing_matrix(AGENTS), DEVICE, 60)
        answers.put((rank, exchanges(communicator, DEVICE)))
    communicator.collect({})


def test_processes_on_devices_talk_over_gloo():
    expected = exchanges(InProcess(Ring().mixing_matrix(AGENTS)), CPU)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    started = [context.Process(target=process, args=(rank, port, answers)) for rank in range(AGENTS)]
    for each in started:
        each.start()
    try:
        found = dict(answers.get(timeout=60) for _ in started)
    finally:
        for each in started:
            each.join(20)
            each.kill()
    for rank, own in found.items():
        assert own["mixed"][rank] == pytest.approx(expected["mixed"][rank], rel=1e-6)
        assert own["got"][rank] == expected["got"][rank]
        assert own["stacked"] == expected["stacked"]
        assert own["gathered"] == (expected["gathered"] if rank == 0 else {})
