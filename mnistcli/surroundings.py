"""What lies along a picture's border and is no paper: a screenshot's black, a table beside a page, a room behind it."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.images import Picture
from mnistcli.outlines import LEAST_ROOM_PX, SURE_FIT, outline
from mnistcli.paper import SURFACE_PX, flat_colour, surface
from mnistcli.planes import (
    ByteMask,
    Image,
    Mask,
    Pixels,
    Plane,
    border_pixels,
    bounding_window,
    connect,
    distance_inside,
    quantile,
    resize,
    shrunk_size,
    slope,
    touches_border,
)
from mnistcli.sheets import Crop, cut_out, without_edge

SURROUNDED_PX = 64  # of the shorter side: a smaller picture was cut out already
TABLE_PX, TABLE_EDGE_PX = 200, 3  # the longer side at which a table is looked for, and how soft its edge may be there
TABLE_LEVELS = 40  # of 255: a table differs from the paper by more
TABLE_STEP = 0.85  # of this difference: close beside the edge there is more of it; at a soft shadow there is less
TABLE_GRAIN, TABLE_SHARE = 25, 0.995  # of 255: this share of a table differs by less from its colour
TABLE_COMPONENT_PX = 8  # at that size: a longer component on the table may be a digit
STROKE_PX, LEAST_CROSSING = 15, 30  # at that size: strokes are narrower, and cross an edge with more pixels
LEAST_TABLE, MOST_TABLE = 0.04, 0.8  # of the picture: a table takes more than the first share, and less than the second
LEAST_BESIDE_OTHERS = 0.2  # of the picture: a sheet that is not alone on a table takes more
# On a sheet in a room, levels change by less than the first of these from one pixel to the next, at the size at which a
# table is looked for; by the others where the paper is rough, or the picture small.
SMOOTH_LEVELS = 2, 4, 8
# Without what covers it, a sheet takes more of its convex hull than the first, and of the picture than the second.
SHEET_SOLIDITY, LEAST_SHEET = 0.78, 0.04
SHEET_SIDE = 0.3  # of its longer side: its shorter one is longer, and that of a button or a plate is not
SAME_PAPER = 0.5  # of the picture's border: if more of it has the sheet's colour, it is the same paper
# In a cluttered room, more than half of the picture's border is off the paper that would fit it best by more than so
# many levels, of 255: by 20 or more in artificial ones, and by 16 at most in 124 pictures of digits on paper.
CLUTTER_LEVELS = 18
BAR_LEVELS = 24  # of 255: what differs by less, as by noise, has the same colour
BAR_EDGE_PX = 3  # rows that the edge of a bar takes where it is soft
BAR_LOOKS = 16  # pixels of each row that are looked at first
BAR_DEPTH = 1 / 5  # of a picture's height: as many rows after a bar differ from it; a stroke or a ruled line has fewer
# Of the pixels in each of those rows, more than this share differs from the bar; of those in the first one, more than
# this.
BAR_BESIDE, BAR_NEXT = 0.6, 0.98
# A line of writing on a bar is lower than the first share of the picture, in the direction in which the bar's rows are
# counted; all of them take less than the second share of those rows.
LINE_HEIGHT, WRITTEN_SHARE = 0.05, 0.5
# Of 255: along the border, a canvas is no more off its colour than the first; what is no more off than the second, as
# it may be in a JPEG file, is canvas, too.
CANVAS_BORDER_LEVELS, CANVAS_LEVELS = 1, 4
CANVAS_LOOKS = 16  # pixels of each row and column that are looked at first
BLOCK_PX = 16  # the side of a JPEG file's block of colours: beside an edge in it, the canvas is uneven
BLOCK_APART = 0.5  # of a sheet: where there are such blocks, more of it is off by more than the levels below
BLOCK_LEVELS, BLOCK_SHARE = 16, 0.1  # of 255: less than that share of the pixels in a line there is off by more
# A sheet's shorter side is so many times as long as that of its corners. More than the share of each corner has other
# colours, however alike they may be: a photograph that has the canvas's colour there has noise, too.
CORNERS, CORNER_APART = 16, 0.5
CANVAS_APART = 0.7  # of a sheet's box, its edge and its ink: more of each has other colours than the canvas


def cut_bars(picture: Picture, *, may_be_written: bool = False) -> Crop | None:
    """Cut off bars of one colour along whole sides: the black beside a screenshot, a table beside a page.

    Args:
        picture: of any size, grey or RGB.
        may_be_written: whether bars on opposite sides may hold some lines of small writing, as a screenshot's do.

    Returns:
        What is left, or None where there is no such bar.
    """
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX or _has_equal_sides(pixels):
        return None
    top, bottom = _bars(pixels, may_be_written)
    if height - top - bottom < LEAST_ROOM_PX:
        return None
    turned = pixels[top : height - bottom].transpose(1, 0, 2)
    left, right = _bars(turned, may_be_written)
    rest = pixels[top : height - bottom, left : width - right]
    if rest.shape == pixels.shape or rest.shape[1] < LEAST_ROOM_PX or not _differs(rest, rest[0, 0]).any():
        return None  # of one colour is a straight 1 that fills its picture from top to bottom
    box = picture.box(left, top, rest.shape[1], rest.shape[0])
    return Crop(Picture(rest, box[2:], picture.name), box, is_sure=True)


def _has_equal_sides(pixels: Pixels) -> bool:
    """Tell, by the middles of the four sides alone, whether there is the same paper on all of them, as in most."""
    row, column = pixels.shape[0] // 2, pixels.shape[1] // 2
    middles = [pixels[place].tolist() for place in ((0, column), (-1, column), (row, 0), (row, -1))]
    return all(max(levels) - min(levels) <= BAR_LEVELS for levels in zip(*middles, strict=True))


class _Bar(NamedTuple):
    """Rows along a side that have one colour."""

    rows: int  # with those of its edge
    is_written: bool  # some lines of small writing are on it


NO_BAR = _Bar(0, is_written=False)


def _bars(pixels: Pixels, may_be_written: bool) -> tuple[int, int]:
    """Count the rows of the bars at the top and at the bottom, 0 where there is none."""
    bars = _bar(pixels), _bar(pixels[::-1])
    if may_be_written and all(bar.rows for bar in bars):
        return bars[0].rows, bars[1].rows
    top, bottom = (0 if bar.is_written else bar.rows for bar in bars)  # what is written on may be the paper
    return top, bottom


def _bar(pixels: Pixels) -> _Bar:
    """Find the rows at the top that have one colour, if the rows below them suddenly have others all along."""
    height, width = pixels.shape[:2]
    colour, some = pixels[0, width // 2], pixels[:, :: max(1, width // BAR_LOOKS)]
    differs = _differs(some, colour).mean(1)  # (H,), shares
    first = int((differs > BAR_BESIDE).argmax())
    last = first - BAR_EDGE_PX
    if last <= 0 or first + BAR_EDGE_PX >= height:
        return NO_BAR
    beside = pixels[first + BAR_EDGE_PX : first + BAR_EDGE_PX + 1]
    is_apart = _differs(beside, colour).mean() > BAR_NEXT  # as the bar of a 7 is not from its stem
    is_sudden = _differs(some[first : first + BAR_EDGE_PX], some[last]).mean() > BAR_BESIDE  # as no shadow is
    goes_on = differs[first : first + max(1, int(BAR_DEPTH * height))].min() > BAR_BESIDE
    if not (is_apart and is_sudden and goes_on):
        return NO_BAR
    rows = np.any(_differs(pixels[:last], colour), axis=1)
    is_written = bool(rows.any())
    return NO_BAR if is_written and not _are_lines(rows, height) else _Bar(first + BAR_EDGE_PX, is_written)


def _are_lines(is_written: Mask, height: int) -> bool:
    """Tell whether the rows of a bar with writing on them, (H,), are some low lines with paper around them.

    Args:
        is_written: which rows have writing.
        height: the picture's.
    """
    changes = np.flatnonzero(np.diff(is_written))
    if is_written[0] or is_written[-1] or is_written.mean() > WRITTEN_SHARE:
        return False
    return bool((changes[1::2] - changes[::2]).max() < LINE_HEIGHT * height)


def _differs(pixels: NDArray[np.uint8], colours: NDArray[np.uint8], levels: int = BAR_LEVELS) -> Mask:
    """Tell which pixels, (..., C), differ from colours by more than some levels, of 255, in any channel: (...)."""
    differs: Mask = np.any(np.abs(pixels - colours.astype(np.int16)) > levels, axis=-1)
    return differs


def cut_canvas(picture: Picture) -> Crop | None:
    """Cut a photograph or a sheet out of a canvas of one colour: a slide, a window, the bands that make a square.

    Where the canvas has one of a photograph's colours, or ink goes to the edge of a sheet, what differs from the canvas
    has no outline with four corners.

    Args:
        picture: of any size, grey or RGB.

    Returns:
        The photograph or sheet without its edge, which is the only thing on the canvas; None where there is none.
    """
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX:
        return None
    colour = pixels[0, 0]
    some = (pixels[:: height // CANVAS_LOOKS, :: width // CANVAS_LOOKS] != colour).any(2)
    others = np.count_nonzero(some)
    if others < LEAST_SHEET * some.size or others < CANVAS_APART * some[bounding_window(some)].size:
        return None  # told without looking at all of it, as of nearly all drawings
    if _differs(border_pixels(pixels), colour, CANVAS_BORDER_LEVELS).any():
        return None
    is_off = _differs(pixels, colour, CANVAS_LEVELS)
    if not is_off.any():
        return None
    rows, columns = _without_blocks(bounding_window(is_off), pixels, colour)
    sides = rows.stop - rows.start, columns.stop - columns.start
    if min(sides) < SHEET_SIDE * max(sides):
        return None
    sheet = np.zeros((height, width), np.uint8)
    sheet[rows, columns] = 1
    found = cut_out(picture, without_edge(sheet), is_sure=True)
    return found if found and _is_on_canvas(found.picture.pixels, colour) else None


def _without_blocks(window: tuple[slice, slice], pixels: Pixels, canvas: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Give the rows and columns of what differs from a canvas without a JPEG file's uneven blocks at its edge."""
    rows, columns = window
    differs = _differs(pixels[window], canvas, BLOCK_LEVELS)
    if differs.mean() < BLOCK_APART:  # what is like the canvas is the sheet's own
        return window
    top, bottom, left, right = (_quiet(lines) for lines in (differs, differs[::-1], differs.T, differs.T[::-1]))
    return slice(rows.start + top, rows.stop - bottom), slice(columns.start + left, columns.stop - right)


