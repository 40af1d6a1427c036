"""The network is the tutorial's."""

import math

import pytest
import torch
import torch.nn.functional as F

from mnistcli.errors import CheckpointError
from mnistcli.model import LeNet, build_model


def test_lenet_has_the_tutorials_size() -> None:
    assert sum(parameter.numel() for parameter in LeNet().parameters()) == 44_426


@pytest.mark.parametrize(
    ("name", "size"), [("lenet", 44_426), ("strided", 79_930), ("allconv", 454_890), ("unpadded", 482_474)]
)
def test_each_network_has_the_size_that_it_tells_and_guesses_at_first(name: str, size: int) -> None:
    torch.manual_seed(0)
    net = build_model(name)
    assert sum(parameter.numel() for parameter in net.parameters()) == size
    assert f"{size:,} parameters" in (type(net).__doc__ or "")
    logits = net(torch.randn(64, 1, 28, 28))
    assert logits.shape == (64, 10)
    assert abs(F.cross_entropy(logits, torch.randint(10, (64,))).item() - math.log(10)) < 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lenet_is_the_plain_network_forward_and_backward(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = LeNet().to(dtype)
    images = torch.randn(8, 1, 28, 28, dtype=dtype)

    def tutorial(x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(F.conv2d(x, net.conv1.weight, net.conv1.bias)), 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, net.conv2.weight, net.conv2.bias)), 2).flatten(1)
        logits: torch.Tensor = net.fc3(F.relu(net.fc2(F.relu(net.fc1(x)))))
        return logits

    ours, theirs = net(images), tutorial(images)
    torch.testing.assert_close(ours, theirs)
    parameters = list(net.parameters())
    for mine, plain in zip(
        torch.autograd.grad(ours.square().sum(), parameters),
        torch.autograd.grad(theirs.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(mine, plain)


def test_an_untrained_network_guesses() -> None:
    torch.manual_seed(0)
    loss = F.cross_entropy(LeNet()(torch.randn(256, 1, 28, 28)), torch.randint(10, (256,)))
    assert abs(loss.item() - math.log(10)) < 0.05


def test_an_unknown_network_or_argument_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"'resnet'; known: lenet, strided, unpadded, allconv$"):
        build_model("resnet")
    with pytest.raises(CheckpointError, match="'lenet' does not take"):
        build_model("lenet", width=2)
