"""Saving a checkpoint so that nothing is lost: in one stroke, and what it would replace is kept."""

import shutil
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from mnistcli.bundled import BUNDLED
from mnistcli.checkpoint import Checkpoint, load, pack
from mnistcli.errors import CheckpointError, ConfigError, MnistCliError
from mnistcli.files import atomic_write, cannot_write, check_writable, is_there, link_target

ARCHIVE = b"PK\3\4"  # how a zip archive begins, as which torch saves


def check_savable(path: Path, resumed: Path | None = None) -> None:
    """Make sure, before hours of work, that `save` can write at `path` and keep what is there.

    Missing parent folders are made.

    Args:
        path: where checkpoints will be written.
        resumed: the checkpoint of the run that is continued, if one is; where that is `path`, it needs no backup.

    Raises:
        ConfigError: `path` is a folder, a device or anything else that is no file, means the bundled checkpoint, or
            holds what is plainly no checkpoint.
        MnistCliError: its folder cannot be made or written, or what is there cannot be read or copied to a backup.
    """
    if str(path) == BUNDLED:
        raise ConfigError(f"{BUNDLED} names the weights that come with the package; try `output` {BUNDLED}.pt")
    check_writable(path)
    try:
        is_old = is_there(path)
        is_other = is_old and not _may_be_checkpoint(path)
        if is_old and (resumed is None or link_target(resumed) != link_target(path)):
            check_writable(_backup_of(path))
    except MnistCliError as error:
        raise MnistCliError(f"cannot keep what is at {path}: {error} with `output`") from None
    except OSError as error:
        raise MnistCliError(
            f"cannot keep what is at {path}: {error.strerror}; choose another place with `output`"
        ) from None
    if is_other:
        raise ConfigError(f"{path} is no checkpoint; name another file with `output`")


def _may_be_checkpoint(path: Path) -> bool:
    """Tell by a file's beginning whether it was a checkpoint, though it may be damaged, or is empty.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as old:
        return old.read(len(ARCHIVE)) in (b"", ARCHIVE)


def save(checkpoint: Checkpoint, path: Path) -> Path | None:
    """Write a checkpoint in one stroke; a file in its place is kept, unless it is an earlier state of the same run.

    Returns:
        The backup that the old file became, or None where there was none.

    Raises:
        MnistCliError: the file cannot be written; what was there before is still there.
    """
    content = pack(checkpoint)  # a full disk then fails in our write, with its reason, and not inside torch
    try:
        backup = _keep_other(path, checkpoint)
        try:
            with atomic_write(path) as file:
                file.write(content)
        except OSError:  # after an interruption it is not sure that the old file is still there
            if backup:
                with suppress(OSError):  # the reason for the failure is what is told
                    backup.unlink()
            raise
    except OSError as error:
        raise cannot_write(path, error) from None
    return backup


def _keep_other(path: Path, new: Checkpoint) -> Path | None:
    """Copy what `new` does not continue, and would replace, to a name with its date."""
    if not path.exists():
        return None
    try:
        old = load(path)
        if old.run_id == new.run_id and (old.epoch, old.partial["step"]) <= (new.epoch, new.partial["step"]):
            return None
    except CheckpointError:
        pass  # whatever it is, somebody may want it
    backup = _backup_of(path)
    # Some file systems refuse permissions or times; the copy is what counts.
    with path.open("rb") as file, atomic_write(backup) as copy:
        with suppress(OSError):  # before there is anything that others could read
            shutil.copymode(path, copy.name)
        shutil.copyfileobj(file, copy)
    with suppress(OSError):
        shutil.copystat(path, backup)
    return backup


def _backup_of(path: Path) -> Path:
    """Give a name with a file's date that is not taken yet."""
    date = f"{datetime.fromtimestamp(path.stat().st_mtime):%Y-%m-%d-%H%M%S}"
    backup = path.with_name(f"{path.stem}.{date}{path.suffix}")
    for number in count(2):
        if not backup.exists():
            break
        backup = path.with_name(f"{path.stem}.{date}-{number}{path.suffix}")
    return backup
