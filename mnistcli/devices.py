"""The devices that networks run on, their arithmetic, their threads and their memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from mnistcli.config import Device, Precision
from mnistcli.errors import ConfigError, MnistCliError

# What there is too little memory for, and what to do.
BATCH_USE = "for so many images at a time; try a smaller `batch_size`"

# What is said where a CPU, MPS, or a CUDA device that others have filled has no memory left: torch has no exception of
# its own for that.
NO_MEMORY = (
    "DefaultCPUAllocator",
    "std::bad_alloc",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",  # by cuBLAS, cuDNN and others
)


def pick_device(name: Device) -> torch.device:
    """Give the device of that name; `auto` is the fastest one there is.

    Raises:
        ConfigError: this machine, or this build of torch, has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        raise ConfigError(f"`device` {name}: torch finds no such device here; use `device` auto")
    return torch.device(name)


def pick_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Give the type to compute in, float32 or bfloat16; `auto` is bfloat16 on a device that has instructions for it."""
    is_bf16 = computes_bf16(device) if name == "auto" else name == "bf16"
    return torch.bfloat16 if is_bf16 else torch.float32


def computes_bf16(device: torch.device) -> bool:
    """Tell whether a CUDA device, or an x86 processor by torch 2.11 or newer, has instructions for bfloat16.

    Of others it is not known. Without instructions bfloat16 can be slower than float32 by far, as on processors with
    AVX2 alone, where torch has no fast kernels for it.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Older versions have no public function for it.
        capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


@contextmanager
def in_threads(threads: int) -> Iterator[None]:
    """Let the CPU compute in this number of threads for the length of the block; 0 leaves the choice to torch."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads:
            torch.set_num_threads(before)


@contextmanager
def same_convolutions() -> Iterator[None]:
    """Let a GPU compute the same convolution the same way each time, to the bit, for the length of the block."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


@contextmanager
def within_memory(use: str = BATCH_USE) -> Iterator[None]:
    """Turn a lack of memory within the block into an error that says what there is too little for, and what to do.

    Args:
        use: how the message goes on: what there is too little for, and what to do.

    Raises:
        MnistCliError: there is too little.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise MnistCliError(f"too little memory {use}") from error


def lacks_memory(error: Exception) -> bool:
    """Tell whether an error, of Python's or of torch's, is that no memory is left."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in NO_MEMORY)
