"""Reading people's pictures: files in, answers out, in order, with reading and computing at the same time."""

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch

from mnistcli.api import Network, open_network
from mnistcli.checkpoint import Weights
from mnistcli.config import MIN_CONFIDENCE, Device
from mnistcli.errors import ImageError
from mnistcli.glyphs import Grey
from mnistcli.images import Glyph, Picture, find_digit, read_picture
from mnistcli.ink import Invert
from mnistcli.inputs import STANDARD_INPUT, find_pictures

PICTURES_AT_ONCE = 256
READERS = 4  # threads that read pictures: Pillow and OpenCV let others run while they work

_T = TypeVar("_T")
_R = TypeVar("_R")


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
        images: picture files, of any format that Pillow reads; folders, patterns, and `-` for standard input are what
            `find_pictures` takes them for.
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
    network = open_network(checkpoint, weights, device)
    return _predictions(network, find_pictures(images), invert, min_confidence, tta)


def _predictions(
    network: Network, paths: Iterator[Path], invert: Invert, min_confidence: float, tta: bool
) -> Iterator[Prediction]:
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as readers:

        def read(group: Sequence[Path]) -> list[Future[Glyph | ImageError | None]]:
            return [readers.submit(_find_or_error, path, invert) for path in group]

        groups = iter(lambda: list(islice(paths, PICTURES_AT_ONCE)), [])
        for group, reading in _one_ahead(groups, read):
            found = [future.result() for future in reading]
            glyphs = [glyph for glyph in found if isinstance(glyph, Glyph)]
            answers = iter(_probabilities(network, [glyph.image for glyph in glyphs], tta=tta))
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
        return find_digit(_open(path), invert)
    except ImageError as error:
        return error


def _open(path: Path) -> Picture:
    if str(path) == STANDARD_INPUT:
        return read_picture(io.BytesIO(sys.stdin.buffer.read()), "standard input")
    if path.is_dir():
        raise ImageError(f"no pictures in {path}")
    return read_picture(path)


def _probabilities(network: Network, images: Sequence[Grey], *, tta: bool) -> list[tuple[float, ...]]:
    """Give those of the digits 0..9 for each of some (28, 28) images."""
    if not images:
        return []
    # MPS has no float64, so probabilities are taken on the CPU.
    logits = network.logits(torch.from_numpy(np.stack(images))[:, None], tta=tta).double()
    return [tuple(row) for row in (logits / network.temperature).softmax(1).tolist()]
