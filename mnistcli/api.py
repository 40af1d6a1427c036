"""What the commands do, as functions: the core modules put together, without printing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mnistcli.checkpoint import Weights, find_checkpoint, load
from mnistcli.config import MIN_CONFIDENCE, Device, TrainConfig
from mnistcli.data import Normalization, Split, load_split
from mnistcli.download import MNIST_FILES, fetch, unsound_files
from mnistcli.errors import ImageError
from mnistcli.glyphs import Grey
from mnistcli.idx import raw_folder
from mnistcli.images import Glyph, find_digit, read_picture
from mnistcli.ink import Invert
from mnistcli.loop import EpochDone
from mnistcli.model import pick_device
from mnistcli.ranks import joined
from mnistcli.run import Finished, train_events
from mnistcli.scoring import Evaluation, infer, score
from mnistcli.sources import find_sources

PICTURES_AT_ONCE = 256
READERS = 4  # threads that read pictures: Pillow and OpenCV let others run while they work

_T = TypeVar("_T")
_R = TypeVar("_R")


class TrainResult(NamedTuple):
    """What `train` gives back."""

    checkpoint: Path
    history: Sequence[EpochDone]


def train(config: TrainConfig | None = None, *, resume: str | Path | None = None) -> TrainResult:
    """Train a network on MNIST's training images and save it; under torchrun, together with the other processes.

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
        DivergedError: the loss is no longer finite; the last good epoch, if any, is still in the output or in `resume`.
        MnistCliError: the checkpoint cannot be written.
    """
    config = config or TrainConfig()
    with joined(pick_device(config.device)) as ranks:
        *_, last = train_events(config, resume=resume, ranks=ranks)
    assert isinstance(last, Finished)  # only `should_stop` ends it otherwise
    return TrainResult(last.checkpoint, last.history)


def evaluate(
    checkpoint: str | Path | None = None,
    *,
    split: Split = "test",
    data_dir: str | Path = "data",
    batch_size: int = 1000,
    device: Device = "auto",
    weights: Weights = "last",
    tta: bool = False,
) -> Evaluation:
    """Score a checkpoint on a split of MNIST.

    Args:
        checkpoint: the network to score, a file or `bundled`; None is `ckpt.pt` where that exists, else the bundled.
        split: on which images.
        data_dir: the folder that holds MNIST/raw.
        batch_size: images at a time; it does not change the answers.
        device: where to compute.
        weights: those after the last step, or the best epoch's.
        tta: whether to look at each image seven times, as `infer` describes.

    Returns:
        The counts and the mean loss over all images of the split.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds no best epoch where that is asked for.
        ConfigError: the device is missing.
        DataError: the split's files are missing or damaged; `download_mnist` gets them.
    """
    network = _open_network(checkpoint, weights, device)
    samples = load_split(Path(data_dir), split)
    return score(network.logits(samples.images, batch_size, tta=tta), samples.labels)


@dataclass(frozen=True)
class _Network:
    """A network from a checkpoint, with what it expects of its images."""

    model: nn.Module
    normalization: Normalization
    device: torch.device

    def logits(self, images: Tensor, batch_size: int = 1000, *, tta: bool = False) -> Tensor:
        """Give (N, 10) float32 logits, on the CPU, for (N, 1, 28, 28) uint8 images."""
        return infer(self.model, images.to(self.device), self.normalization, batch_size, tta=tta).cpu()

    def probabilities(self, images: Sequence[Grey], *, tta: bool) -> list[tuple[float, ...]]:
        """Give those of the digits 0..9 for each of some (28, 28) images."""
        if not images:
            return []
        # MPS has no float64, so probabilities are taken on the CPU.
        logits = self.logits(torch.from_numpy(np.stack(images))[:, None], tta=tta).double()
        return [tuple(row) for row in logits.softmax(1).tolist()]


def _open_network(name: str | Path | None, weights: Weights, device: Device) -> _Network:
    checkpoint, target = load(find_checkpoint(name)), pick_device(device)
    return _Network(checkpoint.build_model(weights).to(target), checkpoint.pixel_normalization(), target)


@dataclass(frozen=True)
class Prediction:
    """What the network says of one picture, or why it could not be asked."""

    path: str
    probabilities: tuple[float, ...] = ()  # of the digits 0..9, summing to 1; empty where there is no glyph
    glyph: Glyph | None = None  # what the network saw, and where in the picture
    min_confidence: float = 0.0  # below it, no digit is named
    error: str | None = None

    @property
    def status(self) -> Literal["ok", "unsure", "blank", "error"]:
        """Tell whether there is an answer, and if not, why."""
        if self.error:
            return "error"
        if not self.probabilities:
            return "blank"
        return "ok" if max(self.probabilities) >= self.min_confidence else "unsure"

    @property
    def digit(self) -> int | None:
        """Give the most probable digit, if the network is sure enough of it."""
        return self.top(1)[0][0] if self.status == "ok" else None

    @property
    def confidence(self) -> float | None:
        """Give the most probable digit's probability, 0..1, sure or not."""
        return max(self.probabilities, default=None)

    def top(self, count: int) -> list[tuple[int, float]]:
        """Give the most probable digits with their probabilities, in falling order."""
        ranked = sorted(enumerate(self.probabilities), key=lambda candidate: -candidate[1])
        return ranked[:count]


