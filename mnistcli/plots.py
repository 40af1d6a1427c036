"""Everything matplotlib: samples in, a picture file out. No display is needed, except to show a window."""

import io
import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistcli.errors import ConfigError, MnistCliError
from mnistcli.files import atomic_write, cannot_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mnistcli.data import Samples

DPI = 100
PIXEL_PX = 3  # output pixels per image pixel, a whole number so that none is blurred
LABEL_PX = 10  # image pixels above each digit, for its label
LABEL_POINTS = 16
GAP_PX = 4  # image pixels between digits
PAPER = 255
BACKEND = "MPLBACKEND"  # the variable by which matplotlib is told one
MARK = "drawn by mnistcli"  # in every drawing's file, whatever its format, to tell it from a person's own
EXIF_DESCRIPTION = 270  # the tag for it in TIFF files and EXIF data, by their specifications
# Formats that matplotlib writes, but that only TeX, or no program, can show; and svgz, which would hide the mark.
UNUSED = {"pgf", "raw", "rgba", "svgz"}


def _load() -> None:
    """Import matplotlib whatever backend MPLBACKEND names: only a window needs one, and a notebook's may be missing.

    Raises:
        MnistCliError: it cannot be imported, as where the user's settings cannot be read.
    """
    if "matplotlib" in sys.modules:
        return
    # What it warns of, such as a folder for its settings that cannot be made, is nothing that a drawing would lack.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    backend = os.environ.pop(BACKEND, None)
    try:
        import matplotlib  # noqa: F401
    except (OSError, ValueError) as error:
        raise MnistCliError(f"matplotlib cannot be loaded: {error}; see MATPLOTLIBRC and MPLCONFIGDIR") from None
    finally:
        if backend is not None:
            os.environ[BACKEND] = backend


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw by matplotlib's defaults in the block, or in the decorated function.

    By a user's own settings, labels might be white, images upside down, margins cut off, or TeX be asked for. Not for
    several threads at once: matplotlib's settings are the process's.

    Raises:
        MnistCliError: matplotlib cannot be imported.
    """
    _load()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


@own_settings()
def new_figure(*, window: bool = False) -> "Figure":
    """Make an empty figure for a file only, or also for a window, if there is a display and MPLBACKEND can use it."""
    from matplotlib.figure import Figure

    if not window:
        return Figure()
    from matplotlib import pyplot

    try:
        if backend := os.environ.get(BACKEND):
            pyplot.switch_backend(backend)
        return pyplot.figure()
    except (ImportError, RuntimeError, ValueError):  # so that the file is written all the same
        return Figure()


@own_settings()
def draw_samples(figure: "Figure", samples: "Samples") -> None:
    """Draw samples as a labelled grid, as nearly square as whole rows allow; the figure takes its size.

    Pixel values 0..255 appear as the same grey levels, PIXEL_PX times enlarged.
    """
    import torch.nn.functional as F
    from torchvision.utils import make_grid

    columns = math.ceil(math.sqrt(len(samples)))
    cells = F.pad(samples.images, (0, 0, LABEL_PX, 0), value=PAPER)  # (N, 1, 38, 28)
    grid = make_grid(cells, nrow=columns, padding=GAP_PX, pad_value=PAPER)  # (3, H, W)
    if len(samples) == 1:  # the one case that make_grid leaves without a border
        grid = F.pad(grid, (GAP_PX,) * 4, value=PAPER)
    height, width = grid.shape[1:]
    figure.set_dpi(DPI)
    figure.set_size_inches(width * PIXEL_PX / DPI, height * PIXEL_PX / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    # As RGB, which is shown as it is: the grey colour map turns some levels into their neighbours.
    axes.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest", aspect="auto")
    axes.axis("off")
    for index, label in enumerate(samples.labels.tolist()):
        row, column = divmod(index, columns)
        x = GAP_PX + column * (cells.shape[3] + GAP_PX) + cells.shape[3] / 2
        y = GAP_PX + row * (cells.shape[2] + GAP_PX) + LABEL_PX / 2
        axes.text(x, y, str(label), ha="center", va="center", fontsize=LABEL_POINTS)


def picture_format(path: Path) -> str:
    """Give the format that a file's ending names.

    Raises:
        ConfigError: matplotlib cannot draw it.
        MnistCliError: matplotlib cannot be used.
    """
    _load()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes().keys() - UNUSED
    kind = path.suffix.removeprefix(".").lower() or "png"
    if kind not in known:
        raise ConfigError(f"cannot draw {path}: no picture format {kind!r}; known: {', '.join(sorted(known))}")
    return kind


def is_replaceable(path: Path) -> bool:
    """Tell whether a drawing called so replaces nothing but a drawing, or an empty file.

    What is no file, or cannot be read, stays.

    Raises:
        ConfigError: no drawing can have that format.
        MnistCliError: matplotlib cannot be used.
    """
    picture_format(path)
    try:
        if not path.is_file():
            return not path.exists()
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                return True
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                return content.find(MARK.encode()) >= 0
    except OSError:  # where nothing can be, writing tells why
        return not os.path.lexists(path)  # Path's own methods may raise


def _marked(kind: str) -> dict[str, Any]:
    """Give what `savefig` takes to mark a drawing of a format."""
    if kind == "png":
        return {"metadata": {"Comment": MARK, "Software": None}}  # which would be matplotlib and its version
    if kind in ("pdf", "ps", "eps"):
        return {"metadata": {"Creator": MARK}}
    if kind == "svg":
        return {"metadata": {"Description": MARK}}
    if kind in ("tif", "tiff"):
        return {"pil_kwargs": {"tiffinfo": {EXIF_DESCRIPTION: MARK}}}
    if kind in ("webp", "avif"):
        from PIL import Image

        exif = Image.Exif()
        exif[EXIF_DESCRIPTION] = MARK
        return {"pil_kwargs": {"exif": exif}}
    return {"pil_kwargs": {"comment": MARK}}  # JPEG, GIF


def check_replaceable(path: Path) -> None:
    """Make sure that a drawing replaces nothing else, such as the picture of a digit.

    Raises:
        ConfigError: something else is there, or no drawing can have that format.
        MnistCliError: matplotlib cannot be used.
    """
    if not is_replaceable(path):
        raise ConfigError(f"{path} was not drawn by mnistcli, and would be replaced; name another file")


@own_settings()
def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure in the format that the file's ending names, .png where it has none.

    Raises:
        ConfigError: matplotlib does not know the format.
        MnistCliError: the file cannot be written.
    """
    # A full disk then fails in our write: Pillow writes JPEG past Python, and tells of nothing that was not written.
    buffer = io.BytesIO()
    kind = picture_format(path)
    figure.savefig(buffer, format=kind, dpi=DPI, **_marked(kind))
    try:
        with atomic_write(path) as file:
            file.write(buffer.getbuffer())
    except OSError as error:
        raise cannot_write(path, error) from None


def show_figure(figure: "Figure") -> bool:
    """Show a figure made for a window until the window is closed; give False, at once, if it cannot be shown."""
    from matplotlib import pyplot

    if figure.canvas.required_interactive_framework is None:
        return False
    pyplot.show()
    return True
