"""Ctrl-C, and signals like it, while modules are loading, and after."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")

# In steps: Python hears of a signal that comes just before a sleep begins only when that sleep ends.
WAIT = "[time.sleep(0.01) for _ in range(2000)]"


@posix
@pytest.mark.parametrize(("name", "told"), [("SIGINT", "interrupted"), ("SIGTERM", "ended by SIGTERM")])
@pytest.mark.parametrize("is_loading", [True, False])
def test_signals_are_not_lost_in_a_module_that_is_loading(
    tmp_path: Path, name: str, told: str, is_loading: bool
) -> None:
    number = signal.Signals[name]
    waiting = f"try:\n    print('waiting', flush=True)\n    {WAIT}\nexcept BaseException:\n    print('caught')\n"
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


@posix
def test_a_second_signal_does_not_begin_to_end_the_process_once_more(tmp_path: Path) -> None:
    """What is done at its end takes a while here, and would be done twice."""
    (tmp_path / "stubborn.py").write_text(f"import time\nprint('waiting', flush=True)\n{WAIT}\n")
    begin = "import atexit, time; from mnistcli.interrupt import end_by_signals as begin; begin()\n"
    begin += "atexit.register(lambda: (print('ending', flush=True), time.sleep(1)))\nimport stubborn\n"
    command = [sys.executable, "-c", begin]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in ("waiting\n", "ending\n"):
            assert running.stdout.readline() == line
            running.send_signal(signal.SIGTERM)
        ended = running.communicate(timeout=10)
    assert (running.returncode, *ended) == (143, "", "error: ended by SIGTERM\n")


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_waits_for_what_is_not_to_be_left_half_done(name: str) -> None:
    code = f"import signal; signal.signal(signal.{name}, signal.SIG_DFL)\n"  # whatever is ignored here, as by nohup
    code += "from mnistcli.interrupt import *; end_by_signals()\nwith held_back():\n"
    code += f"    signal.raise_signal(signal.{name}); print('whole', flush=True)\nprint('after')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "whole\n"
    assert done.returncode != 0


@posix
def test_a_signal_that_waited_is_heard_where_the_block_fails_as_well() -> None:
    code = "from mnistcli.interrupt import *; end_by_signals()\nwith held_back():\n"
    code += "    signal.raise_signal(signal.SIGTERM); raise OSError\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "SignalError: ended by SIGTERM" in done.stderr


@posix
@pytest.mark.parametrize(("before", "is_heard"), [("SIG_IGN", False), ("SIG_DFL", True)])
def test_a_closed_terminal_stops_a_run_however_often_it_is_told_but_none_that_nohup_began(
    before: str, *, is_heard: bool
) -> None:
    hangup = "signal.raise_signal(signal.SIGHUP)\n"
    code = f"import signal; signal.signal(signal.SIGHUP, signal.{before})\nfrom mnistcli.interrupt import *\n"
    code += f"end_by_signals()\n{'' if is_heard else hangup}with StopRequest() as stop:\n    {hangup}    {hangup}"
    done = subprocess.run([sys.executable, "-c", code + "print(stop())"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{is_heard}\n", "")


@posix
def test_a_second_hangup_does_not_disturb_what_the_first_one_ends() -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # whatever is ignored here, as by nohup
    code += "from mnistcli.interrupt import *; end_by_signals()\ntry:\n    signal.raise_signal(signal.SIGHUP)\n"
    code += "finally:\n    signal.raise_signal(signal.SIGHUP); print('tidied up')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "tidied up\n"
    assert done.stderr.splitlines()[-1].endswith("SignalError: ended by SIGHUP")


@posix
@pytest.mark.parametrize(("is_launched", "code"), [(False, 143), (True, -signal.SIGTERM)])
def test_a_process_of_torchruns_is_ended_by_the_system(
    monkeypatch: pytest.MonkeyPatch, is_launched: bool, code: int
) -> None:
    """For it may wait for others where no Python runs."""
    if is_launched:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    start = "import signal; from mnistcli.interrupt import end_by_signals, SignalError; end_by_signals()\ntry:\n"
    start += "    signal.raise_signal(signal.SIGTERM)\nexcept SignalError as error:\n    exit(error.exit_code)"
    assert subprocess.run([sys.executable, "-c", start], timeout=60).returncode == code


@posix
@pytest.mark.parametrize("what", ["signal.raise_signal(signal.SIGINT)", "exec('raise KeyboardInterrupt')"])
def test_ctrl_c_before_any_command_has_begun_is_told_in_a_line(what: str) -> None:
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whatever is ignored here
    start += f"import mnistcli.cli as cli; cli.app = lambda **_: {what}\nfrom mnistcli.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


@pytest.mark.parametrize(("module", "is_kept"), [("other", True), ("triton._C.libtriton", False)])
def test_garbage_is_kept_at_the_end_where_nothing_reports_it(module: str, is_kept: bool) -> None:
    code = "import atexit, gc, sys\natexit.register(lambda: print(gc.get_freeze_count() > 0))\n"
    code += f"sys.modules[{module!r}] = sys\nfrom mnistcli.__main__ import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(is_kept)


@posix
def test_ctrl_c_shows_no_module_that_is_loading() -> None:
    code = "import os, signal, sys\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as in a shell, whatever it is here
    code += "def interrupt(event, arguments):\n    if event == 'import' and arguments[0] == 'mnistcli.files':\n"
    code += "        os.kill(os.getpid(), signal.SIGINT)\n"
    code += "sys.addaudithook(interrupt)\nfrom mnistcli.__main__ import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
