"""A training run from start to checkpoint, told event by event; continued or stopped, it stays the same run."""

import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from mnistcli.average import refresh_statistics
from mnistcli.bundled import find_checkpoint
from mnistcli.checkpoint import Checkpoint, load
from mnistcli.config import PLACES, TrainConfig
from mnistcli.data import Normalization, Samples, hold_out, load_split
from mnistcli.devices import (
    BATCH_USE,
    computes_bf16,
    in_threads,
    pick_device,
    pick_precision,
    same_convolutions,
    within_memory,
)
from mnistcli.errors import ConfigError, DivergedError, MnistCliError
from mnistcli.files import link_target
from mnistcli.loop import EpochDone, StepDone, TrainState, ValStepDone, check_finite, fit, is_finished, start
from mnistcli.model import build_model
from mnistcli.ranks import Ranks, are_many
from mnistcli.saving import check_savable, save

CHANCE_ACCURACY = 0.2  # twice what guessing gives; below it nothing worth the name was learned
FEW_STEPS = 100  # no network learns much in fewer
AGREEMENT_STEPS = 10  # several ranks ask each other whether to stop, which makes them wait, only so often
CONTINUED_USE = "to continue this run; end other programs, or choose another `device`"  # its `batch_size` has to stay
USUAL_LR = {"sgd": 0.1, "adamw": 0.001}  # the middle of what trains small networks
USUAL_WITHIN = 2.0  # a rate within this factor of the usual one is hardly to blame


class Started(NamedTuple):
    """Training is about to begin, or to go on."""

    train_size: int
    val_size: int
    device: str
    epochs: int  # in total
    epoch: int  # finished before
    step: int  # taken before, in the epoch after those
    images: int  # trained on before, in that epoch
    is_finished: bool = False  # there is nothing left to do
    is_bf16: bool = False  # else in float32
    advice: str | None = None  # where something makes training slow without need
    threads: int = 1  # that compute together, where the CPU does


class BackedUp(NamedTuple):
    """The output file held other training, or something else; it was kept under another name."""

    output: Path
    backup: Path
    is_shared: bool = False  # another run has written the file since this one did


class Stopped(NamedTuple):
    """Training was asked to stop; the checkpoint continues it exactly where it stood."""

    checkpoint: Path
    epoch: int  # finished epochs
    step: int  # steps taken in the epoch after those


class Finished(NamedTuple):
    """All epochs are done and saved, or as many as brought something within the run's patience."""

    checkpoint: Path
    data_dir: Path
    history: Sequence[EpochDone]
    best_epoch: int | None  # with validation
    is_early: bool  # before all epochs, for want of a better one
    advice: str | None  # where the result is no better than guessing, the likely cause


TrainEvent = Started | StepDone | ValStepDone | EpochDone | BackedUp | Stopped | Finished


def complete_config(config: TrainConfig, resume: str | Path | None) -> tuple[TrainConfig, Checkpoint | None]:
    """Complete a configuration by the checkpoint whose run it continues, if any, and check that its keys go together.

    Raises:
        ConfigError: `config` is none, its keys do not go together, or it would make it another run.
        CheckpointError: `resume` cannot be read, or holds weights alone.
    """
    if not isinstance(config, TrainConfig):
        raise ConfigError(f"`config` is {config!r}; it must be a TrainConfig, such as TrainConfig.from_recipe('fast')")
    checkpoint = None
    if resume is not None:
        checkpoint = load(find_checkpoint(resume))
        checkpoint.optimizer_state()  # without which it cannot be continued
        begun_epochs = checkpoint.epoch + (checkpoint.partial["step"] > 0)
        config = config.continuing(checkpoint.train_config(), Path(resume), begun_epochs)
    config.check_together()
    return config, checkpoint


def open_run(config: TrainConfig, resume: str | Path | None) -> tuple[TrainConfig, Checkpoint | None]:
    """Complete a configuration as `complete_config` does, and check all but the data.

    Folders that the output needs are made.

    Raises:
        ConfigError: `config` would make it another run, or names a device that is not here.
        CheckpointError: `resume` cannot be read.
        MnistCliError: the output cannot be written.
    """
    config, checkpoint = complete_config(config, resume)
    if not _is_settled(config, checkpoint):
        check_savable(config.output, checkpoint.path if checkpoint else None)
    pick_device(config.device)
    return config, checkpoint


