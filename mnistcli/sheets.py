"""What lies around a digit and is none: a sheet of paper on a desk, a card, a frame, a screen's black on both sides."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.glyphs import Marks
from mnistcli.images import Box, Picture
from mnistcli.planes import Mask, Pixels, Plane, Shape, connect, longer_side, quantile, resize, shrunk_size, spread

LEAST_SHARE = 0.04  # of the picture, that a sheet's box takes at least
LEAST_SIDE = 0.2  # of its longer side, that its shorter one has at least
LEAST_PX = 16  # of a side: what is smaller holds no digit
OTHER_SHARE = 0.5  # of a sheet's area: beside something as large, it is one of several things
LEAST_SOLID = 0.65  # of 100 sheets that digits were on, 98 have 0.7 to 1; most printed digits have less
CORNER = 1 / 8  # of a box's shorter side
LEAST_CONVEX = 0.93  # of its convex hull, that a sheet fills at least: less, and it has dents
LEAST_FIT, SURE_FIT = 0.8, 0.9  # of its hull, that four corners span: of an ellipse's 0.64, of a boxy 0's up to 0.8
CORNERS_OFF = (0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 1)  # of the way around: how far from straight its sides may be
FRAME_INK, FRAME_INSIDE = 0.5, 0.5  # of what it surrounds, a frame's own ink at most, and the paper inside at least
RING_WIDTH = 0.7  # of its height: what is narrower may be a 0 with a slash in it
RING_INSIDE = 0.35  # of a ring's height: what is as long in it is no dot in a 0, but what the ring is drawn around
SLASH_WIDTH, SLASH_SLANT = 0.03, 0.3  # spread across it, of that along it; columns aside for each row
RING_GAP = 0.12  # of a ring's longer side: between its ends
EDGE_SHARE = 0.03  # of the longer side: as much of a sheet is left out along its edge, which may be soft or shaded
SPREAD_PX = 100  # the longer side at which paper is continued
SURROUNDED_PX = 64  # of the shorter side: a smaller picture was cut out already
TABLE_PX, TABLE_EDGE_PX = 200, 3  # the longer side at which a table is looked for, and how soft its edge may be there
TABLE_LEVELS = 40  # of 255, by which it differs from the paper at least
TABLE_STEP = 0.85  # of all by which both differ, that they do beside the edge: of a soft shadow it is less
TABLE_GRAIN, TABLE_SHARE = 25, 0.995  # of 255, by which as much of it differs from its colour at most
TABLE_MARK_PX = 8  # a longer mark on it, at that size, may be a digit
LEAST_TABLE, MOST_TABLE = 0.04, 0.8  # of the picture, that it takes
BAR_LEVELS = 24  # of 255, that noise makes of one colour
BAR_EDGE_PX = 3  # rows in which a bar ends, where its edge is soft
BAR_LOOKS = 16  # places in a row that are looked at first
BAR_DEPTH = 1 / 5  # of a picture, that the rows after a bar take: a stroke or a ruled line takes less
BAR_BESIDE, BAR_NEXT = 0.6, 0.98  # of each of those rows, and of the first one, that differs from the bar


class Inside(NamedTuple):
    """What is on a sheet of paper or in a frame, as a picture of its own."""

    picture: Picture
    box: Box  # where it is in the other picture, in that one's own pixels
    is_sure: bool  # nothing else has its shape; else it may be a bold digit
    mark: int = 0  # that is the sheet or the frame; 0 where there is none, but bars or a table


def cut_bars(picture: Picture) -> Inside | None:
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
    return Inside(Picture(rest, box[2:], picture.name), box, is_sure=True)


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


def cut_table(picture: Picture) -> Inside | None:
    """Cut off a table around a sheet of paper that goes on beyond the picture on some sides.

    Args:
        picture: of any size, grey or RGB.

    Returns:
        What is on the sheet, or None where there is no such sheet, or where what lies around it has marks of its own.
    """
    height, width = picture.pixels.shape[:2]
    if min(height, width) < SURROUNDED_PX or _has_equal_sides(picture.pixels):
        return None
    small = resize(picture.pixels, *shrunk_size(picture.pixels, TABLE_PX)).mean(2, dtype=np.float32)
    sheet = _find_sheet(cv2.GaussianBlur(small, (0, 0), 1))
    if sheet is None:
        return None
    whole = resize(sheet, width, height, cv2.INTER_NEAREST)[..., 0]
    return _cut_out(picture, _without_edge(whole, goes_on=True), (0, 0), is_sure=True)


def _find_sheet(grey: Plane) -> Shape | None:
    """Find the light or the dark part of a picture that has four corners, where the rest is a table."""
    _, light = cv2.threshold(grey.astype(np.uint8), 0, 1, cv2.THRESH_OTSU)
    for part in (light, 1 - light):
        sheet, fit = _outline(part > 0)
        if fit > SURE_FIT and _is_on_table(grey, sheet):
            return sheet
    return None


def _is_on_table(grey: Plane, sheet: Shape) -> bool:
    """Tell whether what is around a sheet is one colour, but for light from one side, and suddenly another than it.

    What is around it is no shadow, then, and holds no digit.
    """
    inside, outside = (
        cv2.distanceTransform(shape, cv2.DIST_L2, 3) for shape in (sheet, 1 - sheet)
    )  # of the edge alone
    around = outside > TABLE_EDGE_PX
    if not LEAST_TABLE < around.mean() < MOST_TABLE or inside.max() <= TABLE_EDGE_PX:
        return False
    rows, columns = np.nonzero(around)
    terms = np.stack([np.ones_like(rows), rows, columns], 1).astype(np.float32)
    table = grey[around]
    off = np.abs(table - terms @ np.linalg.lstsq(terms, table, rcond=None)[0])
    stands_out = np.zeros_like(around)
    stands_out[around] = off > TABLE_GRAIN
    if connect(stands_out)[1][1:, 2:4].max(initial=0) > TABLE_MARK_PX:
        return False
    near = [grey[(away > TABLE_EDGE_PX) & (away <= TABLE_EDGE_PX + 2)] for away in (inside, outside)]
    step, apart = (abs(float(np.median(one) - np.median(other))) for one, other in (near, (grey[sheet > 0], table)))
    return step > max(TABLE_LEVELS, TABLE_STEP * apart) and quantile(off, TABLE_SHARE) < TABLE_GRAIN


def look_inside(picture: Picture, marks: Marks) -> Inside | None:
    """Cut out what is on the largest mark, or in it, where that has the shape of a sheet of paper or of a frame.

    Args:
        picture: of any size, grey or RGB.
        marks: what stands out in this very picture; there has to be some full ink.

    Returns:
        What is inside, or None where the largest mark is nothing of the kind.
    """
    inked = np.flatnonzero(marks.area)
    is_alone = len(inked) == 1
    mark = int(inked[0]) if is_alone else _largest(marks)
    left, top, width, height, ink = marks.boxes[mark].tolist()
    area, shorter = width * height, min(width, height)
    if area < LEAST_SHARE * marks.labels.size or shorter < max(LEAST_SIDE * max(width, height), LEAST_PX):
        return None
    mask = marks.labels[top : top + height, left : left + width] == mark
    if is_alone and _solidity(mask) < LEAST_SOLID and not _has_corners(mask):
        return None  # told without looking closer, for most pictures are of one digit alone
    if not is_alone and _is_one_of_several(marks, mark):
        return None
    sheet, fit = _outline(mask)
    is_round = fit < LEAST_FIT and width > RING_WIDTH * height
    is_ring = is_round and _size_inside(marks, mark) > RING_INSIDE * height
    if is_ring:
        mask = _without_gaps(mask)
        sheet, fit = _outline(mask)
    is_frame = ink < FRAME_INK * np.count_nonzero(sheet)
    if not _has_shape(fit, is_round=is_ring) or (is_ring and not is_frame):
        return None
    inner = _inside_frame(mask, sheet, is_round=is_ring) if is_frame else _without_edge(sheet)
    return _cut_out(picture, inner, (left, top), is_sure=bool(is_frame or fit > SURE_FIT), mark=mark)


def _cut_out(picture: Picture, shape: Shape, corner: tuple[int, int], *, is_sure: bool, mark: int = 0) -> Inside | None:
    """Cut out a shape in a window of a picture that begins at a corner, left and top; None if no digit fits in it."""
    left, top, width, height = (int(value) for value in cv2.boundingRect(shape))
    if min(width, height) < LEAST_PX:
        return None
    inner = shape[top : top + height, left : left + width]
    left, top = left + corner[0], top + corner[1]
    pixels = picture.pixels[top : top + height, left : left + width]
    box = picture.box(left, top, width, height)
    return Inside(Picture(_continue_paper(pixels, inner), box[2:], picture.name), box, is_sure, mark)


def _largest(marks: Marks) -> int:
    """Give the mark that takes up the largest box, of those with full ink."""
    return int((marks.boxes[:, 2] * marks.boxes[:, 3] * (marks.area > 0)).argmax())


def _is_one_of_several(marks: Marks, mark: int) -> bool:
    """Tell whether there is something nearly as large as a mark that is not inside it."""
    left, top, width, height = marks.boxes[:, :4].T
    area = width * height
    right, bottom = left + width, top + height
    is_outside = (left < left[mark]) | (top < top[mark]) | (right > right[mark]) | (bottom > bottom[mark])
    return bool((is_outside & (marks.area > 0) & (area > OTHER_SHARE * area[mark])).any())


def _size_inside(marks: Marks, mark: int) -> int:
    """Give the longer side of the largest mark whose box is inside a mark's; 0 where that is a slash, or nothing."""
    left, top, width, height = marks.boxes[:, :4].T
    right, bottom = left + width, top + height
    is_inside = (left > left[mark]) & (top > top[mark]) & (right < right[mark]) & (bottom < bottom[mark])
    sizes = np.where(is_inside & (marks.area > 0), marks.size, 0)
    largest = int(sizes.argmax())
    window = marks.labels[top[largest] : bottom[largest], left[largest] : right[largest]]
    return 0 if sizes[largest] == 0 or _is_slash(window == largest) else int(sizes[largest])


