"""Ctrl-C, and signals like it: how they end a program, and how a loop asks between two steps whether one came."""

import atexit
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any, Self

from mnistcli.files import discard_output

# Windows has no SIGHUP, which comes when a terminal is closed.
STOPS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]
STANDARD_STREAMS = 1, 2  # output and error, by the numbers that the system has for them


def is_launched() -> bool:
    """Tell whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


class SignalError(KeyboardInterrupt):
    """A signal asked the program to end.

    Attributes:
        exit_code: as a shell reports the signal: 130 for Ctrl-C.
    """

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__("interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}")

    @classmethod
    def of(cls, interrupt: KeyboardInterrupt) -> Self:
        """Give what ended the program: what is not of this class is Ctrl-C, by another handler than ours."""
        return interrupt if isinstance(interrupt, cls) else cls(signal.SIGINT)

    def tell(self) -> None:
        """Say so on standard error, where little else may work any more, or not yet."""
        with suppress(OSError):
            os.write(STANDARD_STREAMS[1], f"error: {self}\n".encode())


def end_by_signals() -> None:
    """Let SIGTERM and SIGHUP raise SignalError, as Ctrl-C does, so that no process and no unfinished file is left.

    While modules are imported, the process ends at once, for some of them catch whatever is raised, and would carry on,
    or report an error of their own. Commands import what they need before they begin; if a later import is interrupted,
    a hidden, unfinished file may be left.

    Of the processes that torchrun starts, some wait for others where no Python runs: in these, only Ctrl-C raises it.
    """
    end = partial(_end, _terminals())
    for number in [signal.SIGINT] if is_launched() else STOPS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, end)


def _end(terminals: list[int], number: int, frame: FrameType | None) -> None:
    _heed_hangup(number, terminals)
    error = SignalError(number)
    within = frame
    while within is not None:
        if within.f_code.co_filename.startswith("<frozen importlib"):
            for other in STOPS:
                signal.signal(other, signal.SIG_IGN)  # else a second one would begin to end the process once more
            error.tell()
            with suppress(BaseException):
                atexit._run_exitfuncs()  # else processes that were started would complain
            os._exit(error.exit_code)
        within = within.f_back
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once, whatever it still has to end
    raise error


def end_at_once_by_signals() -> None:
    """Let what raises SignalError end the process without a word: all is told, and only its threads are waited for."""
    for number in STOPS:
        handler = signal.getsignal(number)
        if isinstance(handler, partial) and handler.func is _end:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def _terminals() -> list[int]:
    """Give which of the standard streams are terminals; once one is closed, nobody can tell any more."""
    return [stream for stream in STANDARD_STREAMS if os.isatty(stream)]


def _heed_hangup(number: int, terminals: list[int]) -> None:
    """After a SIGHUP, ignore further ones, and drop what is written to terminals, because writing there would fail.

    Shell and system may both send one when a terminal is closed.
    """
    if signal.Signals(number).name == "SIGHUP":
        signal.signal(number, signal.SIG_IGN)
        for stream in terminals:
            discard_output(stream)


@contextmanager
def held_back() -> Iterator[None]:
    """Let what would end the program by an exception wait until the block ends, so that nothing is left half done.

    Python lets the main thread alone listen for signals; in others, this does nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    heard: list[int] = []
    before = {number: handler for number in STOPS if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])


class StopRequest:
    """Remember the first of some signals within the block; the next one acts as usual.

    After a SIGHUP, however, further ones are ignored. Python lets the main thread alone listen for signals; in others,
    this hears none.

    Args:
        signals: which ones; SIGINT, SIGTERM and SIGHUP by default.
    """

    def __init__(self, signals: Sequence[signal.Signals] = STOPS) -> None:
        self.signals = signals if current_thread() is main_thread() else ()
        self.signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._terminals: list[int] = []

    def __call__(self) -> bool:
        """Tell whether a stop was asked for."""
        return self.signal is not None

    def __enter__(self) -> Self:
        self._terminals = _terminals()
        for number in self.signals:
            # None is what no Python code installed. Under nohup a hangup is ignored: whoever ignored it meant it.
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        _heed_hangup(number, self._terminals)  # first of all, or another one could end the program meanwhile
        if signal.getsignal(number) == signal.SIG_IGN:
            self._previous.pop(self.signal, None)
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
