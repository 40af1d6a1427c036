"""Ctrl-C as a question that the loop asks between two steps, instead of an exception anywhere."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

# Windows has no SIGHUP, which comes when a terminal is closed.
STOPS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]


class StopRequest:
    """Within the block, the first SIGINT, SIGTERM or SIGHUP is remembered, and the next one acts as ever.

    Python lets the main thread alone listen for signals; enter it there.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Tell whether a stop was asked for."""
        return self.signal is not None

    def __enter__(self) -> Self:
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
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