def predict(
    images: Iterable[str | Path],
    *,
    checkpoint: str | Path | None = None,
    invert: Invert = "auto",
    min_confidence: float = MIN_CONFIDENCE,
    tta: bool = False,
    device: Device = "auto",
    weights: Weights = "last",
) -> Iterator[Prediction]:
    """Read pictures of one digit each, in order, some hundreds at a time.

    Args:
        images: picture files, of any format that Pillow reads.
        checkpoint: the network to ask, as in `evaluate`.
        invert: whether the digits are darker than their paper; auto judges each by the picture.
        min_confidence: below this probability no digit is named, 0..1.
        tta: whether to look at each digit seven times, as `infer` describes.
        device: where to compute.
        weights: those after the last step, or the best epoch's.

    Returns:
        An iterator over a prediction for each picture; one that cannot be read has an `error`, and the others go on.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds no best epoch where that is asked for.
        ConfigError: the device is missing.
    """
    # The network is opened here, for a generator would tell of a bad checkpoint only when it is first asked.
    network = _open_network(checkpoint, weights, device)
    return _predictions(network, iter(images), invert, min_confidence, tta)


def _predictions(
    network: _Network, paths: Iterator[str | Path], invert: Invert, min_confidence: float, tta: bool
) -> Iterator[Prediction]:
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as readers:

        def read(group: Sequence[str | Path]) -> list[Future[Glyph | ImageError | None]]:
            return [readers.submit(_find_or_error, Path(path), invert) for path in group]

        groups = iter(lambda: list(islice(paths, PICTURES_AT_ONCE)), [])
        for group, reading in _one_ahead(groups, read):
            found = [future.result() for future in reading]
            glyphs = [glyph for glyph in found if isinstance(glyph, Glyph)]
            answers = iter(network.probabilities([glyph.image for glyph in glyphs], tta=tta))
            for path, glyph in zip(group, found, strict=True):
                if isinstance(glyph, Glyph):
                    yield Prediction(str(path), next(answers), glyph, min_confidence)
                else:
                    yield Prediction(str(path), error=str(glyph) if glyph else None)


def _one_ahead(groups: Iterator[_T], begin: Callable[[_T], _R]) -> Iterator[tuple[_T, _R]]:
    """Begin with each group while the one before it is still in use, so that reading overlaps the network."""
    before = None
    for group in groups:
        begun = group, begin(group)
        if before:
            yield before
        before = begun
    if before:
        yield before


def _find_or_error(path: Path, invert: Invert) -> Glyph | ImageError | None:
    try:
        return find_digit(read_picture(path), invert)
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