def _is_slash(mask: Mask) -> bool:
    """Tell whether a mark is a thin straight line that is aslant, as in a 0."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    across, down, both = moments["mu20"], moments["mu02"], moments["mu11"]
    is_straight = across * down - both**2 < SLASH_WIDTH * (across + down) ** 2  # spread across it and along it
    return bool(is_straight and abs(both) > SLASH_SLANT * down)


def _without_gaps(ring: Mask) -> Mask:
    """Close a ring that was drawn by hand."""
    reach = int(RING_GAP * max(ring.shape)) | 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.morphologyEx(ring.view(np.uint8), cv2.MORPH_CLOSE, brush) > 0


def _solidity(mask: Mask) -> float:
    """Give how much a mark fills of the rectangle that is spread as far: 0..1 if it is one itself, however tilted."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = moments["m00"]
    spread = max(moments["mu20"] * moments["mu02"] - moments["mu11"] ** 2, 0) ** 0.5 / area  # a 12th of its area
    return float(area / max(12 * spread, area / 2))


def _has_corners(mask: Mask) -> bool:
    """Tell whether there is ink in all four corners of a box, as of a level frame."""
    near = max(1, int(CORNER * min(mask.shape)))
    ends = slice(near), slice(-near, None)
    return all(mask[rows, columns].any() for rows in ends for columns in ends)


