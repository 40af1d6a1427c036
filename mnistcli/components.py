"""Connected components of ink: how they are found, and which of them are the digit in a single-digit picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistcli.ink import Ink
from mnistcli.planes import (
    BAR_SHAPE,
    Boxes,
    Mask,
    connect,
    distance_inside,
    distance_to_paper,
    is_bar,
    is_straight,
    touches_border,
    window_of,
)

# A stroke and a watermark that it crosses: less than the first share of their ink is full, and one piece has more than
# the second share of that. Beside it, the watermark is in several parts, each more than the third share of all of them.
MOSTLY_FAINT, PIECE_SHARE, PART_SHARE = 0.3, 0.8, 0.05
LOOSE_SHARE = 0.02  # of the picture's longer side: the faint end of a stroke is no farther from full ink

SPECK_SIZE, SPECK_INK = 0.12, 0.01  # of the main component's longer side and full ink: what has less of either is dirt
GAP_SIZE = 0.15  # of the main component's longer side: from one part of a digit to the next it is no farther
COVERED_SIDE = 0.9  # of a side of the picture: a component that covers more of it goes on beyond the picture
CUT_WEIGHT = 0.35  # how much a component counts that touches the border: it may be a neighbour that was cut off
LONGEST_BAR = 2.0  # times the main component's longer side: a line that is longer is no bar of a digit
SOLID_SHARE = 0.75  # of its box: a button, a stamp or a hole fills more
OTHER_WEIGHT = 0.03  # how much a frame, a table, a line, a button or a pen counts: it is the digit only if alone

# A pen that lies beside what it wrote.
PEN_SIZE = 1.5  # times the length and the breadth of what it wrote: a pen is longer and broader
LEAST_WRITTEN = 0.03  # of the pen's full ink: what it wrote has more
MOST_WRITTEN = 20  # components, without dirt: beside more of them, as on a printed page, the longest is a 1
STROKE_INK = 12  # times the square of its inscribed radius: a stroke has more full ink, a dot less than 4 times


@dataclass(frozen=True, eq=False)  # arrays have no equality that is true or false
class Components:
    """Connected components of ink, labelled from 1 on; 0 is the paper."""

    labels: NDArray[Any]  # (H, W) int32
    boxes: Boxes  # (N + 1, 5)
    full_ink_px: NDArray[np.int64]  # (N + 1,), counts of pixels; 0 for the paper and for what is faint throughout

    @classmethod
    def of(cls, mask: Mask, is_full: Mask) -> "Components":
        """Label the components of the ink in a mask, given where ink is full, both (H, W)."""
        labels, boxes = connect(mask)
        if len(boxes) == 2:  # for a single component, as in most pictures, a plain count is faster
            full_ink_px = np.array([0, np.count_nonzero(is_full & mask)])
        else:
            full_ink_px = np.bincount(labels[is_full], minlength=len(boxes))
            full_ink_px[0] = 0
        return cls(labels, boxes, full_ink_px)

    @cached_property
    def longer_side(self) -> NDArray[np.int32]:
        """Give the longer side of each component's box, (N + 1,)."""
        return np.maximum(self.boxes[:, 2], self.boxes[:, 3])

    def without(self, labels: Sequence[int]) -> "Components":
        """Give the same, some of them as faint as if they were no ink."""
        full_ink_px = self.full_ink_px.copy()
        full_ink_px[list(labels)] = 0
        return replace(self, full_ink_px=full_ink_px)

    def window(self, label: int) -> tuple[slice, slice]:
        """Give the rows and columns of a component's box, to select it from a plane, (H, W)."""
        return window_of(self.boxes[label, :4].tolist())

    def mask(self, label: int) -> Mask:
        """Tell where in its box a component is: (height, width)."""
        is_there: Mask = self.labels[self.window(label)] == label
        return is_there

    def inscribed_radius_px(self, label: int) -> float:
        """Give the radius of the largest circle inside a component, in pixels."""
        return float(distance_to_paper(self.mask(label)).max())

    def are_bars(self) -> Mask:
        """Tell which components, (N + 1,), are bars; those without full ink are told by their boxes alone."""
        width, height = self.boxes[:, 2:4].T
        are_bars: Mask = width > BAR_SHAPE * height
        for label in np.flatnonzero(are_bars & (self.full_ink_px > 0)).tolist():
            are_bars[label] = is_bar(self.mask(label))
        return are_bars


