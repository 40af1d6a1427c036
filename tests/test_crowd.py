"""How long threads wait for cores, as the system tells it."""

import time
from pathlib import Path

import pytest

from mnistcli import crowd
from mnistcli.crowd import TASKS, WaitingMeter, thread_times


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs Linux's account of threads")
def test_a_thread_that_works_runs_or_waits_and_one_that_sleeps_does_not() -> None:
    def spent(seconds: float, *, working: bool) -> float:
        before, until = thread_times(), time.monotonic() + seconds
        while time.monotonic() < until:
            if not working:
                time.sleep(seconds)
        return sum(thread_times()) / 1e9 - sum(before) / 1e9

    assert spent(0.5, working=True) > 0.25
    assert spent(0.5, working=False) < 0.25


def test_the_share_is_of_the_time_since_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(500, 10), (600, 310), (600, 310), (1600, 310), (50, 0), (150, 100)])
    monkeypatch.setattr(crowd, "thread_times", lambda: next(looks))
    seen = WaitingMeter()
    shares = [seen.share_waited() for _ in range(5)]
    assert shares == [0.75, 0.0, 0.0, 0.0, 0.5]  # of nothing, of work undisturbed, and once that threads have ended


def test_where_nobody_tells_nobody_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crowd, "TASKS", tmp_path / "none")
    assert WaitingMeter().share_waited() == 0.0
