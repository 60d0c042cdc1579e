"""A second device that needs no hardware: what would fail or wait on a GPU fails or is counted here.

To torch its tensors lie on the device "meta"; the values they carry lie on the CPU, where every operation is
carried out, so that numbers are those of the CPU. As on a GPU, a tensor of the device does not meet one of
the CPU in an operation, unless that has no dimensions; what makes the CPU wait for the device is counted.
"""

from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten

DEVICE = torch.device("meta")
CPU = torch.device("cpu")

WAITING = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
    aten.bincount.default, aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default,
    aten._to_sparse_csr.default, aten._to_sparse.default,
}  # fmt: skip
"""Operations whose result, or whose shape, the CPU has to know before it goes on."""
JOINING = {aten.cat.default, aten.stack.default}
"""Operations that do not take a number of the CPU for one of the device."""
INDEXING = {
    aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._unsafe_index.Tensor,
    aten._index_put_impl_.default,
}  # fmt: skip
"""Operations that take indices of the CPU for a tensor of the device."""

LAYERS = {
    aten.convolution.default, aten.convolution_backward.default, aten.addmm.default,
    aten.native_batch_norm.default, aten.native_batch_norm_backward.default,
}  # fmt: skip
"""Operations whose kernels on a GPU read several numbers at a time."""
ALIGNED = 16
"""Bytes that addresses of what `LAYERS` read are multiples of; torch's own allocations are."""


class Misaligned(RuntimeError):
    """A tensor at an address at which a GPU's kernels fail."""


class Mixed(RuntimeError):
    """Tensors of both devices in one operation."""


