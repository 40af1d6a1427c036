"""Numbers that are underlined: a line below them is taken off, whether it touches them or not."""

import numpy as np
from numpy.typing import NDArray

from mnistcli.components import Components
from mnistcli.ink import Ink
from mnistcli.planes import Boxes, Mask, connect, is_bar, quantile

PART_GAP = 0.2  # of a digit's height, from one of its parts to the next; lines of writing are farther apart

# The shape of a line, as shares of its length where nothing else is said.
SHORTEST = 0.04  # of the picture's width: a line is longer
SLOPE = 0.15  # a line rises or falls by no more
ENDS = 1 / 4  # the parts at both ends by which its slope is measured
OFF_LINE = 0.03  # a line is no farther off straight
ON_LINE = 0.85  # of its columns have their lowest ink on it
THICKEST = 0.2  # of the height of the ink that it underlines: a line is thinner
DEPTH = 1.2  # times its thickness is taken off, for where strokes stand on it, it is thicker
BARE = 2.5  # times its thickness: where ink rises higher from it, a 1 stands on it, or it is a comb and that a tooth
MOST_BELOW = 0.12  # of the height of the ink: a tail goes no farther below the line, but a 4 does below its bar

# What tells a line from the foot of a 2, or from the bar of a 7.
BESIDE = 0.015  # of its length: a line is longer than the digits by as much on each side
FAR_BESIDE, FAR_TOUCHING = 0.2, 0.45  # of a digit's width: a line that is longer by as much on each side is no foot
NARROWEST = 0.3  # of its height: a narrower digit counts as so wide, for a line below a 1 need not be much longer
LONG = 2.0  # times the height of the ink on it: a longer line is no foot
PIECE_HEIGHT = 0.5  # of the whole: what is higher above the line is a digit
# Of two lines below each other, as shares of the longer one: how far their middles may be off to the side, how long
# the shorter one is at least, and how far below each other they may be.
DOUBLE_OFF, DOUBLE_LENGTH, DOUBLE_GAP = 0.2, 0.6, 0.35
LEAST_GAP = 0.07  # of a digit's height: a line that is closer below it may be its foot, after the pen was lifted


def without_underlines(ink: Ink, components: Components) -> Components:
    """Take off the lines below digits.

    Args:
        ink: of a picture.
        components: in that ink.

    Returns:
        The same components where there are no such lines, else those without them, labelled anew.
    """
    width, height = components.boxes[:, 2:4].T
    is_long = (components.full_ink_px > 0) & (width > SHORTEST * components.labels.shape[1]) & (2 * width > height)
    long = np.flatnonzero(is_long).tolist()
    bars = {label: components.boxes[label] for label in long if is_bar(components.mask(label))}
    boxes = np.array([*bars.values()])
    line = np.zeros(components.labels.shape, np.bool_)
    for label in long:
        mask = components.mask(label)
        is_line = label in bars and _is_below(components, label, is_double=_is_double(boxes, bars[label]))
        line[components.window(label)] |= mask if is_line else _underline(mask)
    if not line.any():
        return components
    return Components.of((components.labels > 0) & ~line, ink.is_full)


def _is_double(bars: Boxes, bar: NDArray[np.int32]) -> bool:
    """Tell whether a bar is one of two that are about as long, close below each other, given the boxes of all bars."""
    left, top, width, _, _ = bars.T
    longest = np.maximum(width, bar[2])
    off_side = np.abs(2 * (left - bar[0]) + width - bar[2]) / 2  # from middle to middle
    is_alike = (off_side < DOUBLE_OFF * longest) & (np.minimum(width, bar[2]) > DOUBLE_LENGTH * longest)
    is_near = is_alike & (np.abs(top - bar[1]) < DOUBLE_GAP * longest)
    return bool(np.count_nonzero(is_near) > 1)  # one is the bar itself


