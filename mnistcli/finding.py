"""Finding the digits in many pictures at once, in threads or in processes of their own; none of them needs torch."""

import atexit
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2

from mnistcli.config import Invert, check_choice, check_range
from mnistcli.errors import ImageError, MnistCliError
from mnistcli.images import Picture, read_picture
from mnistcli.inputs import STANDARD_INPUT, is_folder, is_pattern, url_of
from mnistcli.interrupt import held_back
from mnistcli.layout import FindDigits, Found

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(8, CORES)  # others run while Pillow and OpenCV work, but none while Python does between their calls
WITHOUT_PROCESSES = "try 0 of them: `processes` 0"
# Pictures in a group, about which the network is asked together; fewer where pictures are kept.
PICTURES_AT_ONCE, KEPT_AT_ONCE = 256, 8
PATIENCE_SECONDS = 1.0  # after which the network is asked about what there is, rather than wait for slow pictures
# More are a mistake, and from some number on, systems have none; Python's pools on Windows have no more than 61.
MOST_PROCESSES = 61 if sys.platform == "win32" else 1000
MANY_PICTURES = 1000  # from as many on, processes pay; in 600 drawings or photographs threads find the digits as soon
# Processes begin with this many groups while torch is still being imported; afterwards one ahead is enough, as it is
# for threads.
GROUPS_AHEAD = 4
PICTURES_A_TASK = 16  # sent to a process at a time: few enough that the last ones are soon done

_unfinished: "weakref.WeakSet[SearchPool]" = weakref.WeakSet()
_over: Connection | None = None  # in a process of a pool, a pipe that is closed once no more results are wanted


class Searched(NamedTuple):
    """A picture whose digits were found, but not read yet."""

    found: Found
    picture: Picture | None  # where it is kept


@dataclass(frozen=True)
class Search:
    """What is looked for in every picture."""

    find: FindDigits
    invert: Invert
    keep_pictures: bool

    def __post_init__(self) -> None:
        check_choice("invert", self.invert, Invert)

    def see(self, content: Path | bytes) -> Searched | ImageError:
        """Read a picture, from a file or as it came from standard input, and find its digits."""
        try:
            picture = _open(content)
            return Searched(self.find(picture, self.invert), picture if self.keep_pictures else None)
        except ImageError as error:
            return error
        except MemoryError:
            name = "standard input" if isinstance(content, bytes) else content
            return ImageError(f"there is too little memory to read {name}")

    def see_all(self, contents: Sequence[Path | bytes]) -> list[Searched | ImageError]:
        """Do so with several, in order; with no more of them once nobody wants to know."""
        return [self.see(content) for content in contents if not _is_over()]


def _open(content: Path | bytes) -> Picture:
    if isinstance(content, bytes):
        if not content:
            raise ImageError("standard input is closed or empty")
        return read_picture(io.BytesIO(content), "standard input")
    if content == Path():
        raise ImageError("the name of a picture is empty")
    if is_folder(content):
        raise ImageError(f"no pictures in {content}")
    if url := url_of(content):
        raise ImageError(f"pictures are not fetched from the web: download {url}, or pipe it in as `-`")
    if is_pattern(content):
        raise ImageError(f"no file matches the pattern {content}")
    return read_picture(content)


class _OneThreadEach:
    """Lets OpenCV compute in one thread while any pool is at work, and afterwards in as many as before.

    Several pictures at once keep the cores busy; several threads for one get in their way.
    """

    def __init__(self) -> None:
        self._lock, self._pools, self._before = threading.Lock(), 0, 0

    def begin(self) -> None:
        with self._lock:
            if self._pools == 0:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._pools += 1

    def end(self) -> None:
        with self._lock:
            self._pools -= 1
            if self._pools == 0:
                cv2.setNumThreads(self._before)


_one_thread_each = _OneThreadEach()


class SearchPool:
    """Threads, or processes, that search several pictures at once; who leaves the block early waits for no thread."""

    def __init__(self, search: Search, processes: int) -> None:
        self.search = search
        self._at_once = PICTURES_A_TASK if processes else 1
        self._over, self._until_over = Pipe(duplex=False)
        self._executor: Executor = (
            _start_processes(processes, self._over)
            if processes
            else ThreadPoolExecutor(THREADS, thread_name_prefix="finder")
        )
        self._asking = threading.current_thread()
        weakref.finalize(self, _stop, self._executor, self._until_over)  # where nobody enters the block
        _unfinished.add(self)

    def begin(self, contents: Sequence[Path | bytes]) -> Iterator[list[Searched | ImageError]]:
        """Begin to search some pictures; what is given back waits for the results, as `_collect` does."""
        tasks = [contents[first : first + self._at_once] for first in range(0, len(contents), self._at_once)]
        with _named_failures(), held_back(), _deaf_to_interrupts():
            results = [self._executor.submit(self.search.see_all, task) for task in tasks]
        return _collect(results)

    def __enter__(self) -> Self:
        self._asking = threading.current_thread()
        _one_thread_each.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._executor.shutdown()
            self.stop()
        finally:
            _one_thread_each.end()

    def stop(self) -> None:
        """Begin with no more pictures, and wait for those that processes are at, one each."""
        _stop(self._executor, self._until_over)

    def is_asked_no_more(self) -> bool:
        """Tell, once the main thread has ended, whether the thread that went through the results ends as well."""
        return self._asking is threading.main_thread() or self._asking.daemon or not self._asking.is_alive()


