"""Passes that are replayed as CUDA graphs, where there is a CUDA device."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from conftest import MakeConfig
from mnistcli import train
from mnistcli.checkpoint import load
from mnistcli.graphs import WARMUP_CALLS, Captured, _Graph

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA and TEST_CUDA")


def test_a_replayed_pass_is_the_pass_itself() -> None:
    device = torch.device("cuda")
    network, calls = nn.Linear(784, 10, device=device), []

    def forward_backward(images: Tensor, labels: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        calls.append(len(images))
        logits = network(images.flatten(1))
        loss = F.cross_entropy(logits, labels)
        (loss * weight).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return loss.detach(), (logits.argmax(1) == labels).sum()

    captured = Captured(forward_backward, network.parameters())
    for size in [8] * (WARMUP_CALLS + 3) + [5] + [8]:
        images, labels = torch.rand(size, 1, 28, 28, device=device), torch.randint(10, (size,), device=device)
        results = []
        for do in (captured, forward_backward):
            loss, correct = (result.clone() for result in do(images, labels, 0.5))
            results.append([loss, correct, *(parameter.grad for parameter in network.parameters())])
            for parameter in network.parameters():
                parameter.grad = None
        for mine, theirs in zip(*results, strict=True):
            assert mine is not None
            assert torch.equal(mine, theirs)
    assert calls.count(8) == WARMUP_CALLS + 4 + WARMUP_CALLS + 1  # the plain ones, and of the others one that captures
    assert calls.count(5) == 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_with_graphs_is_the_run_without(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    # In the fourth epoch the short last batch is captured, too.
    keys = {"model": "unpadded", "epochs": 4, "device": "cuda", "optimizer": "adamw", "lr": 0.003, "ema_decay": 0.99}
    config = make_config(**keys, precision=precision)
    captured: list[Captured] = []
    capture = Captured.capture

    def note(self: Captured, images: Tensor, labels: Tensor, weight: float) -> _Graph:
        captured.append(self)
        return capture(self, images, labels, weight)

    monkeypatch.setattr(Captured, "capture", note)
    with_graphs = load(train(config).checkpoint)
    assert len(captured) == 2
    monkeypatch.setattr("mnistcli.graphs.WARMUP_CALLS", 1000)
    without = load(train(config).checkpoint)
    assert len(captured) == 2
    for mine, theirs in zip(with_graphs.weights.values(), without.weights.values(), strict=True):
        assert torch.equal(mine, theirs)
    assert with_graphs.average is not None
    assert without.average is not None
    for mine, theirs in zip(with_graphs.average.values(), without.average.values(), strict=True):
        assert torch.equal(mine, theirs)