def find_components(ink: Ink) -> Components:
    """Label the components of ink: faint ink belongs to the full ink that it touches (hysteresis; Canny, 1986).

    Where only faint ink leads to the border, as along the lines of ruled paper, or a stroke crosses what is faint, as a
    watermark is, what is far from full ink is left out.
    """
    is_full = ink.is_full
    components = Components.of(ink.strength > ink.faint, is_full)
    reach_px = LOOSE_SHARE * max(is_full.shape)
    is_loose = _are_loose(components, is_full, reach_px)
    if not is_loose.any():
        return components
    is_far = is_loose[components.labels] & (distance_inside(~is_full) > reach_px)
    return Components.of((components.labels > 0) & ~is_far, is_full)


def _are_loose(components: Components, is_full: Mask, reach_px: float) -> Mask:
    """Tell which components, (N + 1,), seem to be strokes that are joined by faint ink to something else.

    They touch the border, but not with their largest piece of full ink; or most of them is faint, and nearly all that
    is full is one piece, which crosses the rest.
    """
    full_ink_px = components.full_ink_px
    reaches = touches_border(components.boxes, is_full.shape) & (full_ink_px > 0)
    is_mostly_faint = (full_ink_px > 0) & (full_ink_px < MOSTLY_FAINT * components.boxes[:, 4])
    if not (reaches | is_mostly_faint).any():
        return reaches
    piece_labels, pieces = connect(is_full)
    owner = np.zeros(len(pieces), np.int64)  # the component that each piece is in
    owner[piece_labels[is_full]] = components.labels[is_full]
    area = pieces[:, 4]
    largest = np.zeros(len(reaches), area.dtype)
    np.maximum.at(largest, owner, area)
    is_cut_off = (area == largest[owner]) & touches_border(pieces, is_full.shape)
    reaches[owner[is_cut_off]] = False
    crosses = is_mostly_faint & (largest > PIECE_SHARE * full_ink_px)
    for label in np.flatnonzero(crosses).tolist():
        crosses[label] = _is_crossed(components.mask(label), is_full[components.window(label)], reach_px)
    return reaches | crosses


def _is_crossed(mask: Mask, is_full: Mask, reach_px: float) -> bool:
    """Tell whether full ink crosses the faint ink of a component, and is no part of a digit that was written firmly.

    Args:
        mask: the component, (H, W) of its box.
        is_full: where there is full ink, the same size.
        reach_px: how far from it faint ink may be its own.
    """
    faint = mask & (distance_inside(~(mask & is_full)) > reach_px)
    _, boxes = connect(faint)
    return bool(np.count_nonzero(boxes[1:, 4] > PART_SHARE * np.count_nonzero(faint)) > 1)


def pick_digit(components: Components) -> list[int]:
    """Give the components that are the digit of a single-digit picture: the main one, and its other parts.

    The main one is large and near the middle, and neither cut off by the border nor anything that lies around a digit.
    """
    inked = np.flatnonzero(components.full_ink_px)
    if len(inked) == 1:
        return [int(inked[0])]
    width, height = components.boxes[:, 2:4].T
    is_cut = touches_border(components.boxes, components.labels.shape)
    main = _main_component(components, is_cut)
    size = components.longer_side[main]
    is_line = (width > BAR_SHAPE * height) & (width > LONGEST_BAR * size)
    may_be_part = (
        ~is_line
        & (components.longer_side > SPECK_SIZE * size)
        & (components.full_ink_px > SPECK_INK * components.full_ink_px[main])
        & (~is_cut | is_cut[main])
    )
    return np.flatnonzero(_near(components.boxes, main, may_be_part, GAP_SIZE * size)).tolist()


