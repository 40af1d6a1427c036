"""Getting the four MNIST files into their place, verified, whatever source they come from."""

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mnistcli.errors import DataError
from mnistcli.files import as_argument, atomic_write, is_there
from mnistcli.idx import data_dir_of
from mnistcli.sources import SOURCE_FAILURES, AbsentError, Copies, Copy, FileError, Source, SourceError, as_source_error

FIRST_PAUSE_SECONDS = 0.5  # before the second attempt; doubled before each further one
CHUNK_BYTES = 1 << 18


class RawFile(NamedTuple):
    """One file as it must be: its name, its length and its content's digest."""

    name: str
    size: int  # bytes, unpacked
    sha256: str  # hexadecimal


MNIST_FILES = (
    RawFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    RawFile(
        "train-labels-idx1-ubyte",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    RawFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    RawFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

# What `fetch` tells its reader as it goes.


class Wanted(NamedTuple):
    """The files to fetch are known."""

    size: int  # bytes of all of them, unpacked


class Trying(NamedTuple):
    """A source is being opened."""

    source: str


class Received(NamedTuple):
    """Bytes arrived, or those of a failed attempt no longer count."""

    size: int  # bytes, unpacked; negative where they no longer count


class Retrying(NamedTuple):
    """A source failed in a way that may pass; it is asked again after a pause."""

    source: str
    reason: str


class SourceFailed(NamedTuple):
    """A source failed and is not asked again."""

    source: str
    reason: str


class Placed(NamedTuple):
    """A file is verified and in its place."""

    name: str


Event = Wanted | Trying | Received | Retrying | SourceFailed | Placed


def unsound_files(folder: Path, files: Sequence[RawFile] = MNIST_FILES) -> list[RawFile]:
    """List the files that are missing from `folder`, or whose content is not what it must be."""
    return [file for file in files if not _is_sound(folder / file.name, file)]


def wanted_files(folder: Path, *, force: bool) -> Sequence[RawFile]:
    """List the files to fetch into `folder`: those that are not sound, or by force all."""
    return MNIST_FILES if force else unsound_files(folder)


def missing_files(folder: Path, files: Sequence[RawFile] = MNIST_FILES) -> list[RawFile]:
    """List the files that are not in `folder`; content is not looked at, so this costs nothing.

    Raises:
        DataError: `folder` cannot be looked into: no folder can have that name, it may not be entered, or it is a file.
    """
    try:
        nearest = next((path for path in (folder, *folder.parents) if is_there(path)), folder)
        if not nearest.is_dir():
            raise DataError(f"{nearest} is not a folder; choose another place with `data_dir`")
        return [file for file in files if not (is_there(path := folder / file.name) and path.is_file())]
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}; choose another place with `data_dir`") from None


def _is_sound(path: Path, file: RawFile) -> bool:
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def fetch(folder: Path, files: Sequence[RawFile], sources: Iterable[Source]) -> Iterator[Event]:
    """Get `files` into `folder`, from each source in turn until none is missing.

    Each source gives the files that it holds. If it lacks some of them, or fails, the next one is asked for those that
    are still missing. A file appears in its place only when it is complete and has the right digest.

    Raises:
        DataError: no source was left and files are missing, or `folder` cannot be written.
    """
    yield Wanted(sum(file.size for file in files))
    wanted = list(files)
    failures: list[SourceFailed] = []
    for source in sources:
        yield Trying(source.name)
        for attempt in itertools.count(1):
            try:
                with source.open() as copies:
                    yield from _place_held(folder, wanted, copies, may_retry=attempt < source.attempts)
                return
            except SOURCE_FAILURES as error:
                failure = as_source_error(error)
            if not failure.transient or attempt >= source.attempts:
                break
            yield Retrying(source.name, str(failure))
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        failures.append(SourceFailed(source.name, str(failure)))
        yield failures[-1]
    raise DataError(
        f"no source gave all of the MNIST files (missing: {', '.join(file.name for file in wanted)})",
        *(f"  {failed.source}: {failed.reason}" for failed in failures),
        "check the network, or bring the files here and name their place: "
        f"mnistcli download --data-dir {as_argument(data_dir_of(folder))} --from FOLDER-or-URL",
    )


def _place_held(folder: Path, wanted: list[RawFile], copies: Copies, *, may_retry: bool) -> Iterator[Event]:
    """Copy the files that a source holds to their places, and take them off `wanted`.

    Raises:
        SourceError: it does not hold all of them, or failed; at once where it may be asked again for the same file.
    """
    lacking: dict[str, list[str]] = {}  # by the reason
    for file in list(wanted):
        try:
            yield from _place_any(folder / file.name, file, copies(file.name), may_retry=may_retry)
        except FileError as error:
            if error.transient and may_retry:
                raise
            lacking.setdefault(str(error), []).append(file.name)
        else:
            wanted.remove(file)
            yield Placed(file.name)
    if lacking:
        raise SourceError("; ".join(f"{reason}: {', '.join(names)}" for reason, names in lacking.items()))


def _place_any(path: Path, file: RawFile, copies: Sequence[Copy], *, may_retry: bool) -> Iterator[Received]:
    """Place the first of several copies of a file that is sound.

    Raises:
        FileError: none is; of a damaged one where there is any, at once where it may be asked for again.
    """
    told: FileError = AbsentError("not in the archive")  # the only kind of source that may know of no copy
    for copy in copies:
        try:
            yield from _place(path, file, copy)
        except FileError as error:
            if error.transient and may_retry:
                raise
            if isinstance(told, AbsentError):
                told = error
        else:
            return
    raise told


def _place(path: Path, file: RawFile, copy: Copy) -> Iterator[Received]:
    """Copy one file to its place and verify it on the way."""
    digest, received = hashlib.sha256(), 0
    try:
        with atomic_write(path) as out:
            for chunk in _chunks(copy):
                if received + len(chunk) > file.size:
                    raise FileError(f"longer than its {file.size:,} bytes")
                digest.update(chunk)
                out.write(chunk)
                received += len(chunk)
                yield Received(len(chunk))
            if received < file.size:
                raise FileError(f"ended after {received:,} of {file.size:,} bytes", transient=True)
            if digest.hexdigest() != file.sha256:
                raise FileError(f"wrong SHA-256 digest {digest.hexdigest()}")
    except SourceError:
        yield Received(-received)
        raise
    except OSError as error:  # reading raises SourceError, so this is our own side, and no other source will help
        raise DataError(f"cannot write {path}: {error.strerror}; choose another place with `data_dir`") from None


def _chunks(copy: Copy) -> Iterator[bytes]:
    try:
        with copy() as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except FileNotFoundError as error:
        raise AbsentError(str(error.strerror)) from error
    except (IsADirectoryError, PermissionError) as error:
        raise FileError(str(error.strerror)) from error
    except SOURCE_FAILURES as error:
        raise as_source_error(error) from error
