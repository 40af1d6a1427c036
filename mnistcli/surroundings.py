"""What lies along a picture's border and is no paper: a screenshot's black, a table beside a page or around a sheet."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.frames import LEAST_PX, SURE_FIT, outline
from mnistcli.images import Picture
from mnistcli.planes import ByteMask, Mask, Pixels, Plane, connect, distance_inside, quantile, resize, shrunk_size
from mnistcli.sheets import Crop, cut_out, without_edge

SURROUNDED_PX = 64  # of the shorter side: a smaller picture was cut out already
TABLE_PX, TABLE_EDGE_PX = 200, 3  # the longer side at which a table is looked for, and how soft its edge may be there
TABLE_LEVELS = 40  # of 255, by which it differs from the paper at least
TABLE_STEP = 0.85  # of all by which both differ, that they do beside the edge: of a soft shadow it is less
TABLE_GRAIN, TABLE_SHARE = 25, 0.995  # of 255, by which as much of it differs from its colour at most
TABLE_COMPONENT_PX = 8  # a longer component on it, at that size, may be a digit
LEAST_TABLE, MOST_TABLE = 0.04, 0.8  # of the picture, that it takes
BAR_LEVELS = 24  # of 255, that noise makes of one colour
BAR_EDGE_PX = 3  # rows in which a bar ends, where its edge is soft
BAR_LOOKS = 16  # places in a row that are looked at first
BAR_DEPTH = 1 / 5  # of a picture, that the rows after a bar take: a stroke or a ruled line takes less
BAR_BESIDE, BAR_NEXT = 0.6, 0.98  # of each of those rows, and of the first one, that differs from the bar


def cut_bars(picture: Picture) -> Crop | None:
    """Cut off what runs along whole sides in one colour: the black beside a screenshot, a table beside a page.

    Args:
        picture: of any size, grey or RGB.

    Returns:
        What is left, or None where there is no such bar.
    """
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX or _has_equal_sides(pixels):
        return None
    top, bottom = _bar(pixels), _bar(pixels[::-1])
    if height - top - bottom < LEAST_PX:
        return None
    turned = pixels[top : height - bottom].transpose(1, 0, 2)
    left, right = _bar(turned), _bar(turned[::-1])
    rest = pixels[top : height - bottom, left : width - right]
    if rest.shape == pixels.shape or rest.shape[1] < LEAST_PX or not _differs(rest, rest[0, 0]).any():
        return None  # of one colour is a straight 1 that fills its picture from top to bottom
    box = picture.box(left, top, rest.shape[1], rest.shape[0])
    return Crop(Picture(rest, box[2:], picture.name), box, is_sure=True)


def _has_equal_sides(pixels: Pixels) -> bool:
    """Tell by their middles, without looking closer, whether there is the same paper on all sides, as in most."""
    row, column = pixels.shape[0] // 2, pixels.shape[1] // 2
    middles = [pixels[place].tolist() for place in ((0, column), (-1, column), (row, 0), (row, -1))]
    return all(max(levels) - min(levels) <= BAR_LEVELS for levels in zip(*middles, strict=True))


def _bar(pixels: Pixels) -> int:
    """Count the first rows that have one colour, where the rows after them suddenly have others all along."""
    height, width = pixels.shape[:2]
    colour, some = pixels[0, width // 2], pixels[:, :: max(1, width // BAR_LOOKS)]
    differs = _differs(some, colour).mean(1)  # (H,), shares
    first = int((differs > BAR_BESIDE).argmax())
    last = first - BAR_EDGE_PX
    if last <= 0 or first + BAR_EDGE_PX >= height or _differs(pixels[:last], colour).any():
        return 0
    beside = pixels[first + BAR_EDGE_PX : first + BAR_EDGE_PX + 1]
    is_apart = _differs(beside, colour).mean() > BAR_NEXT  # as the bar of a 7 is not from its stem
    is_sudden = _differs(some[first : first + BAR_EDGE_PX], some[last]).mean() > BAR_BESIDE  # as no shadow is
    goes_on = differs[first : first + max(1, int(BAR_DEPTH * height))].min() > BAR_BESIDE
    return first + BAR_EDGE_PX if is_apart and is_sudden and goes_on else 0


def _differs(pixels: Pixels, colours: NDArray[np.uint8]) -> Mask:
    differs: Mask = np.any(np.abs(pixels - colours.astype(np.int16)) > BAR_LEVELS, axis=2)
    return differs


def cut_table(picture: Picture) -> Crop | None:
    """Cut off a table around a sheet of paper that goes on beyond the picture on some sides.

    Args:
        picture: of any size, grey or RGB.

    Returns:
        What is on the sheet, or None where there is no such sheet, or where what lies around it holds components.
    """
    height, width = picture.pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX or _has_equal_sides(picture.pixels):
        return None
    small = resize(picture.pixels, *shrunk_size(picture.pixels, TABLE_PX)).mean(2, dtype=np.float32)
    sheet = _find_sheet(cv2.GaussianBlur(small, (0, 0), 1))
    if sheet is None:
        return None
    whole = resize(sheet, width, height, cv2.INTER_NEAREST)[..., 0]
    return cut_out(picture, without_edge(whole, goes_on=True), (0, 0), is_sure=True)


def _find_sheet(grey: Plane) -> ByteMask | None:
    """Find the light or the dark part of a picture that has four corners, where the rest is a table."""
    _, light = cv2.threshold(grey.astype(np.uint8), 0, 1, cv2.THRESH_OTSU)
    for part in (light, 1 - light):
        sheet, fit = outline(part > 0)
        if fit > SURE_FIT and _is_on_table(grey, sheet):
            return sheet
    return None


def _is_on_table(grey: Plane, sheet: ByteMask) -> bool:
    """Tell whether what is around a sheet is one colour, but for light from one side, and suddenly another than it.

    What is around it is no shadow, then, and holds no digit.
    """
    inside, outside = (distance_inside(shape) for shape in (sheet, 1 - sheet))  # of the edge alone
    around = outside > TABLE_EDGE_PX
    if not LEAST_TABLE < around.mean() < MOST_TABLE or inside.max() <= TABLE_EDGE_PX:
        return False
    rows, columns = np.nonzero(around)
    terms = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float32)
    table = grey[around]
    off = np.abs(table - terms @ np.linalg.lstsq(terms, table, rcond=None)[0])
    stands_out = np.zeros_like(around)
    stands_out[around] = off > TABLE_GRAIN
    if connect(stands_out)[1][1:, 2:4].max(initial=0) > TABLE_COMPONENT_PX:
        return False
    near = [grey[(away > TABLE_EDGE_PX) & (away <= TABLE_EDGE_PX + 2)] for away in (inside, outside)]
    step, apart = (abs(float(np.median(one) - np.median(other))) for one, other in (near, (grey[sheet > 0], table)))
    return step > max(TABLE_LEVELS, TABLE_STEP * apart) and quantile(off, TABLE_SHARE) < TABLE_GRAIN
