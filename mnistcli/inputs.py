"""Which picture files are meant: files as they are named, folders with all that is in them, patterns."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

STANDARD_INPUT = "-"


def find_pictures(names: Iterable[str | Path]) -> Iterator[Path]:
    """Give the picture files that are named, in order.

    A folder stands for all pictures in it and in its folders, sorted by path, hidden ones left out; a pattern such as
    `digits/*.png`, where no file has that very name, for the files that match it. What stands for nothing is given as
    it is, so that whoever opens it tells what is wrong.
    """
    for name in names:
        path = Path(name)
        found: Iterable[Path] = ()
        if path.is_dir():
            found = _pictures_in(path)
        elif glob.has_magic(str(name)) and not path.exists():
            found = (Path(match) for match in sorted(glob.glob(str(name), recursive=True)))  # noqa: PTH207  # may be absolute
        is_empty = True
        for picture in found:
            is_empty = False
            yield picture
        if is_empty:
            yield path


def _pictures_in(folder: Path) -> list[Path]:
    kinds = Image.registered_extensions()
    inside = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in kinds)
    return [folder / path for path in sorted(inside) if not any(part.startswith(".") for part in path.parts)]
