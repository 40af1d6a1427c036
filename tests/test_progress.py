"""What a run shows without a terminal: a line per epoch, and a sign of life now and then."""

import io

import pytest
import torch
from rich.console import Console

from mnistcli import progress
from mnistcli.loop import EpochDone, StepDone
from mnistcli.progress import TrainingView, epoch_line
from mnistcli.run import Started


def shown(heartbeat_seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", heartbeat_seconds)
    written = io.StringIO()
    with TrainingView(Console(file=written, width=200), bars=False) as view:
        view.show(Started(train_size=30, val_size=0, device="cpu", epochs=1, epoch=0, step=0))
        for step in (1, 2, 3):
            view.show(StepDone(1, step, 3, 10 * step, torch.tensor(20.0 * step), torch.tensor(4 * step)))
        view.show(EpochDone(1, 1, loss=2.0, accuracy=0.4, seconds=1.0, images_per_second=30.0))
    return written.getvalue().splitlines()


def test_a_heartbeat_shows_the_loss_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    start, first, second, epoch = shown(0.0, monkeypatch)
    assert start == "training on 30 images, on cpu"
    assert first.startswith("epoch 1  step 1/3  loss 2.0000  acc 40.0%  ")
    assert second.startswith("epoch 1  step 2/3  loss 2.0000  acc 40.0%  ")
    assert epoch == "epoch 1/1  loss 2.0000  acc 40.00%  1.0 s  30 img/s"


def test_between_heartbeats_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(shown(30.0, monkeypatch)) == 2


def test_an_epochs_line_fits_80_columns() -> None:
    done = EpochDone(10, 10, 0.1234, 0.9999, 120.5, 128_000.0, val_loss=0.1234, val_accuracy=0.9999)
    assert len(epoch_line(done)) <= 80
