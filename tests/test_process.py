"""The program as others start it: a process of its own, with signals, pipes and terminals."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import tomllib
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

import pytest
from PIL import Image, ImageOps
from typer.main import get_command

import mnistcli
from conftest import LEARNS_SYNTHETIC_DIGITS, RunCli, RunProcess, assert_fails, draw_digit, plain
from mirror import Mirror
from mnistcli.checkpoint import load
from mnistcli.cli import app
from mnistcli.data import load_split, pick


class RunTerminal(Protocol):
    """Runs a command on a terminal of its own and gives all that it wrote there."""

    def __call__(self, arguments: list[str], environment: dict[str, str], stdout: BinaryIO | None = None) -> str: ...


SLOW_IMPORTS = {"torch", "torchvision", "matplotlib", "numpy", "PIL"}


def imported_by(done: subprocess.CompletedProcess[str]) -> set[str]:
    """List what a command that did its work imported, by the interpreter's own account."""
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *[[c, "--help"] for c in ("train", "predict")]])
def test_help_and_version_load_nothing_slow(process: RunProcess, arguments: list[str]) -> None:
    imported = imported_by(process(*arguments, PYTHONPROFILEIMPORTTIME="1"))
    assert "mnistcli.cli" in imported
    assert not imported & SLOW_IMPORTS


def test_samples_are_drawn_whatever_backend_a_notebook_names(process: RunProcess, data_dir: Path) -> None:
    done = process("show-samples", "--data-dir", data_dir, MPLBACKEND="nowhere")
    assert (done.returncode, done.stdout) == (0, "samples.png\n"), done.stderr


