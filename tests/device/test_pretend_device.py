"""The pretended device itself: it has the CPU's numbers, keeps devices apart, and misses no wait."""

import copy

import pytest
import torch
from support.pretend_device import CPU, DEVICE, Mixed, carried, pretend_device
from torch import nn
from torch.nn import functional


@pytest.fixture
def device():
    with pretend_device() as pretended:
        yield pretended


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(3, 4),
    )  # fmt: skip


def trained(model, images, labels, kind):
    """The state after three steps, and the last loss."""
    fast = {"fused": True} if kind is not torch.optim.RMSprop else {}
    optimizer = kind(model.parameters(), 0.05, **fast)
    for _ in range(3):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    return {**model.state_dict(), "loss": loss.detach()}


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_training_gives_the_numbers_of_the_cpu(device, kind, layout):
    model = network()
    there = copy.deepcopy(model).to(DEVICE, memory_format=layout)
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(8, 1, 5, 5, generator=generator), torch.arange(8) % 4
    expected = trained(model.to(memory_format=layout), images, labels, kind)
    found = trained(there, images.to(DEVICE), labels.to(DEVICE), kind)
    assert all(tensor.device == DEVICE for tensor in found.values())
    for name, tensor in expected.items():
        assert torch.equal(carried(found[name]), tensor), name


MIXTURES = {
    "sum": lambda here, there: there + here,
    "the other way round": lambda here, there: here + there,
    "product": lambda here, there: there @ here.T,
    "written into": lambda here, there: here.add_(there),
    "written into the device": lambda here, there: there.mul_(here),
    "one number of the device": lambda here, there: here * there.sum(),
    "into one number of the CPU": lambda here, there: torch.zeros(()).add_(there.sum()),
    "stacked": lambda here, there: torch.stack([there, here]),
    "stacked numbers": lambda here, there: torch.stack([there.sum(), here.sum()]),
    "joined": lambda here, there: torch.cat([here, there]),
    "indexed by the device": lambda here, there: here[there.long()],
    "selected": lambda here, there: there.index_select(0, torch.tensor([0])),
    "where": lambda here, there: torch.where(here > 0, there, 0.0),
    "a layer": lambda here, there: functional.linear(there, here),
    "several at once": lambda here, there: torch._foreach_add_([there], [here]),
}


@pytest.mark.parametrize("how", MIXTURES)
def test_devices_do_not_mix(device, how):
    here, there = torch.ones(2, 2), torch.ones(2, 2, device=DEVICE)
    with pytest.raises(Mixed, match="tensors on two devices"):
        MIXTURES[how](here, there)


def test_what_a_gpu_takes_is_taken(device):
    there = torch.arange(4.0, device=DEVICE)
    assert carried(there * torch.tensor(2.0)).tolist() == [0, 2, 4, 6]
    assert carried(there[torch.tensor([3, 0])]).tolist() == [3, 0]
    there[torch.tensor([1])] = 9.0
    assert there.tolist() == [0, 9, 2, 3]
    there.copy_(torch.ones(4))
    assert carried(there).tolist() == [1] * 4
    here = torch.zeros(4)
    here.copy_(there)
    assert here.tolist() == [1] * 4


@pytest.mark.parametrize(
    ("action", "counted"),
    [
        (lambda there: there.sum().item(), {"single numbers": 1}),
        (lambda there: float(there.max()), {"single numbers": 1}),
        (lambda there: bool((there > 0).all()), {"single numbers": 1}),
        (lambda there: there.cpu(), {"to the CPU": 1}),
        (lambda there: there.to("cpu", torch.float64), {"to the CPU": 1}),
        (lambda there: there.tolist(), {"to the CPU": 1}),
        (lambda there: torch.empty(4).copy_(there), {"to the CPU": 1}),
        (lambda there: there.nonzero(), {"shapes": 1}),
        (lambda there: there[there > 1], {"shapes": 1}),
        (lambda there: torch.equal(there, there), {"shapes": 1}),
        (lambda there: there.unique(), {"shapes": 1}),
        (lambda there: there.repeat_interleave(there.long()), {"shapes": 1}),
        (lambda there: there.repeat_interleave(there.long(), output_size=6), {}),
        (lambda there: torch.diag(there).to_sparse(), {"shapes": 1}),
        (lambda there: torch.ones(2).to(DEVICE), {"sent": 1, "waiting to send": 1}),
        (lambda there: torch.ones(2).to(DEVICE, non_blocking=True), {"sent": 1}),
        (lambda there: torch.tensor([1.0], device=DEVICE), {"sent": 1, "waiting to send": 1}),
        (lambda there: there[torch.tensor([1])], {"sent": 1, "waiting to send": 1}),
        (lambda there: (there * 2).to(torch.float64).sum(), {}),
        (lambda there: torch.zeros(3, device=there.device), {}),
        (lambda there: there.new_zeros(3) + torch.zeros_like(there[:3]), {}),
    ],
)
def test_what_waits_is_counted(device, action, counted):
    there = torch.arange(4.0).to(DEVICE)
    device.counted.clear()
    action(there)
    found = {kind: count for kind, count in device.counted.items() if count and kind != "operations"}
    assert found == counted
    assert device.waits == sum(count for kind, count in counted.items() if kind != "sent")


def test_views_share_their_values_and_copies_do_not(device):
    there = torch.zeros(2, 3, device=DEVICE)
    there[1] = 5.0
    there.T[0].add_(1)
    copied = copy.deepcopy(there)
    there.view(6)[2:4] = 7
    assert carried(there).tolist() == [[1, 0, 7], [7, 5, 5]]
    assert carried(copied).tolist() == [[1, 0, 0], [6, 5, 5]]


def test_the_device_ends_with_its_context():
    with pretend_device():
        there = torch.ones(2, device=DEVICE)
    with pytest.raises(RuntimeError, match="outside"):
        there + there
    assert torch.ones(2).device == CPU
