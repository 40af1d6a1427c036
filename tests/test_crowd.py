"""How long threads wait for cores, as the system tells it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mnistcli import crowd
from mnistcli.crowd import TASKS, WaitingMeter

SPENT = """
import time
from mnistcli.crowd import thread_times

def spent(use):
    before = thread_times()
    use()
    return sum(thread_times()) / 1e9 - sum(before) / 1e9

def work():
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass

print(spent(work), spent(lambda: time.sleep(0.5)))
"""


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs Linux's account of threads")
def test_a_thread_that_works_runs_or_waits_and_one_that_sleeps_does_not() -> None:
    # In a process of its own: where other tests ran, some thread of theirs may still be busy.
    told = subprocess.run([sys.executable, "-c", SPENT], capture_output=True, text=True, check=True).stdout
    working, sleeping = map(float, told.split())
    assert working > 0.25
    assert sleeping < 0.25


def test_the_share_is_of_the_time_since_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(500, 10), (600, 310), (600, 310), (1600, 310), (50, 0), (150, 100)])
    monkeypatch.setattr(crowd, "thread_times", lambda: next(looks))
    seen = WaitingMeter()
    shares = [seen.share_waited() for _ in range(5)]
    assert shares == [0.75, 0.0, 0.0, 0.0, 0.5]  # of nothing, of work undisturbed, and once that threads have ended


def test_where_nobody_tells_nobody_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crowd, "TASKS", tmp_path / "none")
    assert WaitingMeter().share_waited() == 0.0
