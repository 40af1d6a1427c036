"""Which picture files are meant: files as they are named, folders with all that is in them, patterns."""

import glob
import os
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from PIL import Image

from mnistcli.errors import ConfigError

STANDARD_INPUT = "-"
UNDRAWN = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow knows, but cannot read by itself


def is_pattern(name: str | Path) -> bool:
    """Tell whether a name stands for the files that match it, rather than for a file of that very name."""
    return glob.has_magic(str(name)) and not os.path.exists(name)  # noqa: PTH110  # as below


def url_of(path: Path) -> str | None:
    """Give the URL that was taken for a path, which has only one of its two slashes; None for any other path."""
    scheme, _, rest = path.as_posix().partition(":/")
    return f"{scheme}://{rest}" if scheme.lower() in ("http", "https", "ftp") and not os.path.exists(path) else None  # noqa: PTH110


def find_pictures(names: str | Path | Iterable[str | Path]) -> Iterator[Path]:
    """Give the picture files that are named, in order.

    A folder stands for all pictures in it and in its folders, sorted by path, hidden ones left out; a pattern such as
    `digits/*.png`, where no file has that very name, for the files that match it and those in folders that do, sorted
    and each once. A name that stands for nothing is given as it is, so that whoever opens it tells what is wrong.

    Raises:
        ConfigError: one of them is no name.
    """
    for name in _each(names):
        files = (_pictures_in(match) if is_folder(match) else [match] for match in _matching(name))
        is_special = str(name) in (STANDARD_INPUT, "")
        yield from _once(chain.from_iterable(files)) or [Path(name) if is_special else _file(name)]


def _each(names: object) -> Iterator[str | Path]:
    if isinstance(names, Iterable) and not isinstance(names, str | bytes | os.PathLike):
        return map(_checked, names)
    return iter([_checked(names)])


def _checked(name: object) -> str | Path:
    if isinstance(name, str | Path):
        return name
    if isinstance(name, os.PathLike):
        return Path(name)
    raise ConfigError(f"a picture is given by its path, and not as {type(name).__name__}")


def find_folders(names: str | Path | Iterable[str | Path]) -> Iterator[Path]:
    """Give the folders that stand for the pictures in them: those that are named or match a pattern.

    Raises:
        ConfigError: as for `find_pictures`.
    """
    return (match for name in _each(names) for match in _matching(name) if is_folder(match))


def _matching(name: str | Path) -> list[Path]:
    """Give a folder that is named, or the files and folders that match a pattern; else nothing."""
    if is_folder(name):  # not of a Path, which takes an empty name for the current folder
        return [Path(name)]
    return _once(map(_file, glob.iglob(str(name), recursive=True))) if is_pattern(name) else []  # noqa: PTH207


# Paths themselves are not asked, for they raise errors where a name is too long or a folder closed.
def is_folder(path: str | Path) -> bool:
    """Tell whether a path is that of a folder that can be reached."""
    return os.path.isdir(path)  # noqa: PTH112


def _file(name: str | Path) -> Path:
    """Give a path that is neither standard input's nor an empty name's, from which Path does not tell `./-` and `.`."""
    path = Path(name)
    return path.absolute() if str(path) in (STANDARD_INPUT, os.curdir) else path


def _may_be_file(path: Path) -> bool:
    """Tell whether it is a file, or cannot be reached, which whoever opens it tells."""
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113


def _once(paths: Iterable[Path]) -> list[Path]:
    """Sort paths; of several that lead to one place, by links or by way of a folder, only the shortest stays."""
    real = cache(os.path.realpath)
    shortest: dict[tuple[str, str], Path] = {}
    for path in sorted(paths, key=lambda path: (len(path.parts), path.parts)):
        shortest.setdefault((real(path.parent), path.name), path)
    return sorted(shortest.values(), key=lambda path: path.parts)  # by their parts, which is faster than by paths


def _pictures_in(folder: Path) -> list[Path]:
    kinds = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN.keys() - UNDRAWN}
    files = (path for path in folder.rglob("*") if path.suffix.lower() in kinds and _may_be_file(path))
    depth = len(folder.parts)
    return [path for path in files if not any(part.startswith(".") for part in path.parts[depth:])]
