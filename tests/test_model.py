"""The network is the tutorial's."""

import math
import platform
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mnistcli.errors import CheckpointError, MnistCliError
from mnistcli.model import LeNet, build_model, computes_bf16, pick_device, pick_precision, within_memory


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


def test_the_fastest_device_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    "instructions", [{}, {"avx512_f": True, "avx2": True}, {"avx512_bf16": True}, {"amx_bf16": True}]
)
def test_bfloat16_is_taken_by_itself_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, instructions: dict[str, bool]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    has_it = any("bf16" in name for name in instructions)
    assert pick_precision("auto", torch.device("cpu")) == (torch.bfloat16 if has_it else torch.float32)
    assert pick_precision("bf16", torch.device("cpu")) == torch.bfloat16
    assert pick_precision("fp32", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("has_it", [False, True])
def test_a_cuda_device_is_asked_what_it_does_without_emulation(monkeypatch: pytest.MonkeyPatch, has_it: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_it or including_emulation)
    assert computes_bf16(torch.device("cuda")) == has_it


@pytest.mark.skipif(platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(), reason="asks Linux on x86")
@pytest.mark.skipif(not hasattr(torch.cpu, "get_capabilities"), reason="this torch does not tell")
def test_what_torch_knows_of_this_processor_is_what_the_system_knows() -> None:
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    assert computes_bf16(torch.device("cpu")) == bool({"avx512_bf16", "amx_bf16"} & flags)


@pytest.mark.parametrize(
    "message",
    [
        "std::bad_alloc",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_a_lack_of_memory_is_known_whoever_tells_of_it(message: str) -> None:
    with pytest.raises(MnistCliError, match=r"^too little memory for so many images"), within_memory():
        raise RuntimeError(message)


def test_an_unknown_network_or_argument_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"'resnet'; known: lenet, strided, unpadded, allconv$"):
        build_model("resnet")
    with pytest.raises(CheckpointError, match="'lenet' does not take"):
        build_model("lenet", width=2)