def _stop(executor: Executor, until_over: Connection) -> None:
    until_over.close()  # which the processes see at the other end
    # The interpreter would wait for processes as well, but some that end with it leave a traceback (Python 3.11).
    executor.shutdown(wait=isinstance(executor, ProcessPoolExecutor), cancel_futures=True)


def _stop_unfinished() -> None:
    for pool in list(_unfinished):
        if pool.is_asked_no_more():
            pool.stop()


# At its end, the interpreter first waits until threads and processes have done all their tasks, and only then calls
# what is registered with atexit. What is registered here is called before it waits.
getattr(threading, "_register_atexit", atexit.register)(_stop_unfinished)


class PictureGroups:
    """Groups of pictures, to be gone through once; one is searched while the network reads the one before it.

    Processes begin at once, and with more than one, so that they lose no time while the network is still loaded; `stop`
    them if nobody is going to ask for what they find.

    Args:
        paths: the pictures; the first ones are taken at once.
        search: what to look for.
        processes: how many to find it in; 0 for threads, None for one a core where there are many pictures.

    Raises:
        ConfigError: there cannot be so many processes.
        MnistCliError: processes cannot be started, or end early.
    """

    def __init__(self, paths: Iterator[Path], search: Search, processes: int | None) -> None:
        check_range("processes", processes or 0, 0, MOST_PROCESSES)
        if processes is None:
            first = list(islice(paths, MANY_PICTURES))
            pays = len(first) == MANY_PICTURES and CORES > 1 and not search.keep_pictures
            processes = min(CORES, MOST_PROCESSES) if pays else 0
            paths = chain(first, paths)
        self.processes = processes
        size = KEPT_AT_ONCE if search.keep_pictures else PICTURES_AT_ONCE
        self._groups: Iterator[list[Path]] = iter(lambda: list(islice(paths, size)), [])
        self._pool = SearchPool(search, processes)
        self._begun: deque[tuple[list[Path], Iterator[list[Searched | ImageError]]]] = deque()
        if processes:
            self._begin(1 if search.keep_pictures else GROUPS_AHEAD, may_wait=False)

    def _begin(self, ahead: int, *, may_wait: bool = True) -> None:
        """Begin with groups until there are so many, or one would wait for standard input."""
        while len(self._begun) < ahead and (group := next(self._groups, None)):
            if Path(STANDARD_INPUT) in group and not may_wait:
                self._groups = chain([group], self._groups)
                return
            self._begun.append((group, self._pool.begin([*map(_content, group)])))

    def __iter__(self) -> Generator[tuple[list[Path], list[Searched | ImageError]], None, None]:
        with self._pool:
            self._begin(1)
            while self._begun:
                group, results = self._begun.popleft()
                self._begin(1)
                paths = iter(group)
                for found in results:
                    yield list(islice(paths, len(found))), found

    def stop(self) -> None:
        """Begin with no more pictures."""
        self._pool.stop()


def _content(path: Path) -> Path | bytes:
    """Read standard input, if it is that: here, for a thread that waits for it would outlive Ctrl-C."""
    if str(path) != STANDARD_INPUT:
        return path
    stream = getattr(sys.stdin, "buffer", None)  # none where it is closed, and in a notebook
    return stream.read() if stream else b""


def _collect(tasks: Sequence[Future[list[Searched | ImageError]]]) -> Iterator[list[Searched | ImageError]]:
    """Give all results in order, together if they come within a second; else what has come by then, and so on."""
    found: list[Searched | ImageError] = []
    until = time.monotonic() + PATIENCE_SECONDS
    for task in tasks:
        if found and not _is_done(task, until):
            yield found
            found, until = [], time.monotonic() + PATIENCE_SECONDS
        with _named_failures():
            found += task.result()
    yield found


def _is_done(task: Future[list[Searched | ImageError]], until: float) -> bool:
    """Wait for a task, but not for long."""
    return task.done() or bool(wait_for([task], max(0.0, until - time.monotonic())).done)


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise MnistCliError(
            f"a process that looked for digits ended early; {WITHOUT_PROCESSES}; "
            'a script that asks for some must begin with `if __name__ == "__main__":`'
        ) from None


def _start_processes(count: int, over: Connection) -> ProcessPoolExecutor:
    """Start processes that share the memory of one that has loaded what they need, where the system can do so."""
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    if has_server:
        context.set_forkserver_preload([__name__])
    try:
        return ProcessPoolExecutor(count, context, _begin_process, (over,))
    except (ImportError, NotImplementedError, OSError) as error:
        raise MnistCliError(f"cannot start processes that look for digits: {error}; {WITHOUT_PROCESSES}") from None


def _begin_process(over: Connection) -> None:
    """Leave Ctrl-C to the parent, warn of nothing, and end when the parent does, however it ends."""
    global _over  # a process has one search, and nothing else to keep it in
    _over = over
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Of what Pillow can read all the same; a process has not the parent's filters, and nobody reads its warnings.
    warnings.filterwarnings("ignore", module="PIL")
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _is_over() -> bool:
    """Tell, in a process, whether the parent has closed its end of the pipe."""
    try:
        return _over is not None and _over.poll()
    except OSError:  # so says Windows
        return True


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let what is started within the block never hear Ctrl-C, not even before it can say so itself."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