def test_no_folder_for_matplotlibs_settings_is_nothing_to_tell(
    process: RunProcess, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = process("show-samples", "--quiet", "--data-dir", data_dir, MPLCONFIGDIR=str(tmp_path / "file" / "settings"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "samples.png\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_configuration_is_shown_as_toml_in_any_encoding(process: RunProcess, encoding: str) -> None:
    name = "gr\u00f6\u00dfe-\U0001f600\x7f.pt"
    done = process("train", "--print-config", "--output", name, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert tomllib.loads(done.stdout)["output"] == name


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_configuration_that_no_toml_can_say_is_refused(process: RunProcess, encoding: str) -> None:
    wanted = ("train", "--print-config", "--output", os.fsdecode(b"\xff.pt"))
    done = process(*wanted, PYTHONIOENCODING=encoding)
    assert_fails(done, 2, "--output is a path that is not UTF-8", "--json")
    shown = json.loads(process(*wanted, "--json", PYTHONIOENCODING=encoding).stdout)
    assert os.fsencode(shown["config"]["output"]) == b"\xff.pt"


def test_settings_that_cannot_be_read_are_told(process: RunProcess, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\xff\xfe")
    done = process("show-samples", "--data-dir", data_dir, MATPLOTLIBRC=str(tmp_path / "broken"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: matplotlib cannot be loaded: ")


def test_a_wrong_configuration_fails_before_torch_is_loaded(process: RunProcess) -> None:
    done = process("train", "--epochs", 0, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert "mnistcli.config" in done.stderr
    assert " torch\n" not in done.stderr


def test_the_way_from_training_to_an_answer(process: RunProcess, data_dir: Path, tmp_path: Path) -> None:
    """Every command but download, without torchvision where it has no work to do, and no control codes in a pipe."""
    torchless, sightless = {"torchvision", "matplotlib"}, {"torchvision", "matplotlib", "cv2", "PIL"}
    settings = ["--data-dir", data_dir, "--no-download"]
    draw_digit(4, seed=5).save(tmp_path / "four.png")
    train = process("train", *settings, *LEARNS_SYNTHETIC_DIGITS, PYTHONPROFILEIMPORTTIME="1")
    others = ["eval", "ckpt.pt", *settings, "--fail-under", 0.8], ["predict", "four.png"], ["show-samples", *settings]
    with ThreadPoolExecutor() as pool:  # starting takes a core most of the time
        profiled = pool.map(lambda arguments: process(*arguments, PYTHONPROFILEIMPORTTIME="1"), others)
        evaluate, predict, show = profiled
    for command, unneeded in ((train, sightless), (evaluate, sightless), (predict, torchless)):
        assert not imported_by(command) & unneeded
    for command in (train, evaluate):
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", command.stdout + command.stderr)
    assert train.stdout == "ckpt.pt\n"
    assert predict.stdout.split("\t")[:2] == ["four.png", "4"]
    assert show.stdout == "samples.png\n"
    with Image.open(tmp_path / "samples.png") as picture:
        picture.verify()


def test_a_reader_that_leaves_is_no_bug(data_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mnistcli", "train", "--data-dir", str(data_dir), "--epochs", "4", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["epoch"] == 1
        running.stdout.close()
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()
    assert load(tmp_path / "ckpt.pt").epoch >= 1


@pytest.mark.skipif(os.name != "posix", reason="closes a stream by the shell")
def test_a_reader_that_leaves_is_a_failure_though_standard_error_is_closed(tmp_path: Path) -> None:
    draw_digit(4, seed=0).save(tmp_path / "four.png")
    command = [sys.executable, "-m", "mnistcli", "predict", *["four.png"] * 3, "--checkpoint", "bundled"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as answers:
        done = subprocess.run(
            ["sh", "-c", '"$@" 2>&-', "sh", *command], cwd=tmp_path, stdout=answers, check=False, timeout=60
        )
    assert done.returncode == 1


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_is_saved_and_says_how_to_go_on(
    cli: RunCli, data_dir: Path, tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    command = [sys.executable, "-m", "mnistcli", "train", "--data-dir", str(data_dir), "--epochs", "100000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            assert any(line.startswith("epoch 2/") for line in running.stderr)
            running.send_signal(number)
            _, rest = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == exit_code
    stopped, resume = rest.splitlines()[-2:]
    assert re.fullmatch(r"stopped after \d+ epochs? and \d+ steps?; saved as ckpt.pt", stopped)
    assert resume == "continue with: mnistcli train --resume ckpt.pt"
    saved = load(tmp_path / "ckpt.pt")
    assert saved.epoch == int(re.findall(r"\d+", stopped)[0])
    done = cli("train", "--resume", "ckpt.pt", "--epochs", saved.epoch + 1, "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    assert load(tmp_path / "ckpt.pt").epoch == saved.epoch + 1


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_that_is_closed_loses_nothing(data_dir: Path, tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    train = ["-m", "mnistcli", "train", "--data-dir", str(data_dir), "--epochs", "100000"]
    # Only a session's own terminal tells it when it is closed.
    start = "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    start += "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with subprocess.Popen(
        [sys.executable, "-c", start, *train],
        cwd=tmp_path,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as running:
        os.close(follower)
        try:
            screen = b""
            while b"epoch 2/" not in screen:
                screen += os.read(leader, 1 << 16)
            os.close(leader)
            running.send_signal(signal.SIGHUP)  # a second one, as some shells send it
            assert running.wait(timeout=60) == 129
        finally:
            running.kill()
    assert load(tmp_path / "ckpt.pt").epoch >= 2


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("name", "exit_code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_stopped_download_leaves_no_half_of_a_file(mirror: Mirror, tmp_path: Path, name: str, exit_code: int) -> None:
    mirror.troubles = ["stall"]
    download = ["-m", "mnistcli", "download", "--data-dir", str(tmp_path), "--from", mirror.url]
    start = f"import os, signal, sys; signal.signal(signal.{name}, signal.SIG_DFL); "  # whatever is ignored here
    start += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with subprocess.Popen(
        [sys.executable, "-c", start, *download], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            while not list(tmp_path.rglob("*.part")):
                time.sleep(0.05)
            running.send_signal(signal.Signals[name])
            _, written = running.communicate(timeout=20)
        finally:
            running.kill()
    assert running.returncode == exit_code
    assert written.splitlines()[1:] == [f"error: {'interrupted' if name == 'SIGINT' else f'ended by {name}'}"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_waiting_for_standard_input_can_be_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mnistcli", "predict", "-", "--checkpoint", "bundled"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "weights: bundled\n"
        time.sleep(1)  # it asks for its input now
        running.send_signal(signal.SIGINT)
        try:
            assert running.wait(timeout=20) == 130
        finally:
            running.kill()
        assert "Traceback" not in running.stderr.read()


@pytest.mark.skipif(os.name != "posix", reason="needs a named pipe")
def test_a_second_interrupt_ends_what_still_waits_for_a_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "slow.png")  # nobody ever writes to it
    command = [sys.executable, "-m", "mnistcli", "predict", "slow.png", "--checkpoint", "bundled", "--processes", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            assert running.stderr.readline() == "weights: bundled\n"
            time.sleep(1)  # the picture is waited for now
            running.send_signal(signal.SIGINT)
            assert running.stderr.readline() == "error: interrupted\n"
            time.sleep(1)  # its thread is waited for now
            assert running.poll() is None
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=20) == 130
        finally:
            running.kill()
        assert running.stderr.read() == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("environment", "has_colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_shows_bars(
    data_dir: Path, tmp_path: Path, terminal: RunTerminal, environment: dict[str, str], has_colour: bool
) -> None:
    train = ["train", "--data-dir", str(data_dir), "--epochs", "3"]
    screen = on_terminal(train, tmp_path, environment) if has_colour else terminal(train, environment)
    assert "batches" in screen
    assert "img/s" in screen
    assert bool(re.search(r"\x1b\[\d*;?3[0-9]", screen)) == has_colour
    assert "now try" in plain(screen)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("option", [["--no-progress"], []])
def test_a_terminal_that_cannot_draw_gets_lines(data_dir: Path, terminal: RunTerminal, option: list[str]) -> None:
    screen = terminal(["train", "--data-dir", str(data_dir), *option], {} if option else {"TERM": "dumb"})
    assert "batches" not in screen
    assert "\x1b[" not in screen
    assert "epoch 1/1" in screen


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_shows_a_preview_in_half_blocks(data_dir: Path, terminal: RunTerminal) -> None:
    command = ["show-samples", "--data-dir", str(data_dir), "--count", "7"]
    labels = pick(load_split(data_dir, "train"), 7, [], seed=0).labels.tolist()
    coloured, colourless = (terminal(command, environment) for environment in ({"COLUMNS": "80"}, {"NO_COLOR": "1"}))
    assert plain(coloured).count("▀" * 14) == 7 * 5  # five pictures of 14 x 14 fit 80 columns
    assert {"▀", "▄", "█"} <= set(colourless)
    for screen, shown in (coloured, labels[:5]), (colourless, labels):  # which has room for all
        assert plain(screen).splitlines()[-2].split() == list(map(str, shown))


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_with_colours_shows_what_the_network_saw(trained: Path, terminal: RunTerminal, cli: RunCli) -> None:
    name, colours = "quatre-\u6578.png", {"COLORTERM": "truecolor", "PYTHONIOENCODING": "utf-8"}
    screen = on_terminal(["predict", name], trained, colours)
    shown = plain(screen).splitlines()
    place = next(index for index, line in enumerate(shown) if line.endswith(name))
    assert set(shown[place + 1].strip()) == {"▀"}
    assert "48;2;255;255;255" in screen  # ink
    assert "▀" in terminal(["predict", name], colours)
    for plainer in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "▀" not in terminal(["predict", name], colours | plainer)
    assert "▀" not in terminal(["predict", name, "--json"], colours)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORTERM", "truecolor")
        patch.setenv("FORCE_COLOR", "1")
        assert "▀" not in cli("predict", name).stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_shows_how_far_a_folder_is_read_where_answers_go_elsewhere(
    trained: Path, tmp_path: Path, terminal: RunTerminal
) -> None:
    digit = next(trained.glob("*.png"))
    (tmp_path / "many").mkdir()
    for number in range(3):
        shutil.copy(digit, tmp_path / "many" / f"{number}.png")
    arguments = ["predict", "many"]
    with (tmp_path / "answers.txt").open("wb") as answers:
        assert "3/3" in plain(on_terminal(arguments, trained, {}, answers))
    assert (tmp_path / "answers.txt").read_text().count("\n") == 3
    with (tmp_path / "answers.txt").open("wb") as answers:
        assert "3/3" in plain(terminal(arguments, {}, answers))
        assert "3/3" not in plain(terminal([*arguments, "--no-progress"], {}, answers))
    assert "3/3" not in plain(terminal(arguments, {}))  # where the answers themselves tell
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as piped, os.fdopen(writer, "wb") as answers:
        assert "3/3" not in plain(terminal(arguments, {}, answers))  # where another program may show them
        answers.close()
        assert len(piped.read().splitlines()) == 3


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.usefixtures("trained")
def test_a_terminal_shows_how_far_scoring_is(data_dir: Path, terminal: RunTerminal) -> None:
    command = ["eval", "ckpt.pt", "--data-dir", str(data_dir), "--batch-size", "64"]
    screen = plain(terminal(command, {"COLUMNS": "80"}))
    assert re.search(r"scoring \S+ 200/200", screen)
    assert screen.index("200/200") < screen.index("accuracy")
    for silent in ("--no-progress", "--quiet", "--json"):
        assert "scoring" not in terminal([*command, silent], {})


def on_terminal(arguments: list[str], folder: Path, environment: dict[str, str], stdout: BinaryIO | None = None) -> str:
    """Run a command on a terminal of its own and give all that it wrote there; its answers go elsewhere if told."""
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "mnistcli", *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"TERM": "xterm-256color"} | environment,
        stdin=follower,
        stdout=stdout or follower,
        stderr=follower,
    ):
        os.close(follower)
        return read_screen(leader)


def read_screen(leader: int) -> str:
    """Read all that is written on a terminal, until the other end is closed."""
    written = b""
    while True:
        try:
            written += os.read(leader, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
    os.close(leader)
    return written.decode()


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunTerminal:
    """Run commands in this process, as `on_terminal` does in others: most of what another takes is its start."""

    def run(arguments: list[str], environment: dict[str, str], stdout: BinaryIO | None = None) -> str:
        import pty

        leader, follower = pty.openpty()
        with ThreadPoolExecutor() as pool, monkeypatch.context() as patch:
            screen = pool.submit(read_screen, leader)
            with os.fdopen(follower, "w", encoding="utf-8") as written, os.fdopen(os.dup(follower)) as typed:
                answers = os.fdopen(os.dup(stdout.fileno()), "w", encoding="utf-8") if stdout else written
                for name, stream in (("stdin", typed), ("stdout", answers), ("stderr", written)):
                    patch.setattr(sys, name, stream)
                for variable, value in environment.items():
                    patch.setenv(variable, value)
                patch.chdir(tmp_path)
                with pytest.raises(SystemExit, match=r"^0$"):
                    get_command(app)(arguments, prog_name="mnistcli")
                answers.close()
            return screen.result()

    return run


posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


def shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `mnistcli` is this one."""
    function = f'mnistcli() {{ {sys.executable} -W error -m mnistcli "$@"; }}; {line}'
    environ = os.environ | environment
    return subprocess.run(["sh", "-c", function], cwd=folder, env=environ, capture_output=True, text=True, check=False)


def shells(folder: Path, *lines: str) -> list[subprocess.CompletedProcess[str]]:
    """Run several lines side by side: starting takes a core most of the time."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda line: shell(folder, line), lines))


@pytest.fixture
def trained(data_dir: Path, tmp_path: Path) -> Path:
    """Give a folder with a checkpoint, and a picture that is not named in ASCII."""
    mnistcli.train(mnistcli.TrainConfig(data_dir=data_dir, output=tmp_path / "ckpt.pt"))
    draw_digit(4, seed=5).save(tmp_path / "quatre-\u6578.png")
    return tmp_path


@posix
def test_training_whose_reader_is_gone_tells_how_to_continue(data_dir: Path, tmp_path: Path) -> None:
    done = shell(tmp_path, f"mnistcli train --json --quiet --epochs 50 --data-dir {data_dir} | head -n 1")
    (epoch,) = map(json.loads, done.stdout.splitlines())
    assert epoch["epoch"] == 1
    assert done.stderr == (
        "stopped: nobody reads the answers any more; continue with: mnistcli train --resume ckpt.pt\n"
    )
    assert 1 <= load(tmp_path / "ckpt.pt").epoch < 50


@posix
def test_a_shells_settings_that_cannot_be_written_end_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "home").touch()  # a file, in which not even root can make a folder
    shell = "export _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1"
    (done,) = shells(tmp_path, f"{shell} HOME={tmp_path}/home/own; mnistcli --install-completion bash")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("error: cannot install completion: Not a directory: ")
    assert done.stderr.endswith("; --show-completion prints its script\n")


@posix
def test_streams_that_are_closed_or_full_end_in_a_line(trained: Path, data_dir: Path) -> None:
    evaluate = f"mnistcli eval ckpt.pt --quiet --data-dir {data_dir}"
    unneeded = shells(trained, *(f"{evaluate} {stream}" for stream in ("2>&-", "<&-")))
    assert [(done.returncode, done.stderr) for done in unneeded] == [(0, "")] * 2
    helps = "mnistcli", "mnistcli --help", "mnistcli train --help"
    completion = "export _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1; mnistcli --show-completion bash"
    commands = f"{evaluate} --json", "mnistcli --version", "mnistcli predict -q *.png", completion, *helps
    closed = shells(trained, *(f"{command} >&-" for command in commands))
    line = "error: cannot write the answer: standard output is closed\n"
    assert [(done.returncode, done.stderr) for done in closed] == [(1, line)] * len(commands)
    if Path("/dev/full").is_char_device():
        missing = "mnistcli eval none.pt --json"
        *full, other = shells(trained, *(f"{command} > /dev/full" for command in (evaluate, *commands, missing)))
        line = "error: cannot write the answer to standard output: No space left on device\n"
        assert [(done.returncode, done.stderr) for done in full] == [(1, line)] * (1 + len(commands))
        assert other.returncode == 5
        assert other.stderr.startswith("error: no checkpoint at none.pt")
        assert len(other.stderr.splitlines()) == 1


@posix
@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs an output that is always full")
def test_an_answer_comes_where_standard_error_is_full(trained: Path, data_dir: Path) -> None:
    read, failed, run = shells(
        trained,
        "mnistcli predict *.png 2> /dev/full",
        "mnistcli predict *.png none.png 2> /dev/full",
        f"mnistcli train --data-dir {data_dir} --output new.pt 2> /dev/full",
    )
    assert read.stdout.startswith("quatre")
    assert (read.returncode, failed.returncode, failed.stdout) == (0, 5, read.stdout)
    assert (run.returncode, run.stdout) == (0, "new.pt\n")


@posix
def test_an_answer_comes_where_nobody_reads_standard_error(trained: Path, data_dir: Path) -> None:
    gone = "mkfifo $$; : < $$ & exec 3> $$; wait; "
    read, failed, run, all_gone = shells(
        trained,
        f"{gone} mnistcli predict *.png 2>&3",
        f"{gone} mnistcli predict *.png none.png 2>&3",
        f"{gone} mnistcli train --data-dir {data_dir} --output new.pt 2>&3",
        f"{gone} mnistcli train --data-dir {data_dir} --output other.pt >&3 2>&3",
    )
    assert read.stdout.startswith("quatre")
    assert (read.returncode, failed.returncode, failed.stdout) == (0, 5, read.stdout)
    assert (run.returncode, run.stdout) == (0, "new.pt\n")
    assert (all_gone.returncode, (trained / "other.pt").exists()) == (1, False)


@posix
def test_training_that_cannot_answer_does_not_begin_or_is_kept(data_dir: Path, tmp_path: Path) -> None:
    train = f"mnistcli train --quiet --epochs 2 --data-dir {data_dir} --output"
    closed = shell(tmp_path, f"{train} closed.pt >&-")
    assert (closed.returncode, closed.stderr) == (1, "error: cannot write the answer: standard output is closed\n")
    assert not (tmp_path / "closed.pt").exists()
    if Path("/dev/full").is_char_device():
        full = shells(tmp_path, f"{train} text.pt > /dev/full", f"{train} objects.pt --json > /dev/full")
        line = "error: cannot write the answer to standard output: No space left on device; "
        assert [(done.returncode, done.stderr) for done in full] == [
            (1, f"{line}what was trained is saved as text.pt\n"),
            (1, f"{line}continue with: mnistcli train --resume objects.pt\n"),
        ]
        assert [load(tmp_path / name).epoch for name in ("text.pt", "objects.pt")] == [2, 1]


@posix
@pytest.mark.parametrize("output", ["full", "gone"])
def test_a_stop_that_cannot_be_answered_tells_how_to_continue(data_dir: Path, tmp_path: Path, output: str) -> None:
    if output == "full":
        if not Path("/dev/full").is_char_device():
            pytest.skip("needs an output that is always full")
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    slow = ["--model", "allconv", "--batch-size", "1"]  # the first epoch would have an answer, too
    command = [sys.executable, "-m", "mnistcli", "train", "--data-dir", str(data_dir), "--json", *slow]
    with subprocess.Popen(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True) as running:
        os.close(writer)
        assert running.stderr is not None
        assert running.stderr.readline().startswith("training on")
        running.send_signal(signal.SIGINT)
        said = running.stderr.read().splitlines()
    assert said[0].startswith("stopped after 0 epochs")
    assert said[1] == "continue with: mnistcli train --resume ckpt.pt"
    assert len(said) == (3 if output == "full" else 2)
    assert load(tmp_path / "ckpt.pt").epoch == 0


@posix
def test_an_ascii_terminal_is_no_bug(trained: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "80"}
    done = shell(trained, "mnistcli predict *.png", **ascii_only)
    assert done.stdout.startswith("quatre-\\u6578.png\t")
    colours = {"COLORTERM": "truecolor", "PYTHONIOENCODING": "ascii"}
    screen = on_terminal(["predict", "quatre-\u6578.png"], trained, colours)
    assert "quatre-\\u6578.png" in screen
    assert "\\u2580" not in screen  # nor what the network saw, in half blocks
    assert "##" in screen


def test_file_names_cannot_write_on_the_screen(cli: RunCli, trained: Path) -> None:
    strange = "\x1b[31mtab\there\nand there 3.04\u202fPM.png"
    (trained / "quatre-\u6578.png").rename(trained / strange)
    done = cli("predict", strange, "\x1b[2J")
    assert done.stdout.startswith(r"\x1b[31mtab\there\nand there 3.04" + "\u202fPM.png\t")
    assert (done.stdout.count("\t"), done.stdout.count("\n")) == (2, 1)
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("processes", [0, 1])
def test_pillow_warns_of_no_picture_that_it_can_read(process: RunProcess, tmp_path: Path, processes: int) -> None:
    path = tmp_path / "of no frames.png"
    ImageOps.invert(draw_digit(7, seed=0)).save(path)
    content, header_ends = path.read_bytes(), 33
    chunk = b"acTL" + struct.pack(">II", 0, 0)  # of an animation
    frames = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:header_ends] + frames + content[header_ends:])
    done = process("predict", path, "--checkpoint", "bundled", "--processes", processes, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bug_keeps_its_traceback_and_shows_no_variables(process: RunProcess, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import mnistcli.checkpoint\nmnistcli.checkpoint.load = None\n")
    done = process("eval", "a-local-value.pt", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "TypeError" in done.stderr
    assert "a-local-value" not in done.stderr


def test_the_console_script_is_installed() -> None:
    script = Path(sys.executable).with_name("mnistcli")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mnistcli ")


def test_a_command_that_ends_looks_for_no_garbage() -> None:
    script = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count() > 0)); "
        "sys.argv = ['mnistcli', '--version']; from mnistcli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_the_bundled_weights_need_no_network(tmp_path: Path) -> None:
    picture = Path(__file__).parent.parent / "docs" / "digit.png"
    script = (
        "import socket, sys; socket.socket.connect = socket.getaddrinfo = None; sys.argv[0] = 'mnistcli'; "
        "from mnistcli.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script, "predict", str(picture)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "weights: bundled\n")
    assert done.stdout.split("\t")[1] == "7"


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_file_that_cannot_be_kept_is_told_before_training(
    ordinary_process: RunProcess, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "private.pt").write_text("old")
    (tmp_path / "private.pt").chmod(0)
    done = ordinary_process("train", "--data-dir", data_dir, "--output", "private.pt")
    assert_fails(done, 1, "cannot keep what is at private.pt: Permission denied; choose another place with --output")
    (tmp_path / "private.pt").chmod(0o600)
    assert (tmp_path / "private.pt").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_folder_that_may_not_be_entered_is_told(ordinary_process: RunProcess, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    (tmp_path / "ckpt.pt").symlink_to("locked/ckpt.pt")
    failures = (
        (("train", "--output", "locked/ckpt.pt"), 1, "cannot write locked/ckpt.pt"),
        (("train", "--output", "mine.pt", "--data-dir", "locked"), 4, "cannot read locked/MNIST/raw"),
        (("eval",), 5, "cannot read ckpt.pt"),
    )
    with ThreadPoolExecutor() as pool:  # starting takes a core most of the time
        ended = list(pool.map(lambda failure: ordinary_process(*failure[0]), failures))
    for done, (_, code, what) in zip(ended, failures, strict=True):
        assert_fails(done, code, f"{what}: Permission denied")
    (tmp_path / "locked").chmod(0o700)  # whoever runs the tests removes it later