def _quiet(lines: Mask) -> int:
    """Count the first lines in which hardly anything differs from the canvas, if they may be within a block."""
    is_quiet = lines[:BLOCK_PX].mean(1) < BLOCK_SHARE
    return 0 if is_quiet.all() else int(is_quiet.argmin())


def _is_on_canvas(sheet: Pixels, canvas: NDArray[np.uint8]) -> bool:
    """Tell whether this is a sheet, and nothing that is drawn on the canvas itself, nor several sheets.

    A digit has canvas in some corner, and a frame has it inside; between sheets, whole rows or columns are canvas.
    """
    differs = _differs(sheet, canvas, CANVAS_BORDER_LEVELS)
    reach = max(1, min(differs.shape) // CORNERS)
    first, last = slice(reach), slice(-reach, None)
    corners = (differs[rows, columns].mean() for rows in (first, last) for columns in (first, last))
    if min(corners) < CORNER_APART or min(differs.mean(axis).min() for axis in (0, 1)) < BLOCK_SHARE:
        return False
    edge = border_pixels(sheet)
    ink = sheet[_differs(sheet, np.median(edge, axis=0).astype(np.uint8), CANVAS_LEVELS)]
    return all(len(part) and _differs(part, canvas, CANVAS_LEVELS).mean() > CANVAS_APART for part in (edge, ink))


def cut_table(picture: Picture) -> Crop | None:
    """Cut off a table around a sheet of paper that goes on beyond the picture on some sides.

    Args:
        picture: of any size, grey or RGB.

    Returns:
        What is on the sheet, or None where there is no such sheet. It is sure where nothing else is on the table; else
        the sheet is light and large, and what is beside it on a dark table is light, too.
    """
    height, width = picture.pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX or _has_equal_sides(picture.pixels):
        return None
    small = resize(picture.pixels, *shrunk_size(picture.pixels, TABLE_PX)).mean(2, dtype=np.float32)
    found = _find_sheet(cv2.GaussianBlur(small, (0, 0), 1))
    if found is None:
        return None
    sheet, is_alone = found
    whole = resize(sheet, width, height, cv2.INTER_NEAREST)[..., 0]
    return cut_out(picture, without_edge(whole, goes_on=True), is_sure=is_alone)


def _find_sheet(grey: Plane) -> tuple[ByteMask, bool] | None:
    """Find the light or the dark part of a picture that has four corners, where the rest is a table.

    Returns:
        That part, and whether nothing else lies on the table; None where there is no such part.
    """
    _, light = cv2.threshold(grey.astype(np.uint8), 0, 1, cv2.THRESH_OTSU)
    traced = [(part, *outline(part > 0)) for part in (light, 1 - light)]
    for part, sheet, fit in traced:
        if fit > SURE_FIT and _is_on_table(grey, sheet) and not _is_crossed(part):
            return sheet, True
    _, sheet, fit = traced[0]
    if fit <= SURE_FIT or not LEAST_BESIDE_OTHERS < sheet.mean() < 1:
        return None
    is_lighter = grey > np.median(grey[sheet == 0]) + TABLE_GRAIN
    others = cv2.dilate(is_lighter.view(np.uint8), np.ones((2 * TABLE_EDGE_PX + 1,) * 2, np.uint8))
    return (sheet, False) if _is_on_table(grey, sheet, others) and not _is_crossed(sheet) else None


def cut_room(picture: Picture) -> Crop | None:
    """Cut off the room around a sheet of paper that is held up, or lies in disorder, and may be covered by a thumb.

    Args:
        picture: of any size, grey or RGB.

    Returns:
        What is on the largest sheet, or None where there is none. It is sure where nothing is known to cover it, there
        is no other sheet, and the room cannot be paper that something else is written on.
    """
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX or flat_colour(pixels) is not None:
        return None
    by_smoothness = _find_smooth_sheets(resize(pixels, *shrunk_size(pixels, TABLE_PX)).astype(np.float32))
    sheet = next((sheets[0] for sheets in by_smoothness if sheets), None)
    if sheet is None:
        return None
    is_only = max(map(len, by_smoothness)) == 1 and outline(sheet > 0)[1] > 0
    whole = resize(sheet, width, height, cv2.INTER_NEAREST)[..., 0]
    return cut_out(picture, without_edge(whole), is_sure=is_only and _is_cluttered(pixels))


def _find_smooth_sheets(image: Image) -> list[list[ByteMask]]:
    """Find what is smooth, as paper is, has four corners, and is other paper than what it lies on; the largest first.

    Each list is by another limit of what is smooth, the strictest first.
    """
    soft = cv2.GaussianBlur(image, (0, 0), 1)
    steepest = slope(soft.reshape(image.shape)).max(2)
    by_smoothness = []
    for levels in SMOOTH_LEVELS:
        labels, boxes = connect(steepest < levels)
        sides = boxes[:, 2:4]
        may_be_sheet = ~touches_border(boxes, labels.shape) & (boxes[:, 4] > LEAST_SHEET * labels.size)
        may_be_sheet &= sides.min(1) > SHEET_SIDE * sides.max(1)
        may_be_sheet[0] = False  # what is not smooth
        largest = sorted(np.flatnonzero(may_be_sheet).tolist(), key=lambda label: -int(boxes[label, 4]))
        traced = (_trace_smooth(image, labels == label) for label in largest)
        by_smoothness.append([sheet for sheet in traced if sheet is not None])
    return by_smoothness


def _trace_smooth(image: Image, is_paper: Mask) -> ByteMask | None:
    """Fill the outline of smooth paper; None where it has no four corners, or is that of the picture's border."""
    sheet, fit = outline(is_paper, SHEET_SOLIDITY)
    off = np.abs(border_pixels(image) - np.median(image[is_paper], axis=0)).max(1)
    return sheet if fit > SURE_FIT and np.mean(off < TABLE_LEVELS) < SAME_PAPER else None


def _is_cluttered(pixels: Pixels) -> bool:
    """Tell whether most of what lies along the border of a picture cannot be paper, in whatever light."""
    small = resize(pixels, *shrunk_size(pixels, SURFACE_PX)).astype(np.float32)
    off = border_pixels(np.abs(small - surface(small, is_ink_lighter=False)))
    return bool(np.median(off.max(1)) > CLUTTER_LEVELS)


def _is_crossed(part: ByteMask) -> bool:
    """Tell whether strokes cross the outline of a part of a picture: then its edge is that of a shadow, of no sheet."""
    narrow = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STROKE_PX, STROKE_PX))
    goes_on = cv2.copyMakeBorder(part, *(STROKE_PX,) * 4, cv2.BORDER_REPLICATE)  # the border cuts no corners then
    opened, closed = (cv2.morphologyEx(goes_on, how, narrow) for how in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
    whole, *without_strokes = (outline(mask > 0)[0] for mask in (goes_on, opened, closed))
    return any(connect(other != whole)[1][1:, 4].max(initial=0) > LEAST_CROSSING for other in without_strokes)


def _off_plane(grey: Plane, mask: Mask) -> NDArray[Any]:
    """Give how far the levels under a mask, (M,), are off the plane that fits them, as light from one side would be."""
    rows, columns = np.nonzero(mask)
    terms = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float32)
    levels = grey[mask]
    off: NDArray[Any] = np.abs(levels - terms @ np.linalg.lstsq(terms, levels, rcond=None)[0])
    return off


