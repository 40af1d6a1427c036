"""The networks, tensors in, logits out, and the devices and the arithmetic they run on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.config import Device, ModelName, Precision
from mnistcli.errors import CheckpointError, ConfigError, MnistCliError
from mnistcli.kernels import Conv2d, conv_pool_relu, max_pool_relu

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


class Classifier(nn.Module):
    """What makes features of images, and logits of features."""

    @property
    def last(self) -> nn.Linear:
        """Give the layer that makes logits of features."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """Give (B, F) features for (B, 1, 28, 28) float32 images, normalised."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, 10) logits for (B, 1, 28, 28) float32 images, normalised."""
        logits: Tensor = self.last(self.features(x))
        return logits


class LeNet(Classifier):
    """The tutorial's LeNet: 44,426 parameters.

    Two convolutions and three linear layers as in LeNet-5 (LeCun et al., "Gradient-based learning applied to
    document recognition", 1998), with max pooling and ReLU in the places of its trained subsampling and tanh.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 6, kernel_size=5)
        self.conv2 = Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    @property
    def last(self) -> nn.Linear:
        """Give the last of the linear layers."""
        return self.fc3

    def features(self, x: Tensor) -> Tensor:
        """Give (B, 84) features for (B, 1, 28, 28) float32 images, normalised."""
        x = conv_pool_relu(x, self.conv1)  # (B, 6, 12, 12)
        x = max_pool_relu(self.conv2(x))  # (B, 16, 4, 4)
        x = x.flatten(1)  # (B, 256)
        x = F.relu(self.fc1(x))  # (B, 120)
        return F.relu(self.fc2(x))  # (B, 84)


class _Sequence(Classifier):
    """Layers one after another, the last of which is linear."""

    layers: nn.Sequential

    @property
    def last(self) -> nn.Linear:
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    def features(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x)
        return x


class Strided(_Sequence):
    """A 7x7 convolution that moves by 3 pixels, a 3x3 one and two linear layers: 79,930 parameters.

    The stride takes the place of pooling (Springenberg et al., "Striving for simplicity: the all convolutional net",
    2015) and leaves 64 places of 784, which makes it the fastest of the networks; batch normalisation (Ioffe and
    Szegedy, 2015) lets it learn in few steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(1, 16, kernel_size=7, stride=3),  # (B, 16, 8, 8)
            *_conv(16, 32, kernel_size=3),  # (B, 32, 6, 6)
            nn.Flatten(),  # (B, 1152)
            nn.Linear(1152, 64),  # (B, 64)
            nn.ReLU(),
            nn.Linear(64, 10),  # (B, 10)
        )


class AllConv(_Sequence):
    """Seven convolutions, strided in place of pooling, and the mean over places: 454,890 parameters.

    An all convolutional net (Springenberg et al., 2015) with batch normalisation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(1, 32, kernel_size=5, stride=2, padding=2),  # (B, 32, 14, 14)
            *_conv(32, 64, kernel_size=3, padding=1),  # (B, 64, 14, 14)
            *_conv(64, 64, kernel_size=3, padding=1),  # (B, 64, 14, 14)
            *_conv(64, 96, kernel_size=3, stride=2, padding=1),  # (B, 96, 7, 7)
            *_conv(96, 96, kernel_size=3, padding=1),  # (B, 96, 7, 7)
            *_conv(96, 128, kernel_size=3, stride=2, padding=1),  # (B, 128, 4, 4)
            *_conv(128, 128, kernel_size=3, padding=1),  # (B, 128, 4, 4)
            nn.AdaptiveAvgPool2d(1),  # (B, 128, 1, 1)
            nn.Flatten(),  # (B, 128)
            nn.Linear(128, 10),  # (B, 10)
        )
        self.to(memory_format=torch.channels_last)  # faster with many channels


class Unpadded(_Sequence):
    """Six convolutions without padding, the first of them strided, and the mean over places: 482,474 parameters.

    Each takes a border off, so that the image becomes 2 x 2 with little more than half of `AllConv`'s multiplications.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(1, 32, kernel_size=5, stride=2),  # (B, 32, 12, 12)
            *_conv(32, 64, kernel_size=3),  # (B, 64, 10, 10)
            *_conv(64, 96, kernel_size=3),  # (B, 96, 8, 8)
            *_conv(96, 128, kernel_size=3),  # (B, 128, 6, 6)
            *_conv(128, 128, kernel_size=3),  # (B, 128, 4, 4)
            *_conv(128, 128, kernel_size=3),  # (B, 128, 2, 2)
            nn.AdaptiveAvgPool2d(1),  # (B, 128, 1, 1)
            nn.Flatten(),  # (B, 128)
            nn.Linear(128, 10),  # (B, 10)
        )
        self.to(memory_format=torch.channels_last)  # faster with many channels


def _conv(inputs: int, outputs: int, kernel_size: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    """Make a convolution with what follows it; its bias would vanish in the normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


MODELS: dict[ModelName, type[Classifier]] = {
    "lenet": LeNet,
    "strided": Strided,
    "unpadded": Unpadded,
    "allconv": AllConv,
}


def build_model(name: str, /, **arguments: Any) -> Classifier:
    """Make the network that a checkpoint names, with fresh weights.

    Raises:
        CheckpointError: there is no network of that name, or it does not take these arguments.
    """
    try:
        return MODELS[name](**arguments)  # type: ignore[index]  # any name may come out of a file
    except KeyError:
        raise CheckpointError(f"no network is called {name!r}; known: {', '.join(MODELS)}") from None
    except TypeError as error:
        raise CheckpointError(f"network {name!r} does not take the arguments {arguments}: {error}") from None


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
