"""Nothing is lost where a checkpoint is saved: neither the new file, nor what was there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import pytest

from conftest import make_checkpoint, no_room_for_files
from mnistcli import saving
from mnistcli.checkpoint import load
from mnistcli.errors import ConfigError, MnistCliError
from mnistcli.files import atomic_write
from mnistcli.saving import check_savable, save


def test_the_same_run_replaces_its_file(saved: Path) -> None:
    assert save(make_checkpoint(), saved) is None
    assert [path.name for path in saved.parent.iterdir()] == ["ckpt.pt"]


@pytest.mark.parametrize("other", ["another run", "no checkpoint"])
def test_another_file_is_kept_under_its_date(saved: Path, other: str) -> None:
    if other == "no checkpoint":
        saved.write_text("a letter")
    content = saved.read_bytes()
    saved.chmod(0o600)
    os.utime(saved, (1_000_000_000, 1_000_000_000))
    before = saved.stat()
    backup = save(make_checkpoint("another"), saved)
    assert backup is not None
    assert backup.name.startswith("ckpt.2001-09-09-")
    assert (backup.stat().st_mode, backup.stat().st_mtime) == (before.st_mode, before.st_mtime)
    assert backup.read_bytes() == content
    assert load(saved).run_id == "another"


def test_a_name_that_leaves_no_room_for_that_of_a_backup_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 245}.pt"
    check_savable(path)
    save(make_checkpoint(), path)
    check_savable(path, resumed=path)
    with pytest.raises(MnistCliError, match=r"cannot keep what is at .*: File name too long; .* `output`"):
        check_savable(path)


@pytest.mark.parametrize(("content", "is_refused"), [(b"lr = 0.1", True), (b"", False), (b"PK\3\4 damaged", False)])
def test_a_run_is_to_replace_checkpoints_alone(saved: Path, content: bytes, *, is_refused: bool) -> None:
    saved.write_bytes(content)
    with pytest.raises(ConfigError, match="is no checkpoint; name another file") if is_refused else nullcontext():
        check_savable(saved)


def test_no_backup_replaces_another(saved: Path) -> None:
    for run in ("second", "third"):
        os.utime(saved, (1_000_000_000, 1_000_000_000))  # both within one second
        save(make_checkpoint(run), saved)
    kept = sorted(path.name for path in saved.parent.iterdir() if path != saved)
    assert [load(saved.with_name(name)).run_id for name in kept] == ["second", "run"]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_private_file_stays_private(saved: Path) -> None:
    saved.chmod(0o600)
    save(make_checkpoint(), saved)
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_is_followed(saved: Path) -> None:
    link = saved.with_name("link.pt")
    link.symlink_to(saved)
    save(make_checkpoint(), link)
    assert link.is_symlink()
    assert load(saved).run_id == "run"


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_failed_write_leaves_no_copy_of_the_old_file(saved: Path) -> None:
    saved.write_text("a letter")  # that there is room to copy, but none for a checkpoint
    with no_room_for_files(), pytest.raises(MnistCliError, match="cannot write"):
        save(make_checkpoint("another"), saved)
    assert saved.read_text() == "a letter"
    assert [path.name for path in saved.parent.iterdir()] == ["ckpt.pt"]


def test_an_interrupt_once_the_new_file_is_there_leaves_the_copy_of_the_old_one(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def interrupted(path: Path) -> Iterator[BinaryIO]:
        with atomic_write(path) as file:
            yield file
        if path == saved:
            raise KeyboardInterrupt

    monkeypatch.setattr(saving, "atomic_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(make_checkpoint("another"), saved)
    assert load(saved).run_id == "another"
    [backup] = [path for path in saved.parent.iterdir() if path != saved]
    assert load(backup).run_id == "run"


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("run_id", ["run", "another"])
def test_a_failed_write_leaves_the_old_file(saved: Path, run_id: str) -> None:
    content = saved.read_bytes()
    with (
        no_room_for_files(),
        pytest.raises(MnistCliError, match=r"cannot write .*: File too large; choose another place"),
    ):
        save(make_checkpoint(run_id), saved)
    assert saved.read_bytes() == content
    assert [path.name for path in saved.parent.iterdir()] == ["ckpt.pt"]


def test_a_backup_is_made_where_a_files_times_cannot_be_set(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    content = saved.read_bytes()
    saved.chmod(0o600)
    monkeypatch.setattr("shutil.copystat", refuse)  # as some network file systems do
    backup = save(make_checkpoint("another"), saved)
    assert backup is not None
    assert backup.stat().st_mode == saved.stat().st_mode
    assert backup.read_bytes() == content
    assert load(saved).run_id == "another"
