"""A reading as a picture: where the digits were found, what the network saw of each, and what it said."""

import math
import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistcli.errors import ConfigError
from mnistcli.files import cannot_write, check_writable, names_folder
from mnistcli.inputs import STANDARD_INPUT, find_folders, find_pictures, is_folder
from mnistcli.plots import (
    DPI,
    check_replaceable,
    is_replaceable,
    new_figure,
    own_settings,
    picture_format,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mnistcli.glyphs import Grey
    from mnistcli.images import Glyph, Picture
    from mnistcli.reading import MultiPrediction, Prediction

# The layout, in output pixels: the picture at the left, the digits at the right, two lines of text above both.
WIDTH_PX, HEIGHT_PX = 960, 480
MARGIN_PX = 24
TITLE_PX, NAME_PX = 28, 54  # the lines' middles
TOP_PX = 96  # leaves room for the label of a box at the picture's upper edge
PICTURE_PX = 400
RIGHT_PX = MARGIN_PX + PICTURE_PX + 32
ONE_PX, MANY_PX = 7 * 28, 3 * 28  # what the network saw, of one digit and of several: no pixel is blurred
CELL_PX = MANY_PX + 16
DIGIT_PX = 28  # for the digit left of a bar
ONE_SHARE_PX, MANY_SHARE_PX = 80, 56  # for the number right of it
LEAST_BOX_PX = 12  # of a box's sides, of which the outline takes three
LABEL_WIDE_PX, LABEL_HIGH_PX = 16, 20  # of the digit above a box
LABEL_COVERED_PX = 4  # of that may lie on another box, for where digits touch, the next one's may begin a little higher
MOST_SHOWN = 12
ROWS_OF_ONE_COLUMN = 4
TOP_BARS = 3

FONT = "DejaVu Sans"  # comes with matplotlib
# Of the palette that Okabe and Ito made for the colour-blind; dashes and a question mark tell an unsure answer too.
SURE, UNSURE = "#0072B2", "#D55E00"
OTHERS, TRACK, FAINT = "#AAAAAA", "#EEEEEE", "#666666"


_Area = tuple[float, float, float, float]  # left, top, width, height in pixels of the picture


class ReadingPictures:
    """Draws readings to files: to one file, or to one for each picture in a folder.

    Args:
        place: a file by its ending, or a folder; a text that ends with a slash is a folder's.
        images: what is read, as `find_pictures` takes it.

    Raises:
        ConfigError: there are several pictures for one file, or its format is unknown, or a drawing might replace a
            picture that is read, or be read itself.
        MnistCliError: the folder cannot be looked into, or matplotlib cannot be used.
    """

    def __init__(self, place: str | Path, images: Sequence[str | Path]) -> None:
        self.place = Path(place)
        self.takes_several = is_folder(place) or not self.place.suffix or names_folder(place)
        pictures = list(find_pictures(images))
        self._check_apart(pictures, find_folders(images))
        if not self.takes_several and len(pictures) > 1:
            raise self._too_many()
        self._example = self.place / "drawing.png" if self.takes_several else self.place
        picture_format(self._example)
        self.drawn: set[str] = set()  # names, in small letters, for some disks do not tell One.png from one.png

    def make_place(self) -> None:
        """Make sure that drawings can be written; missing folders are made, so that all else should be sure before.

        Raises:
            ConfigError: the place is no file, or a file that is no drawing.
            MnistCliError: its folder cannot be made or written.
        """
        check_writable(self._example)
        if not self.takes_several:
            check_replaceable(self.place)

    def draw(self, answer: "Prediction | MultiPrediction") -> None:
        """Draw what was read, unless there was no picture to read.

        Raises:
            ConfigError: there is a second picture for one file.
            MnistCliError: the file cannot be written.
        """
        if answer.picture is None:
            return
        figure = new_figure()
        draw_reading(figure, answer.picture, answer.digits, reading_title(answer))
        save_figure(figure, self._path(Path(answer.path)))

    def _check_apart(self, pictures: Iterable[Path], folders: Iterable[Path]) -> None:
        """Make sure that no drawing replaces a picture that is read, or comes to lie in a folder that is read."""
        place = _real(self.place)
        itself = _identity(place)
        replaced = {itself, *map(_identity, self._linked())}
        read = (_real(path) for path in pictures if os.path.exists(path))  # noqa: PTH110  # as in inputs
        if any(_identity(path) in replaced or _identity(path.parent) == itself for path in read):
            raise ConfigError(f"`picture` {self.place} would replace a picture that is read; name another place")
        around = {itself, *map(_identity, place.parents)}
        if any(_identity(folder) in around for folder in folders):
            raise ConfigError(f"`picture` {self.place} is in a folder that is read; name another place")

    def _linked(self) -> set[Path]:
        """Give what links in the folder lead to, for a drawing follows them."""
        if not is_folder(self.place):
            return set()
        try:
            return {_real(path) for path in self.place.iterdir() if path.is_symlink()}
        except OSError as error:
            raise cannot_write(self.place, error) from None

    def _path(self, picture: Path) -> Path:
        if not self.takes_several:
            if self.drawn:
                raise self._too_many()
            self.drawn.add(self.place.name.casefold())
            return self.place
        numbers = count(2)
        name = "standard-input" if str(picture) == STANDARD_INPUT else picture.stem
        drawing = f"{name}.png"
        # Pictures in several folders may have one name, and something else that is in this one may have it.
        while drawing.casefold() in self.drawn or not is_replaceable(self.place / drawing):
            drawing = f"{name}-{next(numbers)}.png"
        self.drawn.add(drawing.casefold())
        return self.place / drawing

    def _too_many(self) -> ConfigError:
        return ConfigError(f"`picture` {self.place} is one file for several pictures; name a folder")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _identity(path: Path) -> Path | tuple[int, int]:
    """Give what all names of one file or folder have in common: One.png and one.png may be two of them."""
    try:
        found = path.stat()
    except OSError:  # it is not there
        return path
    return found.st_dev, found.st_ino


def reading_title(answer: "Prediction | MultiPrediction") -> str:
    """Say in a line what was read, rows apart, and how sure its least sure digit is, if all are named."""
    from mnistcli.reading import MultiPrediction

    if not answer.digits:
        return answer.status
    text = " / ".join(answer.lines) if isinstance(answer, MultiPrediction) else answer.text
    sureness = f"{answer.confidence:.1%}" if answer.status == "ok" else answer.status
    return f"{text}   {sureness}"


def _glyph(answer: "Prediction") -> "Glyph":
    assert answer.glyph is not None  # it is a digit that was found
    return answer.glyph


def _colour(answer: "Prediction") -> str:
    """Give the colour of a digit's box, its label and its bar."""
    return SURE if answer.status == "ok" else UNSURE


def _best(answer: "Prediction") -> str:
    """Name the digit that it is taken for, or what is the most probable where it is taken for none."""
    return answer.text if answer.status == "ok" else answer.ranked()[0][0]


@own_settings()
def draw_reading(figure: "Figure", picture: "Picture", answers: Sequence["Prediction"], title: str) -> None:
    """Draw a picture with its digits boxed, and what the network saw and said of each; the figure takes its size.

    Args:
        figure: an empty one.
        picture: as it was read.
        answers: one for each digit found in it, with its glyph, none if it is blank; those after the first MOST_SHOWN
            are boxed only.
        title: a line above; the picture's name comes below it. Either loses its middle if it is too long.
    """
    columns = 1 if len(answers) <= ROWS_OF_ONE_COLUMN else 2
    rows = math.ceil(min(len(answers), MOST_SHOWN) / columns)
    height = max(HEIGHT_PX, TOP_PX + rows * CELL_PX + 2 * MARGIN_PX)
    middle = (TOP_PX + height - MARGIN_PX) / 2
    figure.set_dpi(DPI)
    figure.set_size_inches(WIDTH_PX / DPI, height / DPI)
    figure.set_facecolor("white")
    _write(figure, title, MARGIN_PX, TITLE_PX, size=16, weight="bold")
    _write(figure, picture.name, MARGIN_PX, NAME_PX, size=10, color=FAINT)
    _draw_picture(_axes(figure, MARGIN_PX, TOP_PX, PICTURE_PX, height - TOP_PX - MARGIN_PX), picture, answers)
    if not answers:
        _write(figure, "blank", RIGHT_PX, middle, size=24, color=FAINT)
    elif len(answers) == 1:
        _draw_one(figure, answers[0], middle)
    else:
        _draw_grid(figure, answers, rows, columns)


def _draw_picture(axes: "Axes", picture: "Picture", answers: Sequence["Prediction"]) -> None:
    """Show the picture in the pixels that it had, which the boxes are in, with a labelled box around each digit.

    A label that would lie on a box or another label, above its own and below it, is left out.
    """
    width, height = picture.size
    # Grey as RGB, which is shown as it is: the grey colour map turns some levels into their neighbours.
    pixels = picture.pixels.repeat(3 // picture.pixels.shape[2], 2)  # (H, W, 3)
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation="antialiased")
    _frame(axes)
    axes.set_anchor("N" if len(answers) > 1 else "C")
    room = axes.get_window_extent()
    scale = max(width / room.width, height / room.height)  # pixels of the picture for one of the output
    boxes = [_widened(_glyph(answer).box, LEAST_BOX_PX * scale) for answer in answers]
    taken = list(boxes)
    for box, answer in zip(boxes, answers, strict=True):
        _draw_box(axes, box, answer)
        for is_above in (True, False):
            label = _label_place(box, scale, is_above)
            if not any(_overlap(label, other) for other in taken if other is not box):
                _draw_label(axes, box, answer, is_above)
                taken.append(label)
                break


def _widened(box: _Area, least: float) -> _Area:
    """Make a box large enough for its outline to hide nothing in it."""
    left, top, wide, high = box
    more_wide, more_high = max(least - wide, 0), max(least - high, 0)
    return left - more_wide / 2, top - more_high / 2, wide + more_wide, high + more_high


def _label_place(box: _Area, scale: float, is_above: bool) -> _Area:
    left, top, _, high = box
    label_top = top - LABEL_HIGH_PX * scale if is_above else top + high + LABEL_COVERED_PX * scale
    return left, label_top, LABEL_WIDE_PX * scale, (LABEL_HIGH_PX - LABEL_COVERED_PX) * scale


def _overlap(one: _Area, other: _Area) -> bool:
    (left, top, wide, high), (other_left, other_top, other_wide, other_high) = one, other
    beside = left >= other_left + other_wide or other_left >= left + wide
    return not (beside or top >= other_top + other_high or other_top >= top + high)


def _draw_box(axes: "Axes", place: _Area, answer: "Prediction") -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    left, top, wide, high = place
    box = Rectangle((left, top), wide, high, fill=False, edgecolor=_colour(answer), linewidth=2, clip_on=False)
    box.set_linestyle("solid" if answer.status == "ok" else (0, (4, 2)))
    box.set_path_effects([withStroke(linewidth=4, foreground="white")])  # makes it stand out from any paper
    axes.add_patch(box)


def _draw_label(axes: "Axes", box: _Area, answer: "Prediction", is_above: bool) -> None:
    left, top, _, high = box
    axes.annotate(
        answer.text,
        (left, top if is_above else top + high),
        (2, 3 if is_above else -3),
        textcoords="offset points",
        va="bottom" if is_above else "top",
        bbox={"facecolor": _colour(answer), "edgecolor": "white", "linewidth": 0.7, "pad": 2.0},
        size=11,
        weight="bold",
        color="white",
        family=FONT,
        annotation_clip=False,
    )


def _draw_one(figure: "Figure", answer: "Prediction", middle: float) -> None:
    """Show what the network saw of a single digit, beside all probabilities, about a middle line."""
    top = middle - ONE_PX / 2
    _draw_image(_axes(figure, RIGHT_PX, top, ONE_PX, ONE_PX), _glyph(answer).image)
    _write(figure, "what the network saw", RIGHT_PX, top + ONE_PX + 16, size=10, color=FAINT)
    left = RIGHT_PX + ONE_PX + 16 + DIGIT_PX
    width, height = WIDTH_PX - MARGIN_PX - ONE_SHARE_PX - left, 2 * (middle - TOP_PX)
    shares = sorted(answer.ranked())  # by name: the digits, then the question mark
    _draw_bars(_axes(figure, left, TOP_PX, width, height), answer, shares, ONE_SHARE_PX, decimals=1)


def _draw_grid(figure: "Figure", answers: Sequence["Prediction"], rows: int, columns: int) -> None:
    """Show what the network saw of several digits, in reading order, each beside what it most probably is."""
    wide = (WIDTH_PX - MARGIN_PX - RIGHT_PX) / columns
    for index, answer in enumerate(answers[:MOST_SHOWN]):
        row, column = divmod(index, columns)
        left, top = RIGHT_PX + column * wide, TOP_PX + row * CELL_PX
        _draw_image(_axes(figure, left, top, MANY_PX, MANY_PX), _glyph(answer).image)
        start = left + MANY_PX + DIGIT_PX
        bars = _axes(figure, start, top, left + wide - 12 - MANY_SHARE_PX - start, MANY_PX)
        _draw_bars(bars, answer, answer.ranked()[:TOP_BARS], MANY_SHARE_PX, decimals=0)
    if len(answers) > MOST_SHOWN:
        rest = f"and {len(answers) - MOST_SHOWN} more"
        _write(figure, rest, RIGHT_PX, TOP_PX + rows * CELL_PX + 8, size=11, color=FAINT)


def _draw_image(axes: "Axes", image: "Grey") -> None:
    """Show a (28, 28) image, each pixel a square of its own grey."""
    axes.imshow(image[..., None].repeat(3, 2), interpolation="nearest", aspect="auto")
    _frame(axes)


def _draw_bars(
    axes: "Axes", answer: "Prediction", shares: Sequence[tuple[str, float]], share_px: int, *, decimals: int
) -> None:
    """Show some probabilities, one below another, that of what it is taken for emphasised."""
    places, best = range(len(shares)), _best(answer)
    colours = [_colour(answer) if name == best else OTHERS for name, _ in shares]
    axes.barh(places, [1.0] * len(shares), height=0.7, color=TRACK)
    axes.barh(places, [share for _, share in shares], height=0.7, color=colours)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.axis("off")
    for place, (name, share) in zip(places, shares, strict=True):
        weight, colour = ("bold", "black") if name == best else ("normal", FAINT)
        for end, shift_px, text in ((0, -6, name), (1, share_px, f"{share:.{decimals}%}")):
            axes.annotate(
                text,
                (end, place),
                (shift_px * 72 / DPI, 0),  # in points
                textcoords="offset points",
                ha="right",
                va="center",
                size=11,
                weight=weight,
                color=colour,
                family=FONT,
            )


def _axes(figure: "Figure", left: float, top: float, width: float, height: float) -> "Axes":
    """Make axes at a place given in output pixels from the upper left corner."""
    full_width, full_height = figure.get_size_inches() * DPI
    return figure.add_axes(
        (left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    )


def _frame(axes: "Axes") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(OTHERS)
        side.set_linewidth(0.7)


def _write(figure: "Figure", text: str, left: float, middle: float, **look: Any) -> None:
    """Write a line as far as the right margin at most, without its middle where that is too long."""
    whole = _drawable(text)
    height = figure.get_size_inches()[1] * DPI
    line = figure.text(
        left / WIDTH_PX,
        1 - middle / height,
        whole,
        va="center",
        family=FONT,
        parse_math=False,
        **{"color": "black"} | look,
    )
    room = WIDTH_PX - MARGIN_PX - left
    kept = len(whole)
    while kept > 0 and (width := line.get_window_extent().width) > room:
        kept = min(kept - 1, int((kept + 1) * room / width))
        line.set_text(whole[: (kept + 1) // 2] + "…" + whole[len(whole) - kept // 2 :])


def _drawable(text: str) -> str:
    """Replace what the font has no shape for, of which matplotlib would warn."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(FONT))
    return "".join(char if font.get_char_index(ord(char)) else "\N{REPLACEMENT CHARACTER}" for char in text)