def _near(boxes: Boxes, main: int, may_be_near: Mask, gap_px: float) -> Mask:
    """Give a mask, (N + 1,), of the main box and of those that are near it or, in turn, near another of them.

    Pieces of a broken stroke are reached from one to the next, but not so far that all of them are wider than high: a
    dash or a dot would lead from one digit to another.
    """
    left, top, width, height = boxes[:, :4].T
    right, bottom = left + width, top + height
    is_near = np.zeros(len(boxes), np.bool_)
    is_near[main] = True
    reached = [main]
    while reached:
        one = reached.pop()
        gap_x = np.maximum(left - right[one], left[one] - right)
        gap_y = np.maximum(top - bottom[one], top[one] - bottom)
        for other in np.flatnonzero(may_be_near & ~is_near & (np.maximum(gap_x, gap_y) < gap_px)).tolist():
            joined = is_near.copy()
            joined[other] = True
            across, down = right[joined].max() - left[joined].min(), bottom[joined].max() - top[joined].min()
            if one == main or across <= down:
                is_near = joined
                reached.append(other)
    return is_near


def _main_component(components: Components, is_cut: Mask) -> int:
    """Choose the component that is most probably the digit, given which touch the border, (N + 1,)."""
    rows, columns = components.labels.shape
    left, top, width, height = components.boxes[:, :4].T
    off_centre = np.hypot((left + width / 2) / columns - 0.5, (top + height / 2) / rows - 0.5)  # 0..0.7
    # A frame that was drawn by hand runs along no side, but its box is the picture.
    is_other = _run_along_border(components) | ((width == columns) & (height == rows))
    is_other |= components.are_bars() | ((width > height) & (components.full_ink_px > SOLID_SHARE * width * height))
    is_other[find_pen(components)] = True
    factor = np.where(is_other, OTHER_WEIGHT, np.where(is_cut, CUT_WEIGHT, 1))
    weight = np.sqrt(components.full_ink_px * components.longer_side) * factor * (1 - off_centre / 2)
    return int(weight.argmax())


def find_pen(components: Components) -> int:
    """Give the component that is a pen beside what it wrote: straight, longer and broader than that; else 0."""
    inked = np.flatnonzero(components.full_ink_px)
    if len(inked) == 1:
        return 0
    pen = int(inked[components.longer_side[inked].argmax()])
    others = inked[inked != pen]
    main = int(others[components.full_ink_px[others].argmax()])
    if np.count_nonzero(components.full_ink_px[others] > SPECK_INK * components.full_ink_px[main]) > MOST_WRITTEN:
        return 0
    is_longer = components.longer_side[pen] > PEN_SIZE * components.longer_side[others].max()
    is_enough = components.full_ink_px[main] > LEAST_WRITTEN * components.full_ink_px[pen]
    if not (is_longer and is_enough and is_straight(components.mask(pen))):
        return 0
    radius = components.inscribed_radius_px(main)
    is_written = components.full_ink_px[main] > STROKE_INK * radius**2 and not is_straight(components.mask(main))
    return pen if is_written and components.inscribed_radius_px(pen) > PEN_SIZE * radius else 0


def _run_along_border(components: Components) -> Mask:
    """Tell which components, (N + 1,), cover a side of the picture: a frame, a table, the black beside a screenshot."""
    labels, count = components.labels, len(components.boxes)
    sides = labels[0], labels[-1], labels[:, 0], labels[:, -1]
    covered = np.max([np.bincount(side, minlength=count) / len(side) for side in sides], axis=0)
    along: Mask = covered > COVERED_SIDE
    return along