def _is_settled(config: TrainConfig, checkpoint: Checkpoint | None) -> bool:
    """Tell whether the checkpoint has all epochs already and lies where it is wanted."""
    if checkpoint is None or checkpoint.path is None:
        return False
    if not is_finished(config, checkpoint.epoch, checkpoint.partial["step"], checkpoint.best_epoch):
        return False
    try:
        return link_target(checkpoint.path) == link_target(config.output)
    except OSError:  # nor can it be written there, as `check_savable` tells
        return False


def never() -> bool:
    """Ask for no stop."""
    return False


def train_events(
    config: TrainConfig | None = None,
    *,
    resume: str | Path | None = None,
    should_stop: Callable[[], bool] = never,
) -> Iterator[TrainEvent]:
    """Train as `mnistcli.train` does, and tell each thing as it happens; Ctrl-C is left to the caller.

    From the first event to the last, the number of torch's threads and cuDNN's way to convolve are the run's, in all of
    the process: go through one run after the other.

    Args:
        config: what to train and how; the classic tutorial's run if None.
        resume: a checkpoint whose run is continued; keys that `config` does not set are the run's own.
        should_stop: asked after every step, of training and of validation, and every epoch, by several ranks after
            every tenth step; once true, the run is saved as it stands, and ends.

    Yields:
        Started; StepDone, ValStepDone and EpochDone as in `fit`; BackedUp where something else was in the output's
        place; at the end Finished or Stopped.

    Raises:
        MnistCliError: as in `mnistcli.train`; not when this is called, but when the first event is asked for.
    """
    if are_many():
        raise ConfigError("torchrun started several processes: call mnistcli.train, which lets them work together")
    config, checkpoint = open_run(config or TrainConfig(), resume)
    yield from opened_run_events(config, checkpoint, should_stop, Ranks(pick_device(config.device)))


def opened_run_events(
    config: TrainConfig, checkpoint: Checkpoint | None, should_stop: Callable[[], bool], ranks: Ranks
) -> Iterator[TrainEvent]:
    """Train what `open_run` gave, with the processes that `joined` gave; all else is as in `train_events`."""
    use = CONTINUED_USE if checkpoint else BATCH_USE
    with in_threads(config.threads), same_convolutions(), within_memory(use):
        yield from _events(config, checkpoint, should_stop, ranks)


def _events(
    config: TrainConfig, checkpoint: Checkpoint | None, should_stop: Callable[[], bool], ranks: Ranks
) -> Iterator[TrainEvent]:
    run, train, val = _begin(config, checkpoint, ranks)
    state = run.state
    yield Started(
        train_size=len(train),
        val_size=len(val) if val else 0,
        device=str(train.images.device),
        epochs=config.epochs,
        epoch=state.epoch,
        step=state.step,
        images=min(state.step * config.batch_size, len(train)),
        is_finished=is_finished(config, state.epoch, state.step, state.best_epoch),
        is_bf16=pick_precision(config.precision, train.images.device) == torch.bfloat16,
        advice=None if checkpoint else _advice_on_precision(config, train.images.device),
        threads=torch.get_num_threads() if train.images.device.type == "cpu" else 1,
    )
    try:
        for event in fit(state, train, val, run.normalization, config, ranks):
            if isinstance(event, EpochDone):  # saved first, so that whoever hears of it can rely on it
                yield from run.save()
            yield event
            is_asked = ranks.size == 1 or isinstance(event, EpochDone) or event.step % AGREEMENT_STEPS == 0
            if (
                is_asked
                and ranks.any(should_stop())
                and not is_finished(config, state.epoch, state.step, state.best_epoch)
            ):
                yield from _stop(run, train)
                return
    except DivergedError as error:
        raise DivergedError(f"{error}; {run.what_is_kept()}") from None
    if run.saved_epoch is None and not _is_settled(config, checkpoint):  # trained already, and wanted in another place
        yield from run.save()
    steps = len(state.history) * math.ceil(len(train) / config.batch_size)
    yield Finished(
        config.output,
        config.data_dir,
        state.history,
        state.best_epoch,
        is_early=state.epoch < config.epochs,
        advice=_advice(config, state.history, steps),
    )


def _stop(run: "_Run", train: Samples) -> Iterator[TrainEvent]:
    """Save a run as it stands, with an average that is fit for use, and tell that it stopped.

    Its calibration stays that of the last finished epoch: learning another would keep who stops it waiting.
    """
    state = run.state
    if state.average is not None:
        refresh_statistics(state.average, train, run.normalization, run.config.outliers)
    check_finite(state)
    yield from run.save()
    yield Stopped(run.config.output, state.epoch, state.step)


