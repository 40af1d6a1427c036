"""Ctrl-C, and signals like it, while modules are loading, and after."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("name", "told"), [("SIGINT", "interrupted"), ("SIGTERM", "ended by SIGTERM")])
@pytest.mark.parametrize("is_loading", [True, False])
def test_signals_are_not_lost_in_a_module_that_is_loading(
    tmp_path: Path, name: str, told: str, is_loading: bool
) -> None:
    number = signal.Signals[name]
    waiting = "try:\n    print('waiting', flush=True)\n    time.sleep(20)\nexcept BaseException:\n    print('caught')\n"
    (tmp_path / "stubborn.py").write_text("import time\n" + (waiting if is_loading else ""))
    begin = "from mnistcli.interrupt import end_by_signals as begin; begin(); import time, stubborn\n"
    command = [sys.executable, "-c", begin + ("" if is_loading else waiting)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waiting\n"
        running.send_signal(number)
        ended = running.communicate(timeout=10)
    expected = (128 + number, "", f"error: {told}\n") if is_loading else (0, "caught\n", "")
    assert (running.returncode, *ended) == expected
