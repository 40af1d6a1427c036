"""A training run from start to checkpoint, told event by event; continued or stopped, it stays the same run."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from mnistcli.checkpoint import Checkpoint, load, save
from mnistcli.config import TrainConfig
from mnistcli.data import Normalization, hold_out, load_split
from mnistcli.download import raw_folder
from mnistcli.errors import DivergedError
from mnistcli.files import check_writable
from mnistcli.loop import EpochDone, StepDone, TrainState, check_finite, fit, start
from mnistcli.model import build_model, pick_device

MODEL = "lenet"

CHANCE_ACCURACY = 0.2  # twice what guessing gives; below it nothing worth the name was learned
USUAL_LR = {"sgd": 0.1, "adamw": 0.001}  # within a factor of ten, what trains small networks


class Started(NamedTuple):
    """Training is about to begin, or to go on."""

    train_size: int
    val_size: int
    device: str
    epochs: int  # in total
    epoch: int  # finished before
    step: int  # taken before, in the epoch after those


class BackedUp(NamedTuple):
    """The output file held another run; it was kept under another name."""

    output: Path
    backup: Path


class Stopped(NamedTuple):
    """Training was asked to stop; the checkpoint continues it exactly where it stood."""

    checkpoint: Path
    epoch: int  # finished epochs
    step: int  # steps taken in the epoch after those


class Finished(NamedTuple):
    """All epochs are done and saved."""

    checkpoint: Path
    history: Sequence[EpochDone]
    advice: str | None  # where the result is no better than guessing, the likely cause


TrainEvent = Started | StepDone | EpochDone | BackedUp | Stopped | Finished


def open_run(config: TrainConfig, resume: Path | None) -> tuple[TrainConfig, Checkpoint | None]:
    """Complete a configuration by the checkpoint whose run it continues, if any.

    Raises:
        ConfigError: `config` would make it another run.
        CheckpointError: `resume` cannot be read.
    """
    if resume is None:
        return config, None
    checkpoint = load(resume)
    return config.continuing(checkpoint.train_config(), resume), checkpoint


def train_events(
    config: TrainConfig, checkpoint: Checkpoint | None = None, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[TrainEvent]:
    """Train as `api.train` does, and tell each thing as it happens.

    Args:
        config: what to train and how, as `open_run` gives it.
        checkpoint: the run to continue, as `open_run` gives it.
        should_stop: asked after every step; once true, the run is saved as it stands, and ends.

    Yields:
        Started; StepDone and EpochDone as in `fit`; BackedUp at most once; at the end Finished or Stopped.

    Raises:
        MnistCliError: as in `api.train`.
    """
    check_writable(config.output)
    device = pick_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    train, val = hold_out(load_split(raw_folder(config.data_dir), "train"), config.val_size, config.seed)
    state = _initial_state(config, device, len(train))
    if checkpoint:
        checkpoint.restore(state)
    run = _Run(checkpoint.run_id if checkpoint else uuid.uuid4().hex, config, state, Normalization())

    val_size = len(val) if val else 0
    yield Started(len(train), val_size, str(device), config.epochs, state.epoch, state.step)
    events = fit(
        state,
        train.to(device),
        val.to(device) if val else None,
        run.normalization,
        epochs=config.epochs,
        batch_size=config.batch_size,
    )
    try:
        for event in events:
            if isinstance(event, EpochDone):  # saved first, so that whoever hears of it can rely on it
                yield from run.save()
            yield event
            if should_stop() and state.epoch < config.epochs:
                check_finite(state)
                yield from run.save()
                yield Stopped(config.output, state.epoch, state.step)
                return
    except DivergedError as error:
        kept = f"{config.output} holds epoch {state.epoch}" if state.epoch else "nothing was saved"
        raise DivergedError(f"{error}; {kept}") from None
    if not config.output.exists():  # nothing was left to train, and the result is wanted in another place
        yield from run.save()
    yield Finished(config.output, state.history, _advice(config, state.history[-1]))


@dataclass(frozen=True)
class _Run:
    """What names a run while it trains."""

    run_id: str
    config: TrainConfig
    state: TrainState
    normalization: Normalization

    def save(self) -> Iterator[BackedUp]:
        snapshot = Checkpoint.of(self.run_id, MODEL, self.state, self.normalization, self.config)
        backup = save(snapshot, self.config.output)
        if backup:
            yield BackedUp(self.config.output, backup)


def _initial_state(config: TrainConfig, device: torch.device, train_size: int) -> TrainState:
    # The seed decides the weights without touching the generator that the caller's own program draws from.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = build_model(MODEL, {})
    return start(config, model.to(device), train_size)


def _advice(config: TrainConfig, last: EpochDone) -> str | None:
    accuracy = last.accuracy if last.val_accuracy is None else last.val_accuracy
    if accuracy >= CHANCE_ACCURACY:
        return None
    usual = USUAL_LR[config.optimizer]
    # Momentum adds up past gradients: in the long run a step is 1 / (1 - momentum) times as long.
    is_high = config.lr / (1 - config.momentum) > usual
    cause = "too high" if is_high else f"too low for {config.epochs} epoch{'s' * (config.epochs > 1)}"
    return (
        f"an accuracy of {accuracy:.1%} is hardly better than guessing: "
        f"the learning rate {config.lr:g} is probably {cause}; try --lr {usual / 10 if is_high else usual:g}"
    )
