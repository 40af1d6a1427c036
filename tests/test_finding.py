"""Finding digits in several pictures at once, in processes of their own."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import mnistcli
from conftest import draw_digit, draw_digits
from finders import end_early, leave_trace, take_long
from mnistcli import finding
from mnistcli.config import Invert
from mnistcli.errors import CheckpointError, ImageError, MnistCliError
from mnistcli.finding import GROUPS_AHEAD, PICTURES_A_TASK, PictureGroups, Search, Searched, SearchPool
from mnistcli.images import Picture
from mnistcli.inputs import find_pictures
from mnistcli.layout import Found, find_digits

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
released = threading.Event()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let groups be of few pictures, yet of two tasks, and give of how many."""
    monkeypatch.setattr(finding, "PICTURES_AT_ONCE", 2 * PICTURES_A_TASK)
    return 2 * PICTURES_A_TASK


@pytest.fixture
def drawings(tmp_path: Path) -> list[Path]:
    """More than a task holds, and one of them no picture."""
    digits = np.arange(PICTURES_A_TASK * 2 + 3, dtype=np.uint8) % 10
    paths = [tmp_path / f"{number:02}.png" for number in range(len(digits))]
    for path, image in zip(paths, draw_digits(digits, seed=1), strict=True):
        Image.fromarray(255 - image).resize((140, 140)).save(path)
    paths[5].write_text("no picture")
    return paths


@pytest.mark.parametrize(
    ("name", "reason"),
    [("*.gif", "no file matches the pattern"), ("none.gif", "no picture at"), ("", "no pictures in")],
)
def test_what_stands_for_nothing_is_told_for_what_it_is(drawings: list[Path], name: str, reason: str) -> None:
    path = drawings[0].parent / name
    error = Search(find_digits, "auto", keep_pictures=False).see(path)
    assert isinstance(error, ImageError)
    assert str(error) == f"{reason} {path}"


@pytest.mark.parametrize("url", ["https://example.org/7.png", "HTTP://example.org/7.png?small=1"])
def test_a_url_is_told_from_a_file(url: str) -> None:
    [path] = find_pictures([url])
    error = Search(find_digits, "auto", keep_pictures=False).see(path)
    assert str(error) == f"pictures are not fetched from the web: download {url}, or pipe it in as `-`"


@pytest.mark.parametrize("name", ["7[1].png", "http:/7.png"])  # the first as browsers name what is there already
def test_a_file_may_be_named_as_a_pattern_or_a_url_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    draw_digit(7, seed=0).save(name)
    assert isinstance(Search(find_digits, "auto", keep_pictures=False).see(Path(name)), Searched)


def lack_memory(picture: Picture, invert: Invert) -> Found:
    raise MemoryError


def test_a_picture_that_is_too_large_for_the_memory_is_told_alone(drawings: list[Path]) -> None:
    error = Search(lack_memory, "auto", keep_pictures=False).see(drawings[0])
    assert str(error) == f"there is too little memory to read {drawings[0]}"


def test_processes_find_what_threads_do_in_the_same_order(drawings: list[Path]) -> None:
    before = cv2.getNumThreads(), torch.get_num_threads()
    threads, processes = (list(mnistcli.predict(drawings, checkpoint="bundled", processes=count)) for count in (0, 2))
    assert [answer.path for answer in processes] == list(map(str, drawings))
    assert [answer.status for answer in processes].count("error") == 1
    for mine, theirs in zip(threads, processes, strict=True):
        assert (theirs.digit, theirs.error) == (mine.digit, mine.error)
        if mine.glyph and theirs.glyph:
            assert theirs.glyph.box == mine.glyph.box
            assert np.array_equal(theirs.glyph.image, mine.glyph.image)
    assert sum(answer.glyph is not None for answer in processes) == len(drawings) - 1
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before


def test_readings_that_overlap_leave_all_as_it_was(drawings: list[Path]) -> None:
    before = cv2.getNumThreads()
    first = mnistcli.predict(drawings[:2], checkpoint="bundled")
    assert next(first).path == str(drawings[0])
    second = mnistcli.predict(drawings[:2], checkpoint="bundled")
    assert next(second).path == str(drawings[0])
    assert [len(list(answers)) for answers in (first, second)] == [1, 1]
    assert cv2.getNumThreads() == before


