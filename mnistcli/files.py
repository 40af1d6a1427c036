"""Writing a file so that nobody ever finds half of it, and writing to an output that may be closed, full or gone."""

import errno
import os
import re
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from mnistcli.errors import ConfigError, MnistCliError


def is_there(path: Path) -> bool:
    """Tell whether there is something at `path`, following links.

    Raises:
        OSError: that cannot be known: no file can have that name, a folder on the way may not be entered, or links
            lead round in a circle. Path's own methods give an answer or raise here, depending on Python's version.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except ValueError:
        raise OSError(errno.EINVAL, "a name cannot hold a NUL character", str(path)) from None
    return True


def names_folder(place: str | Path) -> bool:
    """Tell whether a text ends as only a folder's name does: with a slash, which a Path drops, or a dot alone."""
    return os.path.basename(place) in ("", os.curdir, os.pardir)  # noqa: PTH119  # a Path has lost it


def from_home(place: str | Path) -> str:
    """Replace a leading ~ or ~name by that home folder; as it is where nobody is called so, which shells do as well.

    A shell does so at the beginning of a word alone: not in `--data-dir=~/mnist`, nor in a variable or a file. On
    Windows, where ~name may be a file's and nobody's home is asked for, only ~ alone is replaced.
    """
    if sys.platform == "win32" and not re.match(r"~(?:[/\\]|$)", str(place)):
        return str(place)
    return os.path.expanduser(place)  # noqa: PTH111  # Path's own method fails where nobody is called so


def as_argument(path: str | Path) -> str:
    """Spell a path for a command that a person may copy: quoted for the shell, taken for no option nor home folder."""
    name = str(path)
    name = f"./{name}" if name.startswith(("-", "~")) else name
    if sys.platform == "win32":  # cmd.exe knows no single quotes, and no name there holds a double one
        return name if re.fullmatch(r"[\w.:\\/+-]+", name) else f'"{name}"'
    return shlex.quote(name)


def link_target(path: Path) -> Path:
    """Give the place to which links lead from `path`, whether or not there is anything.

    Raises:
        OSError: that cannot be known, as in `is_there`.
    """
    is_there(path)
    return path.resolve()


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears at `path`, whole, when the block ends; after an exception nothing changes.

    The bytes go to a file beside it, in the same file system, and `os.replace` moves that into place, which POSIX
    defines as atomic. Missing parent folders are made, a symbolic link is followed, and permissions stay those of
    the old file.

    Raises:
        OSError: the folder or the file cannot be written, or the disk is full.
    """
    path = link_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    try:  # from before the file is there, or Ctrl-C could come between
        with part.open("xb") as file:
            with suppress(OSError):  # the new file is as private as the old one, on systems that have permissions
                shutil.copymode(path, part)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _part(path: Path) -> Path:
    # Random enough that no other file is ever replaced or removed. Not named by the process's number, which may be the
    # same in several containers that share a folder, nor by the file, whose name may be as long as names can be.
    return path.with_name(f".{secrets.token_hex(8)}.part")


def check_writable(output: Path) -> None:
    """Make sure, before hours of work, that a file can be written at `output`; missing parent folders are made.

    Raises:
        ConfigError: `output` is a folder, a device or anything else that is no file, or `-`, which elsewhere means
            standard output.
        MnistCliError: its folder cannot be made or written.
    """
    if output.parts[:1] == ("-",):
        raise ConfigError(f"- is not standard output here; name another place, or {Path('-').absolute()}")
    try:
        if is_there(output) and not output.is_file():  # moving a file into its place would remove it
            raise ConfigError(f"{output} is {'a folder' if output.is_dir() else 'not a file'}; name a file")
        part = _part(link_target(output))
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.touch(exist_ok=False)
            part.unlink()
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(output, error) from None


def cannot_write(output: Path, error: OSError) -> MnistCliError:
    """Say that a result could not be written, and why."""
    # If a file lies where one of the folders should be, making that folder is what fails.
    reason = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
    return MnistCliError(f"cannot write {output}: {reason}; choose another place")


def check_open(stream: TextIO | None) -> TextIO:
    """Make sure that there is a standard output.

    Args:
        stream: it; None where whoever started the program has closed it.

    Raises:
        MnistCliError: it is closed.
    """
    if stream is None:
        raise MnistCliError("cannot write the answer: standard output is closed")
    return stream


@contextmanager
def answering(stream: TextIO | None) -> Iterator[None]:
    """Translate the errors of a block that writes to standard output.

    Args:
        stream: standard output, as `check_open` takes it.

    Raises:
        MnistCliError: it is closed, or the disk is full.
        BrokenPipeError: nobody reads it any more.
    """
    stream = check_open(stream)
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # Otherwise the interpreter would try to write the rest once more at its end, and fail.
        discard_output(stream.fileno())
        raise MnistCliError(f"cannot write the answer to standard output: {error.strerror}") from None


def discard_output(descriptor: int) -> None:
    """Let what is written to an open file descriptor from now on go nowhere, without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
