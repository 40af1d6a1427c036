"""A device other than the CPU, for machines without one: a tensor there is computed here, but meets none that is here.

After the example of wrapper tensors in PyTorch's notes on extending it, https://pytorch.org/docs/stable/notes/extending.html.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta")  # the one device beside the CPU that torch has everywhere

# What waits for the device: always, for it needs to know a value; where it copies from one device to the other; and
# where it has to look for its indices, or they are here.
READING = {"aten._local_scalar_dense.default", "aten.nonzero.default"}
COPYING = {"aten.copy_.default": 1, "aten._to_copy.default": 0}  # and which argument it copies
INDEXING = {"aten.index.Tensor", "aten.index_put_.default", "aten._index_put_impl_.default"}

Operator = Callable[..., Any]
Network = TypeVar("Network", bound=nn.Module)


class Far(Tensor):
    """A tensor on the other device, with the one on the CPU that holds its values."""

    near: Tensor
    __torch_function__: ClassVar[Any] = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, near: Tensor) -> "Far":
        far: Far = Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), dtype=near.dtype, device=ELSEWHERE
        )
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, *call: Any) -> Any:  # which torch asks for
        raise AssertionError("tensors elsewhere are computed with only in a block of `elsewhere`")


class Device(TorchDispatchMode):  # type: ignore[no-untyped-call]  # as torch leaves it
    """What runs operators, and counts them, and how often the program waited for one."""

    operators = 0
    waits = 0

    def __torch_dispatch__(self, operator: Operator, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = str(operator), dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        are_far = [isinstance(tensor, Far) for tensor in tensors]
        to = kwargs.get("device")
        if to is not None:
            kwargs["device"] = "cpu"
        elif any(are_far) and name not in INDEXING | COPYING.keys():
            assert all(far or tensor.dim() == 0 for far, tensor in zip(are_far, tensors, strict=True)), name
        is_far = any(are_far) if to is None else torch.device(to) == ELSEWHERE
        if name == "aten.copy_.default":
            is_far = are_far[0]
        self.operators += 1
        self.waits += _waits(name, args, is_far)
        known = {id(tensor.near): tensor for tensor in tensors if isinstance(tensor, Far)}

        def wrap(result: Any) -> Any:
            if id(result) in known:
                return known[id(result)]
            return Far(result) if is_far and isinstance(result, Tensor) else result

        return tree_map(wrap, operator(*tree_map(_unwrap, args), **tree_map(_unwrap, kwargs)))


class _Making(TorchFunctionMode):
    """Makes tensors of values there, which operators never see, for torch believes that nothing is kept there."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, function: Operator, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.tensor and kwargs.get("device") == ELSEWHERE:
            self.device.waits += 1
            return Far(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        if function is Tensor.__getitem__ and isinstance(args[1], list):
            args = args[0], torch.tensor(args[1], dtype=torch.int64)
        return function(*args, **kwargs)


def _waits(name: str, args: Any, is_far: bool) -> bool:
    if name in COPYING:
        return isinstance(args[COPYING[name]], Far) != is_far
    if name in INDEXING and isinstance(args[0], Far):
        indices = [index for index in args[1] if index is not None]
        return any(not isinstance(index, Far) or index.dtype == torch.bool for index in indices)
    return name in READING and isinstance(args[0], Far)


def _unwrap(value: Any) -> Any:
    return value.near if isinstance(value, Far) else value


@contextmanager
def elsewhere() -> Iterator[Device]:
    """Let tensors be on the other device for the length of the block."""
    device = Device()  # type: ignore[no-untyped-call]
    with _Making(device), device:
        yield device


def move(network: Network) -> Network:
    """Move a network's weights to the other device, in place, and give it."""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            module._parameters[name] = None if parameter is None else nn.Parameter(Far(parameter.detach()))
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else Far(buffer)
    return network
