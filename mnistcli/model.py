"""The networks, tensors in, logits out, and the devices they run on."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.config import Device
from mnistcli.errors import CheckpointError, ConfigError
from mnistcli.pooling import max_pool_relu


class LeNet(nn.Module):
    """The tutorial's LeNet: 44,426 parameters.

    Two convolutions and three linear layers as in LeNet-5 (LeCun et al., "Gradient-based learning applied to
    document recognition", 1998), with max pooling and ReLU in the places of its trained subsampling and tanh.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, 10) float32 logits for (B, 1, 28, 28) float32 images, normalised."""
        x = max_pool_relu(self.conv1(x))  # (B, 6, 12, 12)
        x = max_pool_relu(self.conv2(x))  # (B, 16, 4, 4)
        x = x.flatten(1)  # (B, 256)
        x = F.relu(self.fc1(x))  # (B, 120)
        x = F.relu(self.fc2(x))  # (B, 84)
        logits: Tensor = self.fc3(x)  # (B, 10)
        return logits


MODELS: dict[str, type[nn.Module]] = {"lenet": LeNet}


def build_model(name: str, arguments: dict[str, Any]) -> nn.Module:
    """Make the network that a checkpoint names, with fresh weights.

    Raises:
        CheckpointError: there is no network of that name, or it does not take these arguments.
    """
    try:
        return MODELS[name](**arguments)
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
        raise ConfigError(f"--device {name}: torch finds no such device here; use --device auto")
    return torch.device(name)