class OnDevice(Tensor):
    """A tensor of the device, with its values in ``carried``."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, carried):
        strided = carried.layout == torch.strided
        return Tensor._make_wrapper_subclass(
            cls,
            carried.shape,
            strides=carried.stride() if strided else None,
            storage_offset=carried.storage_offset() if strided else None,
            dtype=carried.dtype,
            device=DEVICE,
        )

    def __init__(self, carried):
        self.carried = carried

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} on a tensor of the device, outside of it")

    def tolist(self):
        """As on a GPU, one copy; torch has none for subclasses."""
        return self.cpu().tolist()

    def __repr__(self):
        return f"OnDevice({self.carried})"


class PretendDevice(TorchDispatchMode):
    """While this is active there is a second device; ``counted`` says what crossed over and what waited.

    - ``to the CPU``: copies of tensors to the CPU, which waits for them;
    - ``single numbers``: `.item()` and the like, for which it waits as well;
    - ``shapes``: operations like `nonzero`, and `equal`, which wait for a number of their own;
    - ``waiting to send``: copies from the CPU for which it waits, as they are not ``non_blocking``;
    - ``sent``: all copies from the CPU;
    - ``operations``: all that the device was asked to do.
    """

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    @property
    def waits(self):
        """How often the CPU waited for the device."""
        kinds = ("to the CPU", "single numbers", "shapes", "waiting to send")
        return sum(self.counted[kind] for kind in kinds)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
        wanted = kwargs.get("device")
        if lost := [each for each in tensors if each.device == DEVICE and not isinstance(each, OnDevice)]:
            raise RuntimeError(f"{func}: a tensor on the device without values, {lost}")
        if not on_device and (wanted is None or torch.device(wanted) != DEVICE):
            return func(*args, **kwargs)
        if wanted is not None:
            kwargs["device"] = CPU
        self.counted["operations"] += 1
        if func is aten._to_copy.default or func is aten.copy_.default:
            comes_here = self._crosses(func, args, wanted, kwargs.get("non_blocking", False))
        else:
            self._check(func, args, tensors, on_device)
            comes_here = wanted is None or torch.device(wanted) == DEVICE
        self._count_waiting(func, args, kwargs)
        for tensor in on_device if func in LAYERS else ():
            if tensor.storage_offset() * tensor.itemsize % ALIGNED:
                raise Misaligned(f"{func}: {tuple(tensor.shape)} at entry {tensor.storage_offset()}")
        plain_args, plain_kwargs = tree_map(_carried, (args, kwargs))
        found = func(*plain_args, **plain_kwargs)
        if not comes_here:
            return found
        known = {id(tensor.carried): tensor for tensor in on_device}

        def taken(leaf):
            if not isinstance(leaf, Tensor):
                return leaf
            return known[id(leaf)] if id(leaf) in known else OnDevice(leaf)

        return tree_map(taken, found)

    def _crosses(self, func, args, wanted, non_blocking):
        """Count a copy from device to device; whether its result lies on the pretended one."""
        if func is aten.copy_.default:
            target, source = args[0], args[1]
            non_blocking = len(args) > 2 and args[2]
            to = DEVICE if isinstance(target, OnDevice) else CPU
        else:
            source = args[0]
            to = source.device if wanted is None else torch.device(wanted)
        if to == DEVICE and not isinstance(source, OnDevice):
            self.counted["sent"] += 1
            self.counted["waiting to send"] += not non_blocking
        if to != DEVICE and isinstance(source, OnDevice):
            self.counted["to the CPU"] += 1
        return to == DEVICE

    def _check(self, func, args, tensors, on_device):
        """`Mixed` if tensors of the CPU meet those of the device where a GPU would not have it."""
        if len(on_device) == len(tensors):
            return
        if func in INDEXING and isinstance(args[0], OnDevice):
            # Indices may lie on the CPU; they are sent.
            indices = [leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor)]
            sent = sum(not isinstance(index, OnDevice) for index in indices)
            self.counted["sent"] += sent
            self.counted["waiting to send"] += sent
            tensors = [tensor for tensor in tensors if not any(tensor is index for index in indices)]
        foreign = [tensor for tensor in tensors if not isinstance(tensor, OnDevice)]
        changed = func._schema.name.endswith("_") and not isinstance(args[0], OnDevice)
        if changed or any(tensor.ndim or func in JOINING for tensor in foreign):
            shapes = [f"{tuple(each.shape)} on {each.device}" for each in tensors]
            raise Mixed(f"{func}: tensors on two devices: {', '.join(shapes)}")

    def _count_waiting(self, func, args, kwargs):
        if func is aten._local_scalar_dense.default:
            self.counted["single numbers"] += 1
        elif func in WAITING or (func is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None):
            self.counted["shapes"] += 1
        elif func in INDEXING:
            masks = [leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, OnDevice)]
            self.counted["shapes"] += sum(mask.dtype in (torch.bool, torch.uint8) for mask in masks)


def _carried(leaf):
    return leaf.carried if isinstance(leaf, OnDevice) else leaf


def carried(tensor):
    """The values of a tensor of the device, or the tensor itself; nothing is counted."""
    return _carried(tensor.detach())


_torch_tensor = torch.tensor


def _tensor(data, *, device=None, **options):
    """`torch.tensor`, which gives no values to the device "meta" without asking the mode."""
    made = _torch_tensor(data, device=CPU if device == DEVICE else device, **options)
    return made.to(DEVICE) if device == DEVICE else made


@contextmanager
def pretend_device(*replaced):
    """A pretended device that torch's optimizers know, too, and whose arithmetic is that of the CPU.

    ``replaced`` are names of functions of the project that choose a device, and now choose this one.
    """
    from torch.optim import optimizer

    supported = optimizer._get_fused_kernels_supported_devices()
    with ExitStack() as stack:
        stack.enter_context(
            mock.patch.object(
                optimizer, "_get_fused_kernels_supported_devices", lambda: [*supported, DEVICE.type]
            )
        )
        stack.enter_context(mock.patch("torch.tensor", _tensor))
        stack.enter_context(mock.patch("dimat.arithmetic.autocast", lambda *_, **__: nullcontext()))
        for name in replaced:
            stack.enter_context(mock.patch(name, lambda *_, **__: DEVICE))
        yield stack.enter_context(PretendDevice())
