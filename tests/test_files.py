"""A file is written whole or not at all, and an output that is gone is no error."""

import contextlib
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import pytest
from typer.testing import CliRunner

from conftest import make_loop, no_room_for_files
from mnistcli import files
from mnistcli.edge import EdgeApp
from mnistcli.errors import ConfigError, MnistCliError
from mnistcli.files import answering, as_argument, atomic_write, check_writable, discard_output, from_home

TraceFunction = Callable[[FrameType, str, Any], Any]


@pytest.mark.parametrize(
    ("name", "posix", "windows"),
    [
        ("a b.pt", "'a b.pt'", '"a b.pt"'),
        ("-x.pt", "./-x.pt", "./-x.pt"),
        ("~x.pt", "'./~x.pt'", '"./~x.pt"'),
        ("it's", "'it'\"'\"'s'", '"it\'s"'),
        ("R&D.pt", "'R&D.pt'", '"R&D.pt"'),
    ],
)
def test_a_path_in_a_command_is_quoted_for_the_systems_shell(
    monkeypatch: pytest.MonkeyPatch, name: str, posix: str, windows: str
) -> None:
    path = Path(name)
    for platform, quoted in (("linux", posix), ("win32", windows)):
        monkeypatch.setattr(sys, "platform", platform)
        assert as_argument(path) == quoted


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_a_name_that_begins_with_a_tilde_is_a_files_where_nobody_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert from_home("~/x.pt") == f"{tmp_path}/x.pt"
    for name in ("~x-is-nobody.pt", "a~", ""):
        assert from_home(name) == name
    if platform == "win32":
        assert from_home("~root") == "~root"


def write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def begin_to_write(path: Path, content: bytes, error: type[BaseException]) -> None:
    with atomic_write(path) as file:
        file.write(content)
        raise error


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_appears_whole_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "file"
    with atomic_write(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert names(path.parent) == ["file"]


def test_a_file_may_have_as_long_a_name_as_there_are(tmp_path: Path) -> None:
    path = tmp_path / (255 * "n")
    with atomic_write(path) as file:
        file.write(b"all")
    assert path.read_bytes() == b"all"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("is_there", [True, False])
def test_what_was_there_stays_where_writing_fails(tmp_path: Path, is_there: bool, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    if is_there:
        path.write_bytes(b"old")
    with pytest.raises(error):
        begin_to_write(path, b"new", error)
    assert names(tmp_path) == (["file"] if is_there else [])
    assert not is_there or path.read_bytes() == b"old"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # where Ctrl-C comes just before it is closed
@pytest.mark.parametrize("work", [lambda path: write(path, b"new"), check_writable], ids=["write", "check"])
def test_ctrl_c_leaves_nothing_half_wherever_it_comes(tmp_path: Path, work: Callable[[Path], None]) -> None:
    app = EdgeApp()
    app.callback()(lambda: None)

    @app.command()
    def command(step: int) -> None:
        sys.settrace(_interrupt_at(step))
        try:
            work(tmp_path / "file")
        finally:
            sys.settrace(None)

    for step in count():
        result = CliRunner().invoke(app, ["command", str(step)])  # keeps the exception, with all that this holds
        assert set(names(tmp_path)) <= {"file"}, f"after step {step}"
        if result.exit_code == 0:
            break
        assert result.exit_code == 130
    assert step > 50


def _interrupt_at(step: int) -> TraceFunction:
    """Interrupt the module of `atomic_write`, or what makes it a context manager, at so many instructions from now."""
    steps = iter(range(step))

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        if frame.f_code.co_filename not in (files.__file__, contextlib.__file__):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(steps, None) is None:
            raise KeyboardInterrupt
        return trace

    return trace


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as one:
        one.write(b"one")
        check_writable(path)  # by a third
        with atomic_write(path) as other:
            other.write(b"the other")
        assert path.read_bytes() == b"the other"
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_what_was_there_stays_on_a_full_disk(tmp_path: Path) -> None:
    write(tmp_path / "file", b"old")
    with no_room_for_files(), pytest.raises(OSError, match="File too large"):
        write(tmp_path / "file", b"new" * 1000)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_a_file_that_is_written_anew_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomic_write(path) as file:
        file.write(b"new")
        assert os.fstat(file.fileno()).st_mode & 0o777 == mode  # from the first byte on
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "file", b"new")
    (tmp_path / "usual").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_leads_to_what_is_written(tmp_path: Path, is_there: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    if is_there:
        target.write_bytes(b"old")
    link.symlink_to(target)
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_whether_a_file_can_be_written_is_asked_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    check_writable(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    check_writable(tmp_path / "new" / "file")
    assert names(tmp_path / "new") == []  # but for the folder, which is made


def test_a_place_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        check_writable(tmp_path)
    with pytest.raises(ConfigError, match="is not a file; name a file"):
        check_writable(Path(os.devnull))
    for place in ("-", "-/drawing.png"):
        with pytest.raises(ConfigError, match="- is not standard output here"):
            check_writable(Path(place))


@pytest.mark.parametrize("place", ["file/new", "file/deep/new"])
def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MnistCliError, match="Not a directory; choose another place") as caught:
        check_writable(tmp_path / place)
    assert str(tmp_path / place) in str(caught.value)


# Names that cannot be looked at, whoever asks, with the reason.
UNKNOWABLE = [
    ("a" * 300, "File name too long"),
    ("loop", "Too many levels of symbolic links"),
    ("loop/new", "Too many levels of symbolic links"),
    ("a\0b", "a name cannot hold a NUL character"),
]


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
@pytest.mark.parametrize(("name", "reason"), UNKNOWABLE)
def test_a_place_that_cannot_be_looked_at_is_told(tmp_path: Path, name: str, reason: str) -> None:
    make_loop(tmp_path)
    with pytest.raises(MnistCliError, match=f"^cannot write .*: {reason}; choose another place$"):
        check_writable(tmp_path / name)
    with pytest.raises(OSError, match=reason):
        write(tmp_path / name, b"new")
    assert sorted(names(tmp_path)) == ["back", "loop"]
    assert (tmp_path / "loop").is_symlink()


def answer(stream: TextIO | None, text: str) -> None:
    with answering(stream):
        assert stream is not None
        stream.write(text)
        stream.flush()


def test_an_answer_is_written_or_the_reason_told(tmp_path: Path) -> None:
    with pytest.raises(MnistCliError, match="standard output is closed"):
        answer(None, "7")
    with (tmp_path / "answers").open("w") as stream:
        answer(stream, "7")
    assert (tmp_path / "answers").read_text() == "7"


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_an_answer_without_room_is_told_once(tmp_path: Path) -> None:
    with no_room_for_files(), (tmp_path / "answers").open("w") as stream:
        with pytest.raises(MnistCliError, match="cannot write the answer to standard output: File too large"):
            answer(stream, "7" * 2000)
        answer(stream, "7")  # as is what is left of it when the interpreter ends: neither fails any more


def test_an_answer_that_nobody_reads_is_no_fault_of_the_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        with pytest.raises(BrokenPipeError):
            answer(stream, "7")
        discard_output(stream.fileno())  # what is left in the buffer, at the end


def test_an_output_that_is_discarded_takes_all_without_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as output:
        with pytest.raises(BrokenPipeError):
            output.write(b"lost")
        discard_output(output.fileno())
        assert output.write(b"lost") == 4
