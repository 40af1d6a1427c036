"""What the commands do, as functions: the core modules put together, without printing."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mnistcli.checkpoint import Checkpoint, Weights, load, save
from mnistcli.config import Device, TrainConfig
from mnistcli.data import Normalization, Split, hold_out, load_split
from mnistcli.download import MNIST_FILES, fetch, raw_folder, unsound_files
from mnistcli.errors import ConfigError, DivergedError, ImageError
from mnistcli.files import check_writable
from mnistcli.images import Invert, load_image
from mnistcli.loop import EpochDone, Evaluation, StepDone, TrainState, fit, infer, score, start
from mnistcli.model import build_model
from mnistcli.sources import find_sources

MODEL = "lenet"
PICTURES_AT_ONCE = 64

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


class TrainResult(NamedTuple):
    """What `train` gives back."""

    checkpoint: Path
    history: Sequence[EpochDone]


def pick_device(name: Device) -> torch.device:
    """Give the device of that name; `auto` is the fastest one there is.

    Raises:
        ConfigError: this machine, or this build of torch, has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        raise ConfigError(f"--device {name}: torch finds no such device here; use --device auto")
    return torch.device(name)


def train(config: TrainConfig | None = None, *, resume: str | Path | None = None) -> TrainResult:
    """Train a network on MNIST's training images and save it.

    Args:
        config: what to train and how; the classic tutorial's run if None.
        resume: a checkpoint whose run is continued up to `config.epochs`; keys that `config` does not set are the
            run's own.

    Returns:
        Where the checkpoint lies, and the figures of every epoch.

    Raises:
        ConfigError: the device is missing, the held-out set too large, or `config` would make it another run.
        DataError: the training images are missing or damaged; `download_mnist` gets them.
        CheckpointError: `resume` cannot be read.
        DivergedError: the loss is no longer finite; the checkpoint is the last good epoch's.
        MnistCliError: the checkpoint cannot be written.
    """
    *_, last = train_events(*open_run(config or TrainConfig(), Path(resume) if resume else None))
    assert isinstance(last, Finished)  # only `should_stop` ends it otherwise
    return TrainResult(last.checkpoint, last.history)


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
    """Train as `train` does, and tell each thing as it happens.

    Args:
        config: what to train and how, as `open_run` gives it.
        checkpoint: the run to continue, as `open_run` gives it.
        should_stop: asked after every step; once true, the run is saved as it stands, and ends.

    Yields:
        Started; StepDone and EpochDone as in `fit`; BackedUp at most once; at the end Finished or Stopped.

    Raises:
        MnistCliError: as in `train`.
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
        torch.manual_seed(config.seed)
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


def evaluate(
    checkpoint: str | Path,
    *,
    split: Split = "test",
    data_dir: str | Path = "data",
    batch_size: int = 1000,
    device: Device = "auto",
    weights: Weights = "last",
) -> Evaluation:
    """Score a checkpoint on a split of MNIST.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds no best epoch where that is asked for.
        ConfigError: the device is missing.
        DataError: the split's files are missing or damaged; `download_mnist` gets them.
    """
    saved = load(Path(checkpoint))
    target = pick_device(device)
    samples = load_split(raw_folder(Path(data_dir)), split)
    model = saved.build_model(weights).to(target)
    return score(infer(model, samples.images.to(target), saved.pixel_normalization(), batch_size), samples.labels)


@dataclass(frozen=True)
class Prediction:
    """What the network says of one picture, or why it could not be asked."""

    path: str
    probabilities: tuple[float, ...] = ()  # of the digits 0..9, summing to 1; empty after an error
    error: str | None = None

    @property
    def status(self) -> Literal["ok", "error"]:
        """Tell whether there is an answer."""
        return "error" if self.error else "ok"

    @property
    def digit(self) -> int | None:
        """Give the most probable digit."""
        return None if self.error else self.top(1)[0][0]

    @property
    def confidence(self) -> float | None:
        """Give that digit's probability, 0..1."""
        return None if self.error else self.top(1)[0][1]

    def top(self, count: int) -> list[tuple[int, float]]:
        """Give the most probable digits with their probabilities, in falling order."""
        ranked = sorted(enumerate(self.probabilities), key=lambda candidate: -candidate[1])
        return ranked[:count]


def predict(
    images: Iterable[str | Path],
    *,
    checkpoint: str | Path = "ckpt.pt",
    invert: Invert = "auto",
    device: Device = "auto",
    weights: Weights = "last",
) -> Iterator[Prediction]:
    """Read pictures of one digit each, in order, a few dozen at a time.

    A picture that cannot be read gives a prediction with an `error`, and the others go on.

    Args:
        images: picture files, of any format that Pillow reads.
        checkpoint: the network to ask.
        invert: whether the pictures are dark on light; auto judges each by its border.
        device: where to compute.
        weights: those after the last step, or the best epoch's.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds no best epoch where that is asked for.
        ConfigError: the device is missing.
    """
    saved = load(Path(checkpoint))
    target = pick_device(device)
    model = saved.build_model(weights).to(target)
    paths = iter(images)
    while group := list(islice(paths, PICTURES_AT_ONCE)):
        loaded = [_load_or_error(Path(path), invert) for path in group]
        tensors = [image for image in loaded if isinstance(image, Tensor)]
        answers: Iterator[Tensor] = iter(())
        if tensors:
            answers = iter(infer(model, torch.stack(tensors).to(target), saved.pixel_normalization()))
        for path, image in zip(group, loaded, strict=True):
            if isinstance(image, Tensor):
                yield Prediction(str(path), tuple(next(answers).double().softmax(0).tolist()))
            else:
                yield Prediction(str(path), error=str(image))


def _load_or_error(path: Path, invert: Invert) -> Tensor | ImageError:
    try:
        return load_image(path, invert)
    except ImageError as error:
        return error


def download_mnist(data_dir: str | Path = "data", *, places: Sequence[str] = (), force: bool = False) -> Path:
    """Get the four MNIST files where they are missing, and verify them.

    Args:
        data_dir: the folder for them; torchvision's `root`.
        places: folders, archives, HTTP bases or URLs of archives to try before the public sources.
        force: fetch them although they are there.

    Returns:
        The folder of the raw files.

    Raises:
        DataError: no source gave them, or the folder cannot be written.
    """
    folder = raw_folder(Path(data_dir))
    wanted = MNIST_FILES if force else unsound_files(folder)
    if wanted:
        for _ in fetch(folder, wanted, find_sources(places)):
            pass
    return folder
