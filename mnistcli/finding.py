"""Finding the digits in many pictures at once, in threads or in processes of their own; none of them needs torch."""

import io
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import NamedTuple, Self

import cv2

from mnistcli.errors import ImageError, MnistCliError
from mnistcli.images import Picture, read_picture
from mnistcli.ink import Invert
from mnistcli.layout import find_digit, find_digits
from mnistcli.touching import Run

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(8, CORES)  # Pillow and OpenCV let others run meanwhile, Python between their calls does not
WITHOUT_PROCESSES = "try 0 of them: --processes 0"
PICTURES_A_TASK = 16  # what is sent to a process at a time: few enough that the last ones are soon done


class Seen(NamedTuple):
    """A picture whose digits were found, but not read yet."""

    rows: list[list[Run]]
    are_several: bool  # beside the one that was looked for, there seem to be others
    picture: Picture | None


Finder = Callable[[Picture, Invert], tuple[list[list[Run]], bool]]  # the digits, and whether there may be several


def find_one(picture: Picture, invert: Invert) -> tuple[list[list[Run]], bool]:
    """Find the digit of a picture of one."""
    run, are_several = find_digit(picture, invert)
    return ([[run]] if run else []), are_several


def find_all(picture: Picture, invert: Invert) -> tuple[list[list[Run]], bool]:
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

    def see_all(self, contents: Sequence[Path | bytes]) -> list[Seen | ImageError]:
        """Do so with several, in order."""
        return [self.see(content) for content in contents]


def _open(content: Path | bytes) -> Picture:
    if isinstance(content, bytes):
        if not content:
            raise ImageError("standard input is closed or empty")
        return read_picture(io.BytesIO(content), "standard input")
    if os.path.isdir(content):  # noqa: PTH112  # a path that cannot even be asked about is no folder
        raise ImageError(f"no pictures in {content}")
    return read_picture(content)


class Finders:
    """Threads, or processes, that search several pictures at once; who leaves the block early waits for no thread."""

    def __init__(self, search: Search, processes: int) -> None:
        self.search = search
        self._at_once = PICTURES_A_TASK if processes else 1
        self._pool: Executor = (
            _start_processes(processes) if processes else ThreadPoolExecutor(THREADS, thread_name_prefix="finder")
        )
        self._opencv_threads = cv2.getNumThreads()

    def begin(self, contents: Sequence[Path | bytes]) -> Callable[[], list[Seen | ImageError]]:
        """Begin to search some pictures; what is given back waits for the results, which are in order."""
        tasks = [contents[first : first + self._at_once] for first in range(0, len(contents), self._at_once)]
        with _named_failures():
            results = [self._pool.submit(self.search.see_all, task) for task in tasks]
        return lambda: _collect(results)

    def __enter__(self) -> Self:
        cv2.setNumThreads(1)  # several pictures at once keep the cores busy; several threads for one get in their way
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The interpreter would wait for processes as well, but some that end with it leave a traceback (Python 3.11).
        is_waiting = kind is None or isinstance(self._pool, ProcessPoolExecutor)
        self._pool.shutdown(wait=is_waiting, cancel_futures=True)
        cv2.setNumThreads(self._opencv_threads)


def _collect(results: Sequence[Future[list[Seen | ImageError]]]) -> list[Seen | ImageError]:
    with _named_failures():
        return [seen for result in results for seen in result.result()]


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise MnistCliError(f"a process that looked for digits ended early; {WITHOUT_PROCESSES}") from None


def _start_processes(count: int) -> ProcessPoolExecutor:
    """Start processes that share the memory of one that has loaded what they need, where the system can do so."""
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    if has_server:
        context.set_forkserver_preload([__name__])
    try:
        return ProcessPoolExecutor(count, context, _begin_process)
    except (ImportError, NotImplementedError, OSError) as error:
        raise MnistCliError(f"cannot start processes that look for digits: {error}; {WITHOUT_PROCESSES}") from None


def _begin_process() -> None:
    """Leave Ctrl-C to the parent, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
