"""Ruled and squared paper: its lines are taken out, and the strokes that cross them are left."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.planes import Boxes, ByteMask, Mask, Plane, border_pixels, connect, pixels_of, quantile, shrunk_size

LEAST_RULED_PX = 100  # of a side: a smaller picture shows no ruled paper
SLOPES = np.arange(-8, 9) / 50  # rows down for each column to the right: up to 9 degrees either way
SLOPE_PX = 400  # the longer side at which slopes are looked for
SLOPE_RUN = 0.3  # of the width: at that size, a line runs straight for at least as long
LEAST_RUNS = 0.3  # of the width: if fewer pixels are in such runs, there are no lines
# Of the pixels in such runs at the best slope: another slope with at least this share has lines, too (perspective).
SLOPE_SHARE = 0.5
THICKNESS = 0.02  # of the longer side: a line is no thicker
RUN, LEAST_RUN_PX = 0.06, 8  # of the width, and in pixels: a line runs straight for at least as long at a time
GAP = 0.8  # of the width: a line has no longer gaps
BEND = 0.08  # of the height: from end to end, a line bends by no more
SOME_LINES, LONG_SHARE = 3, 0.5  # among as many lines, one that is longer than this share of the width may fade away
USUAL_SHARE = 0.75  # of a line's pixels are fainter than its usual contrast
# Lines with a margin on both sides are more than a digit has level strokes; from the first to the last, and from end to
# end, they take more than this share of the picture's longer side.
PRINTED_LINES, PRINTED_SHARE = 5, 0.5
# Lines of text have gaps: less of their way is inked. A whole page of text is best taken out like lines; with a few of
# them, the sides of a form's box and the strokes in it would go as well.
LEAST_FILLED, TEXT_LINES = 0.93, 12
# Posts, the sides of a form's boxes between its level lines: at least so many, each no wider than so many times the
# lines' thickness, and higher than so many times its own width; they end within so many times that thickness of a line.
POSTS, POST_WIDTH, POST_SHAPE, POST_GAP = 2, 2, 6, 2
REST_SIZE = 0.06  # of the longer side: what is left of a line is shorter
CROSSING_SIZE = 3  # times a line's thickness: what is left where two cross is no larger, and may be darker than both
BOLDER = 1.5  # times a line's thickness: what is thicker was drawn by another pen
DARKER = 1.4  # times a line's usual contrast: what is darker is a stroke, of another pen or along the line


class _Lines(NamedTuple):
    """The lines of a picture that go from left to right, or from top to bottom."""

    mask: Mask
    thickness_px: int
    contrast: float  # that they usually have; of lines of several slopes, the least
    number: int  # how many of them most columns have
    filled: float  # how much of their way from side to side leads over ink, 0..1; of those of the commonest slope


def without_rules(contrast: Plane, faint: float, thickness: float = THICKNESS) -> Plane:
    """Take out the thin lines that run across the whole picture, or up to its margins, and leave what crosses them.

    Opening a picture across a line, with more than the line's thickness, takes away the line and nothing that is
    longer than that in this direction.

    Args:
        contrast: (H, W) float32, by how much each place differs from the paper, from 0 on.
        faint: from which contrast on a place may be a line's.
        thickness: how thick lines are at most, as a share of the longer side or, in a strip, of twice the shorter one.

    Returns:
        The plane without lines; the very same one where there are none, or one or two that may be strokes.
    """
    if min(contrast.shape) < LEAST_RULED_PX:
        return contrast
    printed = _without_printed(contrast, faint, thickness)
    if printed is not None:
        return printed
    cleared, level, upright = _without_both(contrast, faint, thickness)
    found = [lines for lines in (level, upright) if lines]
    if not found:
        return contrast
    if sum(lines.number for lines in found) >= SOME_LINES:
        return cleared
    # One or two may be strokes: the bar of a 7 that was cut out tightly.
    rest = cleared > faint
    is_underline = upright is None and not border_pixels(rest[..., None]).any()
    lined = _union(found) & (contrast > faint)
    is_other_pen = _is_bold(rest, found[0].thickness_px) or _is_dark(contrast, rest, lined)
    return cleared if is_underline or is_other_pen else contrast


def measure_lines(contrast: Plane, faint: float) -> int:
    """Count the pixels of long thin lines, of one slope for each direction; a large picture is shrunk for it.

    Args:
        contrast: as `without_rules` takes it.
        faint: from which contrast on a place may be a line's.
    """
    inked = (contrast > faint).view(np.uint8)
    runs = (_count_runs(plane, THICKNESS) for plane in (inked, np.ascontiguousarray(inked.T)))
    return sum(int(counts.max()) for counts, least in runs if counts.max() >= least)


def _without_printed(contrast: Plane, faint: float, thickness: float) -> Plane | None:
    """Take out lines that are printed with a margin on both sides; None where there are none."""
    window = printed_window(contrast > faint)
    if window is None:
        return None
    cleared, level, _ = _without_both(contrast[window], faint, thickness)
    if level is None or level.number < (PRINTED_LINES if level.filled > LEAST_FILLED else TEXT_LINES):
        return None
    if level.filled > LEAST_FILLED and _count_posts(cleared > faint, level) >= POSTS:
        return None
    without = contrast.copy()
    without[window] = cleared
    return without


def _count_posts(rest: Mask, level: _Lines) -> int:
    """Count the strokes that begin and end at level lines, upright and hardly thicker than these."""
    left, top, width, height = connect(rest)[1][1:, :4].T
    # A post may have a grey pixel on each side, and where it crossed a line, its end was taken out with that.
    is_thin = (width <= POST_WIDTH * level.thickness_px + 2) & (height > POST_SHAPE * width)
    near = 2 * int(POST_GAP * level.thickness_px) + 3
    by_lines = cv2.dilate(level.mask.view(np.uint8), np.ones((near, near), np.uint8)) > 0
    middle, bottom = left + width // 2, top + height - 1
    return int(np.count_nonzero(is_thin & by_lines[top, middle] & by_lines[bottom, middle]))


def printed_window(mask: Mask) -> tuple[slice, slice] | None:
    """Give the window of a picture, (H, W), from side to side of what may be lines with a margin; else None."""
    rows, columns = (_span(np.count_nonzero(mask, axis=axis) >= PRINTED_LINES) for axis in (1, 0))
    has_margins = columns.start > 0 and columns.stop < mask.shape[1]
    sides = rows.stop - rows.start, columns.stop - columns.start
    if not has_margins or min(sides) < max(LEAST_RULED_PX, PRINTED_SHARE * max(mask.shape)):
        return None
    crossed = np.count_nonzero(_tops(mask[rows, columns])) / sides[1]  # lines in a column, in the mean
    return (rows, columns) if crossed >= PRINTED_LINES else None


def _span(are_inked: Mask) -> slice:
    """Give the places from the first to the last that is inked, of (N,)."""
    places = np.flatnonzero(are_inked)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _without_both(plane: Plane, faint: float, thickness: float) -> tuple[Plane, _Lines | None, _Lines | None]:
    """Take out the lines from left to right, those from top to bottom, and the specks that are left of them."""
    cleared, level = _without_level(plane, faint, thickness)
    turned, upright = _without_level(cleared.T, faint, thickness)
    upright = upright and upright._replace(mask=upright.mask.T)
    found = [lines for lines in (level, upright) if lines]
    if not found:
        return plane, None, None
    return _without_rests(np.ascontiguousarray(turned.T), found, faint), level, upright


def _union(found: list[_Lines]) -> Mask:
    union: Mask = np.logical_or.reduce([lines.mask for lines in found])
    return union


def _without_level(plane: Plane, faint: float, thickness: float) -> tuple[Plane, _Lines | None]:
    """Take out the lines that go from left to right."""
    if not all((plane[:, side] > faint).any() for side in (0, -1)):
        return plane, None
    plane = np.ascontiguousarray(plane)
    lines = _find_lines(plane, faint, thickness)
    return (_take_out(plane, lines), lines) if lines else (plane, None)


def _is_bold(rest: Mask, thickness_px: int) -> bool:
    """Tell whether most of the ink is much thicker than the lines."""
    kernel = np.ones((int(BOLDER * thickness_px) + 1,) * 2, np.uint8)
    bold = cv2.morphologyEx(rest.view(np.uint8), cv2.MORPH_OPEN, kernel)
    return bool(np.count_nonzero(bold) > np.count_nonzero(rest) / 2)


def _is_dark(contrast: Plane, rest: Mask, lines: Mask) -> bool:
    """Tell whether most of the ink is much darker than the lines."""
    return bool(rest.any() and np.median(contrast[rest]) > DARKER * np.median(contrast[lines]))


def _without_rests(contrast: Plane, found: list[_Lines], faint: float) -> Plane:
    """Take out what is left of lines where they cross, or where there is more light: specks that lie on them.

    What is darker than lines, in the mean, and larger than where they cross is no rest of them but a small digit.
    """
    labels, boxes = connect(contrast > faint)
    beside = cv2.dilate(_union(found).view(np.uint8), np.ones((3, 3), np.uint8)) == 0
    is_rest = np.bincount(labels[beside], minlength=len(boxes)) == 0
    longer_side = boxes[:, 2:4].max(1)
    is_rest &= longer_side < REST_SIZE * max(contrast.shape)
    darkest, thickest = max(lines.contrast for lines in found), max(lines.thickness_px for lines in found)
    is_dark = np.bincount(labels.ravel(), contrast.ravel()) > DARKER * darkest * np.bincount(labels.ravel())
    is_rest &= ~(is_dark & (longer_side > CROSSING_SIZE * thickest))
    without: Plane = np.where(pixels_of(labels, is_rest), 0, contrast)
    return without


def _take_out(plane: Plane, lines: _Lines) -> Plane:
    opened = cv2.morphologyEx(plane, cv2.MORPH_OPEN, np.ones((lines.thickness_px + 4, 1), np.uint8))
    without: Plane = np.where(lines.mask & (plane < DARKER * lines.contrast), opened, plane)
    return without


def _find_lines(plane: Plane, faint: float, thickness: float) -> _Lines | None:
    """Find the pixels of thin lines from one side to the other, of each slope that there is.

    Of some slope, they may be the strokes of many digits in rows: what lines usually have is the least contrast.
    """
    inked = (plane > faint).view(np.uint8)
    slopes = _slopes(inked, thickness)
    thickness_px = next(filter(None, (_measure(inked, slope, thickness) for slope in slopes)), 0)
    if not thickness_px:
        return None
    found, contrasts, filled = np.zeros_like(inked), [], 0.0
    for slope in slopes:
        level = _shear(inked, slope)
        pieces = _straight_pieces(level, thickness_px + 1)
        path = cv2.dilate(_paths(pieces, slope), np.ones((3, 1), np.uint8))
        line = path * _thin(level, thickness_px + 2)
        filled = filled or _filled(path, path * level)
        # A pixel more on both sides: a line's edge is softer than the line.
        of_slope = _shear_back(cv2.dilate(line, np.ones((3, 1), np.uint8)), slope, len(inked))
        if (of_slope & inked).any():
            found |= of_slope
            contrasts.append(quantile(plane[(of_slope & inked) > 0], USUAL_SHARE))
    if not contrasts:
        return None
    number = int(np.median(np.count_nonzero(_tops(found), axis=0)))
    return _Lines(found > 0, thickness_px, min(contrasts), number, filled)


def _filled(paths: ByteMask, inked: ByteMask) -> float:
    """Give in which share of its columns a path, (H, W), leads over ink, `inked` on paths alone; for the median one."""
    labels, boxes = connect(paths)
    places = labels + len(boxes) * np.arange(paths.shape[1])  # a number for each path and column
    columns, over_ink = (
        np.bincount(np.unique(places[plane > 0]) % len(boxes), minlength=len(boxes))[1:] for plane in (paths, inked)
    )
    return float(np.median(over_ink / columns)) if len(columns) else 0.0


def thickest_line(shape: tuple[int, ...], thickness: float) -> int:
    """Give how thick a line may be, in pixels; in a narrow strip, as in a row that was cut out, strokes are thicker."""
    return int(thickness * min(max(shape), 2 * min(shape)))


def _slopes(inked: ByteMask, thickness: float) -> list[float]:
    """Give the slopes at which long thin lines run, if there are any, the slope of the most lines first."""
    counts, least = _count_runs(inked, thickness)
    least = max(SLOPE_SHARE * counts.max(), least)
    return [float(SLOPES[place]) for place in np.argsort(counts)[::-1] if counts[place] >= least]


def _count_runs(inked: ByteMask, thickness: float) -> tuple[NDArray[np.int64], float]:
    """Count the pixels in long thin runs of each slope, in a picture that is shrunk, and give how many are a line."""
    width, height = shrunk_size(inked, SLOPE_PX)
    thickest = max(2, thickest_line((height, width), thickness))
    if width < inked.shape[1]:
        inked = cv2.resize(
            cv2.dilate(inked, np.ones((3, 3), np.uint8)), (width, height), interpolation=cv2.INTER_NEAREST
        )
        thickest += 2
    counts = [np.count_nonzero(_straight(_shear(inked, slope), thickest, SLOPE_RUN)) for slope in SLOPES]
    return np.array(counts), LEAST_RUNS * width


def _measure(inked: ByteMask, slope: float, thickness: float) -> int:
    """Give the thickness of the lines of a slope, in pixels, with soft edges; 0 where there are none."""
    pieces = _straight_pieces(_shear(inked, slope), thickest_line(inked.shape, thickness))
    lines = pieces * _paths(pieces, slope)
    columns = np.count_nonzero(_tops(lines))
    return max(1, int(np.ceil(np.count_nonzero(lines) / columns)) - 2) if columns else 0


def _shear(plane: ByteMask, slope: float) -> ByteMask:
    """Shear a plane until lines of a slope are level, with as many rows of 0 above and below as that takes."""
    height, width = plane.shape
    beyond = _beyond(width, slope)
    return _shift_columns(plane, -slope, beyond, height + 2 * beyond)


def _shear_back(level: ByteMask, slope: float, height: int) -> ByteMask:
    """Undo `_shear` of a plane that had `height` rows."""
    return _shift_columns(level, slope, -_beyond(level.shape[1], slope), height)


def _shift_columns(plane: ByteMask, slope: float, down: int, height: int) -> ByteMask:
    """Shift the middle column by `down` rows, and each one to its right by `slope` more, within `height` rows."""
    width = plane.shape[1]
    affine = np.array([[1, 0, 0], [slope, 1, down - slope * width / 2]])
    return cv2.warpAffine(plane, affine, (width, height), flags=cv2.INTER_NEAREST)


def _beyond(width: int, slope: float) -> int:
    """Give how many rows shearing adds above, and as many below."""
    return int(abs(slope) * width / 2) + 1


def _thin(level: ByteMask, thickest: int) -> ByteMask:
    """Keep what is no higher than `thickest` pixels."""
    return level - cv2.morphologyEx(level, cv2.MORPH_OPEN, np.ones((thickest + 1, 1), np.uint8))


def _straight(level: ByteMask, thickest: int, share: float) -> ByteMask:
    """Keep what is at most `thickest` high, and level for a share of the width; what crosses it is no gap."""
    bridged = cv2.morphologyEx(_thin(level, thickest), cv2.MORPH_CLOSE, np.ones((1, thickest + 2), np.uint8))
    return cv2.morphologyEx(bridged, cv2.MORPH_OPEN, np.ones((1, _run_px(level, share)), np.uint8))


def _straight_pieces(level: ByteMask, thickest: int) -> ByteMask:
    """Keep what is at most `thickest` high and level to within a pixel, which dilating it first allows for."""
    return _straight(cv2.dilate(level, np.ones((3, 1), np.uint8)), thickest + 2, RUN)


def _run_px(level: ByteMask, share: float) -> int:
    return max(LEAST_RUN_PX, int(share * level.shape[1]))


def _tops(mask: ByteMask) -> Mask:
    """Tell where in each column runs of pixels begin, from the second row on: (H - 1, W)."""
    tops: Mask = (mask[1:] > 0) & (mask[:-1] == 0)
    return tops


def _paths(straight: ByteMask, slope: float) -> ByteMask:
    """Give where lines run, gaps and all, given the straight pieces in a mask that was sheared by their slope."""
    height, width = straight.shape
    step = _run_px(straight, RUN) // 2  # no straight piece is shorter than two, so that a column in each tells of it
    inside = _shear(np.ones((height - 2 * _beyond(width, slope), width), np.uint8), slope)
    pieces, inside = (plane[:, step // 2 :: step] for plane in (straight, inside))
    gap = max(1, int(GAP * pieces.shape[1]))
    first, last = _ends(inside)
    labels, boxes = connect(cv2.dilate(pieces, np.ones((3, gap), np.uint8)))
    lines = _are_lines(labels, boxes, pieces, first, last)[labels].view(np.uint8) * pieces
    lines |= cv2.dilate(lines, np.ones((1, 5), np.uint8)) * (first | last)  # up to the border
    bordered = cv2.copyMakeBorder(lines, 0, 0, gap, gap, cv2.BORDER_REPLICATE)
    paths = cv2.morphologyEx(bordered, cv2.MORPH_CLOSE, np.ones((3, gap), np.uint8))[:, gap:-gap]
    return cv2.resize(paths, (width, height), interpolation=cv2.INTER_NEAREST)


def _are_lines(labels: NDArray[Any], boxes: Boxes, pieces: ByteMask, first: Mask, last: Mask) -> Mask:
    """Tell which pieces that are connected over their gaps, (N + 1,), are lines from one side to the other.

    Where there are several, a line may also fade away after half of the width.
    """
    height, columns = pieces.shape
    at_left, at_right = (np.bincount(labels[(pieces > 0) & side], minlength=len(boxes)) > 0 for side in (first, last))
    length = np.bincount(labels[1:][_tops(pieces)], minlength=len(boxes))
    is_flat = boxes[:, 3] <= BEND * height
    is_flat[0] = False  # the paper
    is_line: Mask = is_flat & at_left & at_right
    is_long = is_flat & (at_left | at_right) & (length > LONG_SHARE * columns)
    if np.count_nonzero(is_line | is_long) >= SOME_LINES:
        is_line |= is_long
    return is_line


def _ends(inside: ByteMask) -> tuple[Mask, Mask]:
    """Tell which columns are each row's first two, and which its last two, (H, W) each, given which are in the picture.

    Sheared, rows begin and end at different columns.
    """
    kernel = np.ones((1, 3), np.uint8)
    # Eroded from one side only, by an anchor at the kernel's other end, each row loses two columns.
    others = (
        cv2.erode(inside, kernel, anchor=(anchor, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        for anchor in (2, 0)
    )
    first, last = ((inside > 0) & (other == 0) for other in others)
    return first, last