def _is_below(components: Components, bar: int, *, is_double: bool) -> bool:
    """Tell whether a bar is below another component, and longer than that on both sides, or one of two."""
    left, top, width, height = components.boxes[:, :4].T
    is_higher = (height > 2 * height[bar]) & (components.full_ink_px > 0)
    gap = top[bar] - (top + height)
    beside = np.minimum(left - left[bar], left[bar] + width[bar] - (left + width))  # on the side where there is less
    # A bar's box is higher than the bar where it rises or falls.
    is_apart = (gap > LEAST_GAP * height) | ((beside > FAR_BESIDE * width) & (gap > -height[bar]))
    overlaps = (left < left[bar] + width[bar]) & (left + width > left[bar])
    is_longer = beside > BESIDE * width[bar]
    is_no_foot = (is_longer & is_apart) | (is_double & (is_longer | (gap > LEAST_GAP * height)))
    is_above = is_no_foot & overlaps & (gap > -height[bar]) & (gap < height)
    under = top - (top[bar] + height[bar])  # the bar of a 7 that was drawn apart has the rest close below it
    is_beneath = overlaps & (under > -height[bar]) & (under < PART_GAP * height)
    return bool((is_higher & is_above).any() and not (is_higher & is_beneath).any())


def _underline(mask: Mask) -> Mask:
    """Give the line below the ink of a component, (H, W) as its mask; nothing where there is none."""
    height, width = mask.shape
    none = np.zeros_like(mask)
    lowest = (1 - THICKEST) * height - SLOPE * width  # where a line may begin or end
    if not all(mask[max(int(lowest), 0) :, side].any() for side in (0, -1)):
        return none  # told without looking closer, for most digits stand on no line
    bottom = height - 1 - mask[::-1].argmax(0)  # (W,), the last row of each column that is inked
    is_on = _are_on_line(bottom, height)
    if not is_on.any():
        return none
    rows = np.arange(height)[:, None]
    above = np.where(mask | (rows > bottom), -1, rows).max(0)  # the row above what is inked from there upwards
    is_free = (mask.argmax(0) > above) & is_on  # with nothing else above
    if not is_free.any():
        return none
    thickness = quantile((bottom - above)[is_free], 0.5)
    line = mask & (rows > np.maximum(above, bottom - int(DEPTH * thickness) - 1)) & is_on
    is_bare = is_free & (bottom - above <= BARE * thickness)
    return line if thickness <= THICKEST * height and not _is_foot(mask, line, is_bare) else none


def _is_foot(mask: Mask, line: Mask, is_bare: Mask) -> bool:
    """Tell whether the line below a component's ink is the foot of a 2, or of a comb, given the columns of it alone."""
    height, width = mask.shape
    _, boxes = connect(mask & ~line)
    are_several = np.count_nonzero(boxes[1:, 3] > PIECE_HEIGHT * height) > 1
    beside = min(int((~is_bare).argmax()), int((~is_bare[::-1]).argmax()))  # columns, on the side where there are fewer
    digit_width = max(NARROWEST * height, boxes[1:, 2].max(initial=0))
    is_longer = width > LONG * height or beside > FAR_TOUCHING * digit_width
    return bool(beside <= BESIDE * width or not (are_several or is_longer))


def _are_on_line(bottom: NDArray[np.int64], height: int) -> Mask:
    """Tell which columns, (W,), have their lowest ink on one straight line; none of them if too few do."""
    width = len(bottom)
    end = max(1, int(ENDS * width))
    slope = (quantile(bottom[-end:], 0.5) - quantile(bottom[:end], 0.5)) / max(width - end, 1)
    level = bottom - slope * np.arange(width)
    below = level - quantile(level, 0.5)
    is_on: Mask = np.abs(below) <= max(2, OFF_LINE * width)
    is_line = abs(slope) <= SLOPE and np.count_nonzero(is_on) >= ON_LINE * width
    return is_on if is_line and below.max() <= MOST_BELOW * height else np.zeros_like(is_on)
