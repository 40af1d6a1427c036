"""Reading people's pictures: files in, answers out, in order; some are searched while the network reads others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from mnistcli.config import MIN_CONFIDENCE, Device, Invert, Weights, check_range
from mnistcli.errors import ImageError
from mnistcli.finding import PictureGroups, Search, Searched
from mnistcli.images import Glyph, Picture
from mnistcli.inputs import find_pictures
from mnistcli.layout import Found, find_digits
from mnistcli.single import find_digit
from mnistcli.touching import Run

if TYPE_CHECKING:
    from mnistcli.network import Network

Answer = TypeVar("Answer")
Status = Literal["ok", "unsure", "blank", "error"]

ROUNDING = 1e-12  # probabilities that should sum to 1 may fall short of it by this much


@dataclass(frozen=True)
class Prediction:
    """What the network says of one picture, or why it could not be asked."""

    path: str
    probabilities: tuple[float, ...] = ()  # of 0..9, the rest of 1 that of no digit; empty where there is no glyph
    glyph: Glyph | None = None  # what the network saw, and where in the picture
    min_confidence: float = 0.0  # below it, no digit is named
    error: str | None = None
    is_one_of_several: bool = False  # the picture seems to hold other digits beside this one
    picture: Picture | None = None  # as it was read, where that was asked for

    def __repr__(self) -> str:
        """Give what it amounts to, in a line."""
        return _in_a_line(self, digit=self.digit, confidence=self.confidence)

    @property
    def status(self) -> Status:
        """Tell whether there is an answer, and if not, why."""
        if self.error:
            return "error"
        if not self.probabilities:
            return "blank"
        is_no_digit = self.glyph is not None and self.glyph.is_no_digit
        return "unsure" if is_no_digit or max(self.probabilities) < self.min_confidence else "ok"

    @property
    def digit(self) -> int | None:
        """Give the most probable digit, 0..9; None unless the status is `ok`; a blot or a dash is `unsure`."""
        return max(range(10), key=self.probabilities.__getitem__) if self.status == "ok" else None

    @property
    def text(self) -> str:
        """Give the digit, or a question mark."""
        return "?" if self.digit is None else str(self.digit)

    @property
    def digits(self) -> tuple["Prediction", ...]:
        """Give this, if there was a digit to ask about: what a reading of several digits gives of each."""
        return (self,) if self.glyph else ()

    @property
    def confidence(self) -> float | None:
        """Give the most probable digit's probability, 0..1, sure or not; None where no network was asked."""
        return max(self.probabilities, default=None)

    @property
    def no_digit_probability(self) -> float | None:
        """Give the probability that this is no digit, 0..1: 0 where the network knows of no such thing.

        None where no network was asked.
        """
        if not self.probabilities:
            return None
        rest = 1 - sum(self.probabilities)
        return rest if rest > ROUNDING else 0.0

    def top(self, count: int) -> list[tuple[int, float]]:
        """Give the most probable digits with their probabilities, in falling order."""
        ranked = sorted(enumerate(self.probabilities), key=lambda candidate: -candidate[1])
        return ranked[:count]

    def ranked(self) -> list[tuple[str, float]]:
        """Give all ten digits, by name, with their probabilities, in falling order.

        Among them is no digit, as a question mark, where the network knows of it; without a network there are none.
        """
        shares = [(str(digit), share) for digit, share in enumerate(self.probabilities)]
        rest = [("?", self.no_digit_probability)] if self.no_digit_probability else []
        return sorted([*shares, *rest], key=lambda named: -named[1])


