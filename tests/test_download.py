"""Fetching from real servers and folders, good ones and all kinds of bad ones."""

import gzip
import os
import socket
from pathlib import Path

import pytest

from conftest import assert_complete, at, make_loop, no_room_for_files
from mirror import Mirror, zipped
from mnistcli import download
from mnistcli.download import (
    MNIST_FILES,
    Event,
    Placed,
    RawFile,
    Received,
    Retrying,
    SourceFailed,
    fetch,
    missing_files,
    unsound_files,
)
from mnistcli.errors import DataError

NAMES = [file.name for file in MNIST_FILES]

pytestmark = pytest.mark.usefixtures("_short_pauses")


def test_a_good_mirror_gives_all_files(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    events = list(fetch(tmp_path, files, at(mirror.url)))
    assert [event.name for event in events if isinstance(event, Placed)] == NAMES
    assert sum(event.size for event in events if isinstance(event, Received)) == sum(file.size for file in files)
    assert_complete(tmp_path, files)
    assert len(mirror.requests) == 4


@pytest.mark.parametrize("trouble", ["503", "truncate"])
def test_a_passing_failure_is_tried_again(
    tmp_path: Path, mirror: Mirror, files: list[RawFile], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 100)  # so that some of a file's are whole before it ends early
    mirror.troubles = ["", trouble, trouble]
    events = list(fetch(tmp_path, files, at(mirror.url)))
    assert sum(isinstance(event, Retrying) for event in events) == 2
    sizes = [event.size for event in events if isinstance(event, Received)]
    assert sum(sizes) == sum(file.size for file in files)
    assert sum(size < 0 for size in sizes) == (2 if trouble == "truncate" else 0)
    assert_complete(tmp_path, files)


@pytest.mark.parametrize(
    ("trouble", "requests", "reason"),
    [
        ("503", 3, "HTTP status 503 Service Unavailable"),
        # After the last attempt the raw file, then both of each other file.
        ("truncate", 8, f"ended early: {NAMES[1]}, {NAMES[2]}, {NAMES[3]}"),
        ("403", 6, "HTTP status 404 Not Found: "),  # it may hold the raw file, and other files, all the same
        ("404", 6, "HTTP status 404 Not Found: "),  # of three files the .gz, then the raw file
        ("stall", 1, "timed out"),
    ],
)
def test_a_failed_mirror_is_left_for_the_next(
    tmp_path: Path,
    mirror: Mirror,
    contents: dict[str, bytes],
    files: list[RawFile],
    trouble: str,
    requests: int,
    reason: str,
) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    mirror.troubles = ["", *[trouble] * 9]
    events = list(fetch(tmp_path / "raw", files, at(mirror.url, folder, timeout_seconds=0.5)))
    (failed,) = [event for event in events if isinstance(event, SourceFailed)]
    assert reason in failed.reason
    assert len(mirror.requests) == 1 + requests
    assert_complete(tmp_path / "raw", files)


def test_a_place_that_lacks_files_gives_those_it_has(
    tmp_path: Path, mirror: Mirror, contents: dict[str, bytes], files: list[RawFile]
) -> None:
    (tmp_path / "mnist.zip").write_bytes(zipped({NAMES[1]: contents[NAMES[1]]}))
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / NAMES[3]).write_bytes(contents[NAMES[3]])
    events = list(fetch(tmp_path / "raw", files, at(tmp_path / "mnist.zip", tmp_path / "some", mirror.url)))
    assert [event.name for event in events if isinstance(event, Placed)] == [NAMES[i] for i in (1, 3, 0, 2)]
    assert [event.reason for event in events if isinstance(event, SourceFailed)] == [
        f"not in the archive: {NAMES[0]}, {NAMES[2]}, {NAMES[3]}",
        f"No such file or directory: {NAMES[0]}, {NAMES[2]}",
    ]
    assert mirror.requests == [f"/{NAMES[0]}.gz", f"/{NAMES[2]}.gz"]
    assert_complete(tmp_path / "raw", files)


def test_a_place_whose_files_are_damaged_gives_those_that_are_not(
    tmp_path: Path, mirror: Mirror, contents: dict[str, bytes], files: list[RawFile]
) -> None:
    (tmp_path / "some").mkdir()
    packed = [gzip.compress(contents[name]) for name in NAMES]
    for name, data in zip(NAMES[1:], (b"no gzip", b"", packed[3]), strict=True):
        (tmp_path / "some" / f"{name}.gz").write_bytes(data)
    (tmp_path / "some" / f"{NAMES[0]}.gz").mkdir()
    events = list(fetch(tmp_path / "raw", files, at(tmp_path / "some", mirror.url)))
    assert [event.name for event in events if isinstance(event, Placed)] == [NAMES[i] for i in (3, 0, 1, 2)]
    (failed,) = [event.reason for event in events if isinstance(event, SourceFailed)]
    reasons = [reason.rsplit(": ", 1) for reason in failed.split("; ")]
    assert [name for _, name in reasons] == NAMES[:3]
    assert [reason for reason, _ in reasons] == [
        "Is a directory",
        "not gzipped, or damaged",
        f"ended after 0 of {files[2].size:,} bytes",
    ]
    assert_complete(tmp_path / "raw", files)


