"""Ctrl-C: how it ends a program that is still loading, and how a loop asks between two steps whether it was pressed."""

import atexit
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any, Self

from mnistcli.errors import ExitCode
from mnistcli.files import discard_output

# Windows has no SIGHUP, which comes when a terminal is closed.
STOPS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]
STANDARD_STREAMS = 1, 2  # output and error, by the numbers that the system has for them


def end_while_importing() -> None:
    """Let Ctrl-C end the process at once while modules are imported; otherwise it raises KeyboardInterrupt as usual.

    Some modules catch whatever is raised while they load, and would carry on, or report an error of their own. Commands
    import what they need before they begin; if a later import is interrupted, a hidden, unfinished file may be left.
    """
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    within = frame
    while within is not None:
        if within.f_code.co_filename.startswith("<frozen importlib"):
            os.write(STANDARD_STREAMS[1], b"error: interrupted\n")
            with suppress(BaseException):
                atexit._run_exitfuncs()  # else processes that were started would complain
            os._exit(ExitCode.INTERRUPTED)
        within = within.f_back
    signal.default_int_handler(number, frame)


@contextmanager
def held_back() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends, so that nothing in it is left half done.

    Python lets the main thread alone listen for signals; in others, this does nothing.
    """
    if current_thread() is not main_thread() or not callable(signal.getsignal(signal.SIGINT)):
        yield
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


class StopRequest:
    """Remember the first SIGINT, SIGTERM or SIGHUP within the block; the next one acts as usual.

    After a SIGHUP, however, further ones are ignored, because shell and system may both send one when a terminal is
    closed, and what is written to that terminal is dropped, because writing to it would fail. Enter the block in the
    main thread: Python lets no other listen for signals.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._terminals: list[int] = []

    def __call__(self) -> bool:
        """Tell whether a stop was asked for."""
        return self.signal is not None

    def __enter__(self) -> Self:
        self._terminals = [stream for stream in STANDARD_STREAMS if os.isatty(stream)]
        for number in STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup: whoever ignored it meant it
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        if self.signal.name == "SIGHUP":
            signal.signal(number, signal.SIG_IGN)  # first of all, or another one could end the program meanwhile
            self._previous.pop(self.signal, None)
            for stream in self._terminals:
                discard_output(stream)
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
