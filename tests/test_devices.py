"""The fastest device and arithmetic are taken, and a lack of memory is known for one."""

import platform
from pathlib import Path

import pytest
import torch

from mnistcli.devices import computes_bf16, pick_device, pick_precision, within_memory
from mnistcli.errors import MnistCliError


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
