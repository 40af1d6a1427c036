"""Ctrl-C while modules are loading, and after."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("is_loading", [True, False])
def test_ctrl_c_is_not_lost_in_a_module_that_is_loading(tmp_path: Path, is_loading: bool) -> None:
    waiting = "try:\n    print('waiting', flush=True)\n    time.sleep(20)\nexcept BaseException:\n    print('caught')\n"
    (tmp_path / "stubborn.py").write_text("import time\n" + (waiting if is_loading else ""))
    begin = "from mnistcli.interrupt import end_while_importing as begin; begin(); import time, stubborn\n"
    command = [sys.executable, "-c", begin + ("" if is_loading else waiting)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waiting\n"
        running.send_signal(signal.SIGINT)
        ended = running.communicate(timeout=10)
    assert (running.returncode, *ended) == ((130, "", "error: interrupted\n") if is_loading else (0, "caught\n", ""))
