"""Finding the digits in many pictures at once, without torch."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2

from mnistcli.errors import ImageError
from mnistcli.images import Glyph, Picture, read_picture
from mnistcli.ink import Invert
from mnistcli.layout import find_digit, find_digits

THREADS = min(8, os.cpu_count() or 1)  # Pillow and OpenCV let others run meanwhile, Python between their calls does not


class Seen(NamedTuple):
    """A picture whose digits were found, but not read yet."""

    rows: list[list[Glyph]]
    are_several: bool  # beside the one that was looked for, there seem to be others
    picture: Picture | None


Finder = Callable[[Picture, Invert], tuple[list[list[Glyph]], bool]]  # the digits, and whether there may be several


def find_one(picture: Picture, invert: Invert) -> tuple[list[list[Glyph]], bool]:
    """Find the digit of a picture of one."""
    glyph, are_several = find_digit(picture, invert)
    return ([[glyph]] if glyph else []), are_several


def find_all(picture: Picture, invert: Invert) -> tuple[list[list[Glyph]], bool]:
    """Find all digits of a picture."""
    return find_digits(picture, invert), False


@dataclass(frozen=True)
class Search:
    """What is looked for in every picture."""

    find: Finder
    invert: Invert
    keep_pictures: bool

    def see(self, content: Path | bytes) -> Seen | ImageError:
        """Read a picture, from a file or as it came from standard input, and find its digits."""
        try:
            picture = _open(content)
        except ImageError as error:
            return error
        return Seen(*self.find(picture, self.invert), picture if self.keep_pictures else None)


def _open(content: Path | bytes) -> Picture:
    if isinstance(content, bytes):
        if not content:
            raise ImageError("standard input is closed or empty")
        return read_picture(io.BytesIO(content), "standard input")
    if os.path.isdir(content):  # noqa: PTH112  # a path that cannot even be asked about is no folder
        raise ImageError(f"no pictures in {content}")
    return read_picture(content)


class Finders:
    """Threads that search several pictures at once; whoever leaves the block does not wait for them."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="finder")
        self._opencv_threads = cv2.getNumThreads()

    def begin(self, contents: Sequence[Path | bytes]) -> list[Future[Seen | ImageError]]:
        """Begin to search some pictures; the results are in order."""
        return [self._pool.submit(self.search.see, content) for content in contents]

    def __enter__(self) -> Self:
        cv2.setNumThreads(1)  # several pictures at once keep the cores busy; several threads for one get in their way
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        cv2.setNumThreads(self._opencv_threads)