@dataclass(frozen=True)
class MultiPrediction:
    """What the network says of all digits in one picture, or why it could not be asked."""

    path: str
    rows: tuple[tuple[Prediction, ...], ...] = ()  # from top to bottom, each from left to right
    error: str | None = None
    picture: Picture | None = None
    has_more: bool = False  # others as high as digits were left: of more than 2,500 marks, the 500 largest are read

    def __repr__(self) -> str:
        """Give what it amounts to, in a line."""
        return _in_a_line(self, text=self.text, confidence=self.confidence)

    @property
    def digits(self) -> tuple[Prediction, ...]:
        """Give all digits in reading order."""
        return tuple(digit for row in self.rows for digit in row)

    @property
    def lines(self) -> tuple[str, ...]:
        """Give each row's digits, with a question mark for each that the network is not sure of."""
        return tuple("".join(digit.text for digit in row) for row in self.rows)

    @property
    def text(self) -> str:
        """Give all rows, joined without a separator."""
        return "".join(self.lines)

    @property
    def status(self) -> Status:
        """Tell whether all digits were read, and are sure."""
        if self.error:
            return "error"
        if not self.rows:
            return "blank"
        return "unsure" if self.has_more or any(digit.status != "ok" for digit in self.digits) else "ok"

    @property
    def confidence(self) -> float | None:
        """Give the confidence of the least sure digit, 0..1; None where there is no digit."""
        return min((digit.confidence or 0 for digit in self.digits), default=None)


def _in_a_line(answer: Prediction | MultiPrediction, **said: str | float | None) -> str:
    content = {"path": answer.path, "status": answer.status, **({"error": answer.error} if answer.error else said)}
    return f"{type(answer).__name__}({', '.join(f'{name}={value!r}' for name, value in content.items())})"


def predict(
    images: str | Path | Iterable[str | Path],
    *,
    checkpoint: str | Path | None = None,
    invert: Invert = "auto",
    min_confidence: float = MIN_CONFIDENCE,
    tta: bool = False,
    device: Device = "auto",
    weights: Weights = "last",
    keep_pictures: bool = False,
    processes: int | None = 0,
) -> Iterator[Prediction]:
    """Read pictures of one digit each, in order, some hundreds at a time, or as many as are found within a second.

    Args:
        images: paths of picture files, of any format that Pillow reads by itself, or a single one; a folder stands for
            all pictures in it and in its folders, a pattern, such as `digits/*.png`, for the files that match it, and
            `-` for standard input.
        checkpoint: the network to ask, as in `evaluate`.
        invert: whether the digits are darker than their paper; auto judges each by the picture.
        min_confidence: below this probability no digit is named, 0..1.
        tta: whether to look at each digit seven times: as it is, shifted to each side, and turned either way.
        device: where to compute.
        weights: those after the last step, averaged where the run keeps an average, or the best epoch's.
        keep_pictures: whether predictions have the picture; fewer are then read at a time.
        processes: how many to find the digits in, which is faster than in threads where there are thousands of
            pictures; 0 for threads, None for one a core from 1,000 pictures on. They take the first pictures at once,
            and end with the iterator. A script that asks for them must begin with `if __name__ == "__main__":`, as the
            documentation of `multiprocessing` tells.

    Returns:
        An iterator over a prediction for each picture; one that cannot be read has an `error`, and the others go on.

    Raises:
        CheckpointError: the checkpoint cannot be read, holds no best epoch where that is asked for, or answers no
            finite numbers.
        ConfigError: the device is missing, an argument is none of its choices, or a picture is not given by its path.
        MnistCliError: processes cannot be started, or there is too little memory; or, while answers are asked for, one
            of the processes ended early.
    """
    search = Search(find_digit, invert, keep_pictures)
    which = _Which(checkpoint, weights, device)
    return _read_all(images, search, processes, which, min_confidence, tta=tta, answer=_single)


def predict_multi(
    images: str | Path | Iterable[str | Path],
    *,
    checkpoint: str | Path | None = None,
    invert: Invert = "auto",
    min_confidence: float = MIN_CONFIDENCE,
    tta: bool = False,
    device: Device = "auto",
    weights: Weights = "last",
    keep_pictures: bool = False,
    processes: int | None = 0,
) -> Iterator[MultiPrediction]:
    """Read pictures of several digits each: numbers, columns of numbers. Arguments and errors are those of `predict`.

    A prediction has the `text`, the `lines` that it is made of, and the `rows` of digits, each a `Prediction`. Of more
    than 2,500 marks in a picture only the 500 largest are read; where others are as high as digits, it is
    `unsure`, and `has_more`.
    """
    search = Search(find_digits, invert, keep_pictures)
    which = _Which(checkpoint, weights, device)
    return _read_all(images, search, processes, which, min_confidence, tta=tta, answer=_multi)


