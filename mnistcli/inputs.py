"""Which picture files are meant: files as they are named, folders with all that is in them, patterns."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

STANDARD_INPUT = "-"
UNDRAWN = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow knows, but needs other programs to draw


def find_pictures(names: Iterable[str | Path]) -> Iterator[Path]:
    """Give the picture files that are named, in order.

    A folder stands for all pictures in it and in its folders, sorted by path, hidden ones left out; a pattern such as
    `digits/*.png`, where no file has that very name, for the files that match it. What stands for nothing is given as
    it is, so that whoever opens it tells what is wrong.
    """
    for name in [names] if isinstance(names, str | Path) else names:
        path = Path(name)
        found: Iterable[Path] = ()
        # Not asked of the path itself, which raises errors where a name is too long or a folder closed.
        if os.path.isdir(path):  # noqa: PTH112
            found = _pictures_in(path)
        elif glob.has_magic(str(name)) and not os.path.exists(path):  # noqa: PTH110
            matches = map(Path, sorted(glob.glob(str(name), recursive=True)))  # noqa: PTH207  # may be absolute
            found = (inside for match in matches for inside in (_pictures_in(match) if match.is_dir() else [match]))
        is_empty = True
        for picture in found:
            is_empty = False
            yield picture
        if is_empty:
            yield path


def _pictures_in(folder: Path) -> list[Path]:
    kinds = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN.keys() - UNDRAWN}
    files = (path for path in folder.rglob("*") if path.suffix.lower() in kinds and path.is_file())
    depth = len(folder.parts)
    inside = ((path.parts[depth:], path) for path in files)  # their names, which are sorted faster than paths
    return [path for parts, path in sorted(inside) if not any(part.startswith(".") for part in parts)]
