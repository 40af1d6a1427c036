"""Numbers that are underlined: a line below them that touches them is taken off, and one that does not is no part."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnistcli.glyphs import Marks, to_marks
from mnistcli.ink import Ink
from mnistcli.planes import Mask, connect

SHORTEST = 0.04  # of the picture's width, that a line is long
BAR_SHAPE = 4.0  # as many times wider than high is a bar
SLOPE = 0.15  # that a line rises or falls by at most
ENDS = 1 / 4  # of its length, at which its slope is measured
ON_LINE = 0.85  # of its columns: as many are where the line is
OFF_LINE = 0.03  # of its length, that it is off straight there
THICKEST = 0.2  # of the height of the ink that it underlines
DEPTH = 1.2  # times its thickness, that is taken off; where strokes stand on it, it is thicker
PIECE_HEIGHT = 0.5  # of the whole: what is higher above the line is a digit
LONG = 2.0  # times as long as it is high: no digit's own
LEAST_GAP = 0.07  # of a digit's height, below it: a line that is nearer may be its foot, after the pen was lifted
BESIDE = 0.015  # of its length, by which it is longer on each side


class _Foot(NamedTuple):
    """The lowest ink of each column, (W,)."""

    bottom: NDArray[np.int64]  # the last row that is inked
    above: NDArray[np.int64]  # the row above the ink that is connected to it from there upwards; -1 for none
    is_lowest: Mask  # nothing else is inked there


def without_underlines(ink: Ink, marks: Marks) -> Marks:
    """Take lines off the ink that stands on them.

    Args:
        ink: of a picture.
        marks: in that ink.

    Returns:
        The same marks where there are no such lines, else those without them, numbered anew.
    """
    left, top, width, height = marks.boxes[:, :4].T
    is_long = (marks.area > 0) & (width > SHORTEST * marks.labels.shape[1])
    line = np.zeros(marks.labels.shape, np.bool_)
    for bar in np.flatnonzero(is_long & (width > BAR_SHAPE * height)).tolist():
        if _is_below(marks, bar):
            line |= marks.labels == bar
    for mark in np.flatnonzero(is_long & (2 * width > height)).tolist():
        window = slice(top[mark], top[mark] + height[mark]), slice(left[mark], left[mark] + width[mark])
        line[window] |= _underline(marks.labels[window] == mark)
    if not line.any():
        return marks
    return to_marks((marks.labels > 0) & ~line, ink.strength > ink.threshold)


def _is_below(marks: Marks, bar: int) -> bool:
    """Tell whether a bar is below another mark, and longer than that on both sides."""
    left, top, width, height = marks.boxes[:, :4].T
    beside, gap = BESIDE * width[bar], top[bar] - (top + height)
    is_above = (gap > LEAST_GAP * height) & (gap < height) & (height > 2 * height[bar]) & (marks.area > 0)
    is_within = (left > left[bar] + beside) & (left + width < left[bar] + width[bar] - beside)
    return bool((is_above & is_within).any())


def _underline(mask: Mask) -> Mask:
    """Give the line below the ink of a mark, (H, W) as its mask; nothing where there is none."""
    height, width = mask.shape
    foot = _foot(mask)
    columns, end = np.arange(width), max(1, int(ENDS * width))
    first, last = float(np.median(foot.bottom[:end])), float(np.median(foot.bottom[-end:]))
    slope = (last - first) / max(width - end, 1)
    rise = slope * columns
    off = np.abs(foot.bottom - rise - np.median(foot.bottom - rise))
    is_on = off <= max(2, OFF_LINE * width)
    none = np.zeros_like(mask)
    if abs(slope) > SLOPE or is_on.mean() < ON_LINE:
        return none
    free = foot.is_lowest & is_on
    if not free.any():
        return none
    runs = foot.bottom - foot.above
    thickness = float(np.median(runs[free]))
    depth = np.minimum(runs, int(DEPTH * thickness) + 1)
    line = mask & (np.arange(height)[:, None] > foot.bottom - depth) & is_on
    _, boxes = connect(mask & ~line)
    are_several = np.count_nonzero(boxes[1:, 3] > PIECE_HEIGHT * height) > 1
    beside = min(int((~free).argmax()), int((~free[::-1]).argmax()))  # columns, on the side where there are fewer
    is_own = beside <= BESIDE * width or not (are_several or width > LONG * height)  # the foot of a 2
    return none if is_own or thickness > THICKEST * height else line


def _foot(mask: Mask) -> _Foot:
    height = len(mask)
    rows = np.arange(height)[:, None]
    bottom = height - 1 - mask[::-1].argmax(0)
    above = np.where(mask | (rows > bottom), -1, rows).max(0)
    return _Foot(bottom, above, mask.argmax(0) > above)