def test_many_pictures_are_left_to_processes_without_being_told(
    drawings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def note(search: Search, processes: int) -> SearchPool:
        asked.append(processes)
        return SearchPool(search, 0)

    monkeypatch.setattr(finding, "SearchPool", note)
    monkeypatch.setattr(finding, "CORES", 3)
    monkeypatch.setattr(finding, "MANY_PICTURES", len(drawings))
    for paths, keep in ((drawings, False), (drawings[1:], False), (drawings, True)):
        answers = mnistcli.predict(paths, checkpoint="bundled", processes=None, keep_pictures=keep)
        assert [answer.path for answer in answers] == list(map(str, paths))
    assert asked == [3, 0, 0]


def test_processes_end_where_there_is_no_network_to_ask(drawings: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        mnistcli.predict(drawings * 40, checkpoint=tmp_path / "missing.pt", processes=2)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("how", ["drop", "close"])
def test_processes_end_where_nobody_asks_what_they_found(drawings: list[Path], how: str) -> None:
    answers = mnistcli.predict(drawings * 40, checkpoint="bundled", processes=2)
    if how == "close":
        answers.close()  # type: ignore[attr-defined]  # it is a generator
    del answers  # which Python 3.12 and 3.13 need where nobody has asked for the first answer
    until = time.monotonic() + 10
    while multiprocessing.active_children():
        assert time.monotonic() < until
        time.sleep(0.05)


def run_script(folder: Path, picture: Path, processes: int, seconds: float, rest: str) -> tuple[int, str, str]:
    """Run a program that takes long over each picture; give its exit code and what it wrote.

    Args:
        folder: where the program is written to.
        picture: what it searches.
        processes: how many for.
        seconds: that a picture takes.
        rest: what it does with `search`, `picture` and `processes`.
    """
    script = folder / "script.py"
    script.write_text(
        "import sys, threading, time\nfrom pathlib import Path\nfrom mnistcli import finding\n"
        f"def take_long(picture, invert):\n    time.sleep({seconds})\n    return [], False, False\n"
        "def count(found):\n    print(sum(len(paths) for paths, _ in found))\n"
        "if __name__ == '__main__':\n"
        "    search = finding.Search(take_long, 'auto', False)\n"
        "    picture, processes = Path(sys.argv[1]), int(sys.argv[2])\n" + rest
    )
    command = [sys.executable, str(script), str(picture), str(processes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("processes", [0, 2])
def test_a_program_that_ends_does_not_wait_for_what_nobody_asks_for(
    drawings: list[Path], tmp_path: Path, processes: int
) -> None:
    rest = (
        "    finding.PICTURES_A_TASK = 1\n"
        "    found = iter(finding.PictureGroups(iter([picture] * 2000), search, processes))\n"
        "    next(found)\n"
    )
    assert run_script(tmp_path, drawings[0], processes, 0.5, rest) == (0, "", "")


@pytest.mark.parametrize("processes", [0, 2])
def test_a_thread_goes_on_asking_where_the_main_one_has_ended(
    drawings: list[Path], tmp_path: Path, processes: int
) -> None:
    rest = (
        "    found = finding.PictureGroups(iter([picture] * 100), search, processes)\n"
        "    threading.Thread(target=count, args=[found]).start()\n"
        "    time.sleep(0.5)\n"
    )
    assert run_script(tmp_path, drawings[0], processes, 0.02, rest) == (0, "100\n", "")


def test_whoever_stops_processes_waits_for_one_picture_each(drawings: list[Path]) -> None:
    searched = PictureGroups(iter(drawings * 4), Search(take_long, "auto", keep_pictures=False), 1)
    while not multiprocessing.active_children():
        time.sleep(0.05)
    began = time.monotonic()
    searched.stop()
    assert time.monotonic() - began < 14  # a task of 16 takes 16 seconds, and one more is in line
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("processes", "most"), [(0, 2), (1, 2)])
def test_no_more_groups_are_begun_than_needed(drawings: list[Path], at_once: int, processes: int, most: int) -> None:
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield drawings[0]

    answers = mnistcli.predict(paths(), checkpoint="bundled", processes=processes)
    at_first = taken
    assert at_first == (GROUPS_AHEAD * at_once if processes else 0)
    for _ in range(at_first + 1):
        next(answers)
    assert taken <= at_first + most * at_once
    answers.close()  # type: ignore[attr-defined]  # it is a generator


def test_standard_input_is_not_waited_for_before_the_network_is_there(
    drawings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)  # reading it would be an error of its own
    content: list[Path] = []
    monkeypatch.setattr(finding, "_content", content.append)
    with pytest.raises(CheckpointError):
        mnistcli.predict(["-", *drawings], checkpoint=tmp_path / "missing.pt", processes=1)
    assert content == []


def test_standard_input_that_is_text_alone_is_told_like_one_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("as a notebook has it"))
    [answer] = mnistcli.predict("-", checkpoint="bundled")
    assert answer.error == "standard input is closed or empty"


def test_processes_begin_before_anyone_asks(drawings: list[Path]) -> None:
    searched = PictureGroups(iter(drawings), Search(leave_trace, "auto", keep_pictures=False), 1)
    try:
        until = time.monotonic() + 30
        while not drawings[-1].with_name(f"{drawings[-1].name}.seen").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        searched.stop()


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.usefixtures("at_once")
def test_groups_come_in_order_however_many_are_begun(drawings: list[Path], processes: int) -> None:
    paths = drawings * 2 * GROUPS_AHEAD
    groups = list(PictureGroups(iter(paths), Search(leave_trace, "auto", keep_pictures=False), processes))
    assert [path for group, _ in groups for path in group] == paths
    assert [len(seen) for _, seen in groups] == [len(group) for group, _ in groups]


def wait_at_the_fourth(picture: Picture, invert: Invert) -> Found:
    if picture.name.endswith("03.png"):
        assert released.wait(30)
    return Found([])


def test_what_is_found_does_not_wait_long_for_the_rest(drawings: list[Path]) -> None:
    released.clear()
    groups = iter(PictureGroups(iter(drawings), Search(wait_at_the_fourth, "auto", keep_pictures=False), 0))
    early, _ = next(groups)
    released.set()
    assert early == drawings[:3][: len(early)]
    assert [*early, *(path for paths, _ in groups for path in paths)] == drawings


def test_what_reads_pictures_is_there_before_torch() -> None:
    code = "import sys, mnistcli.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_that_ends_early_is_told_of(drawings: list[Path]) -> None:
    with SearchPool(Search(end_early, "auto", False), 1) as pool:
        results = pool.begin(drawings)
        with pytest.raises(MnistCliError, match=r"ended early.*`processes` 0"):
            next(results)
        with pytest.raises(MnistCliError, match="ended early"):
            pool.begin(drawings)


def test_a_script_that_its_processes_would_run_again_is_told_how_to_begin(drawings: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import mnistcli, sys\nlist(mnistcli.predict(sys.argv[1:], checkpoint='bundled', processes=1))\n")
    command = [sys.executable, str(script), str(drawings[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert 'must begin with `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


def test_several_digits_come_back_from_processes_too(drawings: list[Path]) -> None:
    with SearchPool(Search(find_digits, "auto", keep_pictures=True), 1) as pool:
        ((seen, error),) = pool.begin([drawings[0], drawings[5]])
    assert isinstance(seen, Searched)
    assert seen.picture is not None
    assert seen.found.rows[0][0].whole.image.shape == (28, 28)
    assert isinstance(error, ImageError)
    assert str(error) == f"{drawings[5]} is not a picture that can be read"


@posix
@pytest.mark.parametrize(
    ("number", "exit_code", "told"),
    [
        (signal.SIGINT, 130, "error: interrupted\n"),
        (signal.SIGTERM, 143, "error: ended by SIGTERM\n"),
        (signal.SIGKILL, -signal.SIGKILL, None),
    ],
)
def test_processes_end_with_the_command(
    tmp_path: Path, number: signal.Signals, exit_code: int, told: str | None
) -> None:
    Image.fromarray(255 - draw_digits(np.array([7], np.uint8), seed=0)[0]).save(tmp_path / "7.png")
    # Looking seven times, the network is so slow that processes wait for it as well as it for them.
    command = [sys.executable, "-m", "mnistcli", "predict", "--checkpoint", "bundled", "--processes", "2", "--tta"]
    with subprocess.Popen(
        [*command, *["7.png"] * 3000],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("7.png")
            # Ctrl-C goes to all processes of a terminal, and what kills a command to that alone.
            (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
            _, written = running.communicate(timeout=20)  # until the last process has let go of its output
            assert running.returncode == exit_code
            assert "Traceback" not in written
            assert told is None or written.removeprefix("weights: bundled\n") == told
        except BaseException:
            os.killpg(running.pid, signal.SIGKILL)
            raise


@posix
@pytest.mark.parametrize("seconds", [0.3, 1.2, 2.1])  # whatever is loaded or started by then
def test_ctrl_c_while_processes_start_is_told_in_a_line(drawings: list[Path], seconds: float) -> None:
    begin = "import sys\nfrom mnistcli.__main__ import main\nprint('begun', file=sys.stderr, flush=True)\nmain()\n"
    arguments = ["predict", "--checkpoint", "bundled", "--processes", "2", *[str(drawings[0])] * 3000]
    with subprocess.Popen(
        [sys.executable, "-c", begin, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "begun\n"
        time.sleep(seconds)
        os.killpg(running.pid, signal.SIGINT)
        _, written = running.communicate(timeout=60)
    assert running.returncode == 130
    assert written.removeprefix("weights: bundled\n") == "error: interrupted\n"