def _outline(mask: Mask) -> tuple[Shape, float]:
    """Fill the holes of the largest mark, and give how much of it four of its corners span, 0..1; 0 if it has dents."""
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.zeros(mask.shape, np.uint8), 0.0
    contour = max(contours, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros(mask.shape, np.uint8), [contour], -1, 1, cv2.FILLED)
    hull = cv2.convexHull(contour)
    area = cv2.contourArea(hull)  # between the outermost pixels' centres
    if np.count_nonzero(filled) < LEAST_CONVEX * area or area == 0:
        return filled, 0.0
    around = cv2.arcLength(hull, closed=True)
    corners = next(found for off in CORNERS_OFF if len(found := cv2.approxPolyDP(hull, off * around, closed=True)) <= 4)
    return filled, cv2.contourArea(corners) / area if len(corners) == 4 else 0.0


def _has_shape(fit: float, *, is_round: bool) -> bool:
    """Tell by how much of a hull four corners span whether it has four, or, of a ring, only whether it has no dents."""
    return fit > 0 if is_round else fit >= LEAST_FIT


def _inside_frame(frame: Mask, around: Shape, *, is_round: bool) -> Shape:
    """Give the place that a frame surrounds; nothing where the frame has something joined to it, as a boxed 8 does."""
    reach = 2 * (2 + max(frame.shape) // 200) + 1  # a line's edge is softer than the line
    paper = (around > 0) & (cv2.dilate(frame.view(np.uint8), np.ones((reach, reach), np.uint8)) == 0)
    inner, fit = _outline(paper)
    is_clear = _has_shape(fit, is_round=is_round) and np.count_nonzero(inner) >= FRAME_INSIDE * np.count_nonzero(around)
    return inner if is_clear else np.zeros_like(around)


def _without_edge(sheet: Shape, *, goes_on: bool = False) -> Shape:
    """Take off a sheet's edge; the picture's rim is one, too, unless the sheet goes on beyond it."""
    reach = 2 * (round(EDGE_SHARE * longer_side(sheet)) + 1) + 1
    brush = np.ones((reach, reach), np.uint8)
    return cv2.erode(sheet, brush, borderType=cv2.BORDER_CONSTANT, borderValue=int(goes_on))


def _continue_paper(pixels: Pixels, sheet: Shape) -> Pixels:
    """Continue a sheet of paper over what is beside it, so that its edge does not show."""
    if sheet.all():
        return pixels
    usual = np.median(pixels[sheet > 0], axis=0).astype(np.float32)  # beyond what is spread
    paper = usual + spread(pixels - usual, sheet.astype(np.float32), SPREAD_PX, least=1e-3)
    return np.where(sheet[..., None] > 0, pixels, paper.clip(0, 255).round().astype(np.uint8))
