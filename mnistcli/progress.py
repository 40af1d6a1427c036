"""What a training run shows while it goes: bars on a terminal, a plain line now and then anywhere else.

This, `report` and `screen` are the modules that know rich.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnistcli.config import spell_options
from mnistcli.crowd import WaitingMeter
from mnistcli.loop import EpochDone, StepDone, ValStepDone
from mnistcli.run import BackedUp, Started, TrainEvent
from mnistcli.screen import counted, printable

REDRAW_SECONDS = 0.1
HEARTBEAT_SECONDS = 30.0
OTHER_COLUMNS_WIDTH = 64  # what is beside the bar, and two more for the ^C that a terminal echoes
RATE_WIDTH = 15  # of those, what the images per second take; where there is no room for both, they go before the bar
LEAST_BAR, MOST_BAR = 5, 40
CROWD_SECONDS = 3.0  # between looks at how long threads wait for a core, until a warning was given
# Two threads that wait for each other compute only while both have a core: if each lacks one for 0.3 of the time, they
# compute for about half of it, and one thread alone gets as much done.
CROWDED_SHARE = 0.3
SMOOTHING = 0.3  # weight of the newest loss shown, at ten a second


class TrainingView:
    """Show the events of a training run as they come.

    Args:
        console: where to; standard error, for the answer goes to standard output.
        bars: draw bars, for which the console must be a terminal; else write a line per epoch, and one every 30 s.
    """

    def __init__(self, console: Console, *, bars: bool) -> None:
        self.console = console
        self.progress = _progress(console) if bars else None
        self.pace = _Pace()
        self.looked = time.monotonic()
        self.steps: int | None = None  # of an epoch, once one was taken
        self.threads = 1
        self.waiting: WaitingMeter | None = None  # None where one thread computes, or a warning was given

    def __enter__(self) -> Self:
        if self.progress:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.progress:
            self.progress.stop()

    def show(self, event: TrainEvent) -> None:
        """Show one event."""
        match event:
            case StepDone():
                self._step(event)
            case ValStepDone():
                self._val_step(event)
            case Started():
                self._start(event)
            case EpochDone():
                self.pace = _Pace()
                self._begin_bar("batches", self.steps)
                self.console.print(epoch_line(event))
            case BackedUp(output, backup, is_shared):
                self.console.print(printable(f"the old {output} is kept as {backup}"))
                if is_shared:
                    self.console.print("warning: another run writes the same file; give each its own --output")

    def _start(self, event: Started) -> None:
        self.pace = _Pace(event.images)
        self.threads, self.waiting = event.threads, WaitingMeter() if event.threads > 1 else None
        if event.is_finished:
            self.console.print(f"nothing to do: {counted(event.epoch, 'epoch')} finished already")
            return
        held_out = f", {event.val_size:,} held out to validate" if event.val_size else ""
        where = f"on {event.device}{' in bf16' if event.is_bf16 else ''}"
        self.console.print(f"training on {counted(event.train_size, 'image')}{held_out}, {where}")
        if event.advice:
            self.console.print(f"warning: {spell_options(event.advice)}")
        if event.epoch or event.step:
            within = f" and {counted(event.step, 'step')}" if event.step else ""
            self.console.print(f"continuing after {event.epoch} of {counted(event.epochs, 'epoch')}{within}")
        if self.progress:
            self.progress.add_task("epochs", total=event.epochs, completed=event.epoch, figures="")
            self.progress.add_task("batches", total=None, figures="")

    def _step(self, event: StepDone) -> None:
        # Looking at the sums makes an accelerator wait, and drawing costs milliseconds: both only now and then.
        self.steps = event.steps
        now = time.monotonic()
        if self.waiting and now - self.waiting.looked > CROWD_SECONDS:
            self._look_at(self.waiting)
        is_last = event.step == event.steps
        if not self._is_due(now) and not is_last:
            return
        self.looked = now
        if self.progress:
            epochs, batches = self.progress.task_ids
            self.progress.update(epochs, completed=event.epoch - 1 + event.step / event.steps)
            figures = self.pace.figures(event, now, has_rate=_has_room_for_rate(self.console))
            self.progress.update(batches, total=event.steps, completed=event.step, figures=figures)
            self.progress.refresh()
        elif not is_last:
            figures = self.pace.figures(event, now, has_rate=True)
            self.console.print(f"epoch {event.epoch}  step {event.step:,}/{event.steps:,}  {figures}")

    def _val_step(self, event: ValStepDone) -> None:
        if event.step == 1:
            self._begin_bar("validation", event.steps)
        now = time.monotonic()
        if not self._is_due(now):
            return
        self.looked = now
        if self.progress:
            self.progress.update(self.progress.task_ids[1], completed=event.step)
            self.progress.refresh()
        else:
            self.console.print(f"epoch {event.epoch}  validation step {event.step:,}/{event.steps:,}")

    def _is_due(self, now: float) -> bool:
        """Tell whether it is time for something new to look at."""
        return now - self.looked >= (REDRAW_SECONDS if self.progress else HEARTBEAT_SECONDS)

    def _begin_bar(self, description: str, total: int | None) -> None:
        """Begin the lower bar anew: one that was full once no longer tells the time left."""
        if self.progress:
            self.progress.reset(self.progress.task_ids[1], description=description, total=total, figures="")

    def _look_at(self, waiting: WaitingMeter) -> None:
        """Warn, once, if threads that compute together lose much of their time waiting for cores."""
        share = waiting.share_waited()
        if share > CROWDED_SHARE:
            self.waiting = None
            self.console.print(
                f"warning: {self.threads} threads waited {share:.0%} of their time for busy cores; "
                "stop, and continue with --threads 1"
            )


class _Pace:
    """The figures of the epoch under way: loss smoothed over recent looks, accuracy, images per second."""

    def __init__(self, images_before: int = 0) -> None:
        self.started = time.monotonic()
        self.images_before = images_before
        self.images = 0
        self.loss_sum = 0.0
        self.smoothed: float | None = None

    def figures(self, event: StepDone, now: float, *, has_rate: bool) -> str:
        loss_sum = float(event.loss_sum)
        if event.images > self.images:
            recent = (loss_sum - self.loss_sum) / (event.images - self.images)
            self.smoothed = recent if self.smoothed is None else self.smoothed + SMOOTHING * (recent - self.smoothed)
        self.images, self.loss_sum = event.images, loss_sum
        accuracy = int(event.correct) / event.images
        rate = (event.images - self.images_before) / max(now - self.started, 1e-9)
        return f"loss {self.smoothed:.4f}  acc {accuracy:.1%}" + (f"  {rate:,.0f} img/s" if has_rate else "")


def _has_room_for_rate(console: Console) -> bool:
    return console.width >= OTHER_COLUMNS_WIDTH + LEAST_BAR


def _progress(console: Console) -> Progress:
    others = OTHER_COLUMNS_WIDTH if _has_room_for_rate(console) else OTHER_COLUMNS_WIDTH - RATE_WIDTH
    bar_width = min(console.width - others, MOST_BAR)
    return Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        *([BarColumn(bar_width)] if bar_width >= LEAST_BAR else []),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=console,
        auto_refresh=False,  # a drawing thread would take its time from the training one
        transient=True,
    )


def epoch_line(done: EpochDone) -> str:
    """Sum up an epoch in a line, for 80 columns."""
    validation = "" if done.val_loss is None else f"  val {done.val_loss:.4f} {done.val_accuracy:.2%}"
    return (
        f"epoch {done.epoch}/{done.epochs}  loss {done.loss:.4f}  acc {done.accuracy:.2%}{validation}"
        f"  {done.seconds:.1f} s  {done.images_per_second:,.0f} img/s"
    )