@dataclass
class _Run:
    """A run under way, and how it is saved."""

    run_id: str
    config: TrainConfig
    state: TrainState
    normalization: Normalization
    train_checksum: int
    is_saver: bool  # one of all ranks
    continued: Path | None  # the checkpoint that it goes on from
    saved_epoch: int | None = None  # the last one that was saved since it was begun or continued

    def save(self) -> Iterator[BackedUp]:
        if self.is_saver:
            snapshot = Checkpoint.of(self.run_id, self.state, self.normalization, self.config, self.train_checksum)
            try:
                backup = save(snapshot, self.config.output)
            except MnistCliError as error:
                go_on = "" if self.saved_epoch is None else ", from which `resume` goes on"
                raise MnistCliError(f"{error}; {self.what_is_kept()}{go_on}") from None
            if backup:  # and if this run has saved here before, another one must have written the file since
                yield BackedUp(self.config.output, backup, is_shared=self.saved_epoch is not None)
        self.saved_epoch = self.state.epoch

    def what_is_kept(self) -> str:
        """Tell, where a run ends early, what files there are of it."""
        if self.saved_epoch is not None:
            return f"{self.config.output} holds epoch {self.saved_epoch}"
        return f"{self.continued} is as it was" if self.continued else "nothing was saved"


def _begin(config: TrainConfig, checkpoint: Checkpoint | None, ranks: Ranks) -> tuple[_Run, Samples, Samples | None]:
    """Load the data, and put a new run at its start or a continued one where it stood."""
    samples = load_split(config.data_dir, "train")
    checksum = samples.checksum()
    train, val = hold_out(samples, config.val_size, config.seed)
    state = _initial_state(config, ranks.device, len(train))
    if checkpoint is None:
        run_id, normalization = uuid.uuid4().hex, Normalization()
    else:
        checkpoint.restore(state, checksum)
        run_id, normalization = checkpoint.run_id, checkpoint.pixel_normalization()
    continued = checkpoint.path if checkpoint else None
    run = _Run(run_id, config, state, normalization, checksum, is_saver=ranks.rank == 0, continued=continued)
    recipe = f"{config.model_dump_json(exclude=set(PLACES))} {pick_precision(config.precision, ranks.device)}"
    if not ranks.agree(f"{recipe} {checksum} {state.epoch} {state.step} {checkpoint and checkpoint.run_id}"):
        raise ConfigError("the processes of this run differ in data, configuration, precision or in what they continue")
    return run, train.to(ranks.device), val.to(ranks.device) if val else None


def _initial_state(config: TrainConfig, device: torch.device, train_size: int) -> TrainState:
    # The seed decides the weights without touching the generator that the caller's own program draws from.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = build_model(config.model)
    return start(config, model.to(device), train_size)


def _advice_on_precision(config: TrainConfig, device: torch.device) -> str | None:
    if config.precision != "bf16" or computes_bf16(device):
        return None
    return (
        f"`precision` bf16 is probably slow here: {device} is not known to have instructions for it; try fp32 or auto"
    )


def _advice(config: TrainConfig, history: Sequence[EpochDone], steps: int) -> str | None:
    last, epochs = history[-1], len(history)
    accuracy = last.accuracy if last.val_accuracy is None else last.val_accuracy
    if accuracy >= CHANCE_ACCURACY:
        return None
    finding = f"an accuracy of {accuracy:.1%} is hardly better than guessing: "
    if steps < FEW_STEPS:
        return f"{finding}the run has too few steps, {steps}; try more `epochs` or a smaller `batch_size`"
    # Momentum adds up past gradients: in the long run a step is 1 / (1 - momentum) times as long.
    usual = USUAL_LR[config.optimizer] * (1 - config.momentum)
    if max(config.lr / usual, usual / config.lr) < USUAL_WITHIN:
        return f"{finding}the learning rate {config.lr:g} is usual; try more `epochs`, or another `seed`"
    is_high = config.lr > usual
    cause = "too high" if is_high else f"too low for {epochs} epoch{'s' * (epochs > 1)}"
    return (
        f"{finding}the learning rate {config.lr:g} is probably {cause}; try `lr` {usual / 10 if is_high else usual:g}"
    )