class _Which(NamedTuple):
    """Which network to ask, and where to compute, as `open_network` takes it."""

    checkpoint: str | Path | None
    weights: Weights
    device: Device


class _Place(NamedTuple):
    """What the network says of one run of ink."""

    whole: Prediction  # of all of it as one digit
    digits: list[Prediction]  # from left to right, where it takes it for several that touch; else only the whole


class _Read(NamedTuple):
    """What was found in a picture, and what the network says of it."""

    path: str
    found: Found
    rows: Sequence[Sequence[_Place]] = ()  # as many as were found
    picture: Picture | None = None
    error: str | None = None


def _single(read: _Read) -> Prediction:
    if not read.rows:
        return Prediction(read.path, error=read.error, picture=read.picture)
    [[place]] = read.rows
    are_several = read.found.are_several or len(place.digits) > 1
    return replace(place.whole, is_one_of_several=are_several, picture=read.picture)


def _multi(read: _Read) -> MultiPrediction:
    rows = tuple(tuple(digit for place in row for digit in place.digits) for row in read.rows)
    return MultiPrediction(read.path, rows, read.error, read.picture, read.found.has_more)


@dataclass(frozen=True)
class _Reader:
    """Asks a network about digits that were found."""

    network: "Network"
    min_confidence: float
    tta: bool

    def read(self, groups: PictureGroups, answer: Callable[[_Read], Answer]) -> Iterator[Answer]:
        """Give what the network says of each picture, in order, each as `answer` makes it.

        Whoever closes this iterator ends the search as well.
        """
        # Where processes need the other cores, several threads would wait for each other.
        threads = 1 if groups.processes else None
        with closing(iter(groups)) as found:  # or Python 3.12 keeps it open while whoever closed this one keeps it
            for paths, pictures in found:
                searched = [picture for picture in pictures if isinstance(picture, Searched)]
                runs = [run for picture in searched for row in picture.found.rows for run in row]
                images = [image for run in runs for image in run.images]
                answers = iter(self.network.probabilities(images, tta=self.tta, threads=threads))
                for path, picture in zip(map(str, paths), pictures, strict=True):
                    yield answer(self._read_one(path, picture, answers))

    def _read_one(self, path: str, picture: Searched | ImageError, answers: Iterator[tuple[float, ...]]) -> _Read:
        """Take the answers to a picture's pieces."""
        if isinstance(picture, ImageError):
            return _Read(path, Found([]), error=str(picture))
        rows = [[self._place(path, run, answers) for run in row] for row in picture.found.rows]
        return _Read(path, picture.found, rows, picture.picture)

    def _place(self, path: str, run: Run, answers: Iterator[tuple[float, ...]]) -> _Place:
        """Take the answers to a run's pieces, and tell which of them are its digits."""
        pieces = [Prediction(path, next(answers), glyph, self.min_confidence) for glyph in run.pieces.values()]
        surest = run.surest(max(piece.probabilities) for piece in pieces)
        return _Place(pieces[0], [pieces[place] for place in surest])


def _read_all(
    images: str | Path | Iterable[str | Path],
    search: Search,
    processes: int | None,
    which: _Which,
    min_confidence: float,
    *,
    tta: bool,
    answer: Callable[[_Read], Answer],
) -> Iterator[Answer]:
    check_range("min_confidence", min_confidence, 0, 1)
    groups = PictureGroups(find_pictures(images), search, processes)
    # Opened here and not in the generator, which would tell of a bad checkpoint only when first asked; and only now,
    # for torch takes two seconds to import, in which processes find the first digits.
    try:
        from mnistcli.network import open_network

        network = open_network(*which)
    except BaseException:
        groups.stop()
        raise
    return _Reader(network, min_confidence, tta).read(groups, answer)
