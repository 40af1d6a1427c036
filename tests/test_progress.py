"""What a run shows without a terminal: a line per epoch, and a sign of life now and then."""

import io
import re
import time

import pytest
import torch
from rich.console import Console

from mnistcli import progress
from mnistcli.crowd import WaitingMeter
from mnistcli.loop import EpochDone, StepDone, ValStepDone
from mnistcli.progress import TrainingView, epoch_line
from mnistcli.run import Started


def shown(heartbeat_seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", heartbeat_seconds)
    written = io.StringIO()
    with TrainingView(Console(file=written, width=200), bars=False) as view:
        view.show(
            Started(train_size=30, val_size=0, device="cpu", epochs=1, epoch=0, step=0, images=0, is_finished=False)
        )
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


def test_what_makes_training_slow_is_told_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    event = Started(30, val_size=0, device="cpu", epochs=1, epoch=0, step=0, images=0, is_bf16=True, advice="see `lr`")
    with TrainingView(Console(file=written, width=200), bars=False) as view:
        view.show(event)
    assert written.getvalue().splitlines() == ["training on 30 images, on cpu in bf16", "warning: see --lr"]


def test_between_heartbeats_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(shown(30.0, monkeypatch)) == 2


def told_of_cores(share: float, threads: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(progress, "CROWD_SECONDS", 0.0)
    monkeypatch.setattr(WaitingMeter, "share_waited", lambda _: share)
    written = io.StringIO()
    with TrainingView(Console(file=written, width=200), bars=False) as view:
        view.show(Started(4000, val_size=0, device="cpu", epochs=1, epoch=0, step=0, images=0, threads=threads))
        for number in range(1, 4):
            view.show(step(1, number))
    return written.getvalue().splitlines()[1:]


def test_threads_that_wait_for_cores_are_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_of_cores(0.8, 2, monkeypatch) == [
        "warning: 2 threads waited 80% of their time for busy cores; stop, and continue with --threads 1"
    ]
    assert told_of_cores(0.8, 1, monkeypatch) == []  # there is nothing to do about it
    assert told_of_cores(0.2, 2, monkeypatch) == []


def test_an_epochs_line_fits_80_columns() -> None:
    done = EpochDone(10, 10, 0.1234, 0.9999, 120.5, 128_000.0, val_loss=0.1234, val_accuracy=0.9999)
    assert len(epoch_line(done)) <= 80


def bars(written: io.StringIO, width: int = 100) -> TrainingView:
    """Draw bars as on a terminal of so many columns."""
    return TrainingView(Console(file=written, width=width, force_terminal=True, color_system=None), bars=True)


def step(epoch: int, number: int) -> StepDone:
    """Take a step of 100 images, of 40 an epoch."""
    return StepDone(epoch, number, 40, 100 * number, torch.tensor(50.0 * number), torch.tensor(80 * number))


def test_the_bar_of_a_second_epoch_is_not_finished_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    with bars(io.StringIO()) as view:
        view.show(
            Started(train_size=4000, val_size=0, device="cpu", epochs=2, epoch=0, step=0, images=0, is_finished=False)
        )
        for number in range(1, 41):
            view.show(step(1, number))
        view.show(EpochDone(1, 2, loss=2.0, accuracy=0.4, seconds=1.0, images_per_second=30.0))
        view.show(step(2, 1))
        assert view.progress is not None
        epochs, batches = view.progress.tasks
        assert (batches.completed, batches.total, batches.finished_time) == (1, 40, None)
        assert (epochs.completed, epochs.total) == (1 + 1 / 40, 2)


@pytest.mark.parametrize(("width", "has_bar", "has_rate"), [(80, True, True), (60, True, False), (50, False, False)])
def test_a_narrow_terminal_has_no_room_for_the_rate_nor_for_bars(
    monkeypatch: pytest.MonkeyPatch, width: int, has_bar: bool, has_rate: bool
) -> None:
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    written = io.StringIO()
    with bars(written, width) as view:
        view.show(
            Started(train_size=4000, val_size=0, device="cpu", epochs=2, epoch=0, step=0, images=0, is_finished=False)
        )
        view.show(step(1, 20))
    *_, line = (line for line in re.split("[\r\n]", written.getvalue()) if "batches" in line)
    assert re.search(r"batches +20/40 .*loss \d\.\d{4}  acc 80\.0%.* [\d:-]{5}", line)
    assert ("\u2501" in line, "img/s" in line, "\u2026" in line) == (has_bar, has_rate, False)


def test_a_validation_has_a_bar_of_its_own_and_the_next_epoch_has_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    written = io.StringIO()
    with bars(written) as view:
        view.show(
            Started(train_size=4000, val_size=80, device="cpu", epochs=2, epoch=0, step=0, images=0, is_finished=False)
        )
        view.show(step(1, 40))
        for number in (1, 2, 3):
            view.show(ValStepDone(1, number, 3))
        assert view.progress is not None
        _, lower = view.progress.tasks
        assert (lower.description, lower.completed, lower.total) == ("validation", 3, 3)
        view.show(EpochDone(1, 2, loss=2.0, accuracy=0.4, seconds=1.0, images_per_second=30.0))
        view.show(step(2, 1))
        assert (lower.description, lower.completed, lower.total) == ("batches", 1, 40)
    assert "validation 2/3" in written.getvalue()
    assert "validation 0/40" not in written.getvalue()
    assert "batches    0/3" not in written.getvalue()


def test_a_long_validation_is_told_without_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.0)
    written = io.StringIO()
    with TrainingView(Console(file=written, width=100), bars=False) as view:
        view.show(ValStepDone(3, 12, 80))
    assert written.getvalue() == "epoch 3  validation step 12/80\n"


def test_a_resumed_epochs_pace_counts_its_own_images_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    written = io.StringIO()
    with bars(written) as view:
        view.show(
            Started(
                train_size=4000, val_size=0, device="cpu", epochs=1, epoch=0, step=35, images=3500, is_finished=False
            )
        )
        for number in range(36, 40):
            time.sleep(0.02)
            view.show(step(1, number))
    paces = [int(pace.replace(",", "")) for pace in re.findall(r"([\d,]+) img/s", written.getvalue())]
    assert len(paces) >= 4
    assert max(paces) <= 100 / 0.02  # 100 images a step, and a step no faster than the sleep
