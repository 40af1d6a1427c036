"""How long this process's threads wait for cores that others keep busy, by Linux's own account."""

import time
from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")  # a folder for each thread; without it, on other systems, nothing is told of waiting


class WaitingMeter:
    """The share of their time that threads wait for a core, from one look to the next."""

    def __init__(self) -> None:
        self.looked = time.monotonic()
        self._times = thread_times()

    def share_waited(self) -> float:
        """Give what part of the time since the last look, in which threads ran or were ready to, they waited: 0..1."""
        before, self._times, self.looked = self._times, thread_times(), time.monotonic()
        ran, waited = (now - then for now, then in zip(self._times, before, strict=True))
        have_threads_ended = ran < 0 or waited < 0  # their time is no longer part of the sum
        return 0.0 if have_threads_ended or ran + waited == 0 else waited / (ran + waited)


def thread_times() -> tuple[int, int]:
    """Sum up for how many nanoseconds this process's threads ran, and were ready to run but waited for a core."""
    ran = waited = 0
    for account in TASKS.glob("*/schedstat"):
        with suppress(OSError):  # the thread has just ended
            times = account.read_text().split()
            ran, waited = ran + int(times[0]), waited + int(times[1])
    return ran, waited