def test_files_that_a_place_lacks_for_several_reasons_have_each_its_own(
    tmp_path: Path, mirror: Mirror, contents: dict[str, bytes], files: list[RawFile]
) -> None:
    mirror.files[f"/{NAMES[0]}"] = contents[NAMES[0]]
    mirror.troubles = ["403", "403", "404", "404", "", "404", "404"]  # of each first the .gz, then the raw file
    with pytest.raises(DataError) as caught:
        list(fetch(tmp_path, files, at(mirror.url)))
    _, line, _ = str(caught.value).splitlines()
    assert line.endswith(f": HTTP status 403 Forbidden: {NAMES[0]}; HTTP status 404 Not Found: {NAMES[1]}, {NAMES[3]}")


def test_wrong_content_is_never_placed(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    mirror.troubles = ["wrong"]
    with pytest.raises(DataError, match=f"wrong SHA-256 digest [0-9a-f]{{64}}: {files[1].name}"):
        list(fetch(tmp_path, [files[1]], at(mirror.url)))
    assert list(tmp_path.iterdir()) == []
    assert len(mirror.requests) == 2  # the .gz, then the raw file, and neither again


def test_a_file_that_was_changed_is_found(tmp_path: Path, contents: dict[str, bytes], files: list[RawFile]) -> None:
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    assert unsound_files(tmp_path, files) == []
    (tmp_path / NAMES[0]).write_bytes(contents[NAMES[0]][:-1] + b"?")
    (tmp_path / NAMES[2]).unlink()
    assert unsound_files(tmp_path, files) == [files[0], files[2]]
    assert missing_files(tmp_path, files) == [files[2]]


def test_a_file_in_the_place_of_a_folder_is_not_taken_for_one_that_lacks_files(
    tmp_path: Path, files: list[RawFile]
) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DataError, match=f"{tmp_path / 'data'} is not a folder"):
        missing_files(tmp_path / "data" / "MNIST" / "raw", files)


def test_a_flood_is_cut_off(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    events: list[Event] = []
    with pytest.raises(DataError, match="longer than its 10 bytes"):
        events.extend(fetch(tmp_path, [files[0]._replace(size=10)], at(mirror.url)))
    # What a bar showed of it is taken back, and no more.
    assert sum(event.size for event in events if isinstance(event, Received)) == 0
    assert list(tmp_path.iterdir()) == []


def test_when_all_fail_each_source_has_its_line(tmp_path: Path, files: list[RawFile]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(DataError) as caught:
            list(fetch(tmp_path, files, at(dead, tmp_path / "nowhere")))
    head, first, second, advice = str(caught.value).splitlines()
    assert all(name in head for name in NAMES)
    assert first == f"  {dead}: Connection refused"
    assert second == f"  {tmp_path / 'nowhere'}: no such folder or archive, and no http or https URL"
    assert f"mnistcli download --data-dir {tmp_path.parent.parent} --from" in advice


def test_a_urls_scheme_may_be_in_capitals(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    list(fetch(tmp_path, files, at(mirror.url.replace("http", "HTTP"))))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_an_interrupted_download_leaves_nothing_half(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    events = fetch(tmp_path, files, at(mirror.url))
    while not isinstance(next(events), Received):
        pass
    assert [path.name for path in tmp_path.iterdir()] != []
    events.close()  # type: ignore[attr-defined]  # a generator in all but its declared type
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_no_fault_of_the_source(
    tmp_path: Path, mirror: Mirror, files: list[RawFile]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .*`data_dir`"):
        list(fetch(tmp_path / "file" / "raw", files, at(mirror.url, mirror.url)))
    assert len(mirror.requests) <= 1


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_failed_write_is_no_fault_of_the_source(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    with no_room_for_files(), pytest.raises(DataError, match=r"cannot write .*File too large.*`data_dir`"):
        list(fetch(tmp_path, files, at(mirror.url, mirror.url)))
    assert list(tmp_path.iterdir()) == []
    assert len(mirror.requests) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
@pytest.mark.parametrize(
    ("name", "reason"),
    [("a" * 300, "File name too long"), ("loop", "Too many levels of symbolic links"), ("a\0b", "a NUL character")],
)
def test_a_folder_that_cannot_be_looked_at_is_told(
    tmp_path: Path, mirror: Mirror, files: list[RawFile], name: str, reason: str
) -> None:
    make_loop(tmp_path)
    with pytest.raises(DataError, match=f"^cannot read .*: .*{reason}; choose another place with `data_dir`$"):
        missing_files(tmp_path / name, files)
    with pytest.raises(DataError, match=f"^cannot write .*: .*{reason}; choose another place with `data_dir`$"):
        list(fetch(tmp_path / name, files, at(mirror.url)))