def _is_on_table(grey: Plane, sheet: ByteMask, others: ByteMask | None = None) -> bool:
    """Tell whether what is around a sheet has one colour, but for light from one side, and differs from it at the edge.

    What is around it, beside other things on the table, is no shadow, then, and holds no digit.
    """
    inside, outside = (distance_inside(part) for part in (sheet, 1 - sheet))  # from the sheet's edge
    around = outside > TABLE_EDGE_PX
    if others is not None:
        around &= others == 0
    if not LEAST_TABLE < around.mean() < MOST_TABLE or inside.max() <= TABLE_EDGE_PX:
        return False
    table, off = grey[around], _off_plane(grey, around)
    stands_out = np.zeros_like(around)
    stands_out[around] = off > TABLE_GRAIN
    if connect(stands_out)[1][1:, 2:4].max(initial=0) > TABLE_COMPONENT_PX:
        return False
    near = [grey[(away > TABLE_EDGE_PX) & (away <= TABLE_EDGE_PX + 2)] for away in (inside, outside)]
    step, apart = (abs(float(np.median(one) - np.median(other))) for one, other in (near, (grey[sheet > 0], table)))
    return step > max(TABLE_LEVELS, TABLE_STEP * apart) and quantile(off, TABLE_SHARE) < TABLE_GRAIN
