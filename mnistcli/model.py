"""The networks: tensors in, logits out."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.config import ModelName
from mnistcli.errors import CheckpointError
from mnistcli.kernels import Conv2d, conv_pool_relu, max_pool_relu


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
