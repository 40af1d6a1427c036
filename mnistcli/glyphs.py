"""From ink to an image as the data set would show it: the digit's marks, their stroke's weight, their place."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.ink import Ink
from mnistcli.planes import Boxes, Mask, Plane, connect, extent, from_paper, is_straight, longer_side, touches_border

Grey = NDArray[np.uint8]  # (H, W), 0 = paper, 255 = ink

SIZE_PX = 28
INK_SIZE_PX = 20  # the digit's longer side; LeCun et al. 1998 made the data set so, and centred it by its mass
# Strokes of the training images are 2 to 4 pixels wide; thinner ones are thickened, wider ones thinned.
THINNEST_PX, WIDEST_PX = 1.9, 5.0
DRAWN_PX = (80, 240)  # the longer side at which strokes are corrected, before the digit shrinks to 20

SPECK_SIZE, SPECK_AREA = 0.12, 0.01  # of the main mark: a smaller one is dirt
# A blot is ink that is farther from paper than this share of its longer side, and fills as much of its convex hull;
# of 4,000 enlarged test digits 3 are.
BLOT_SHARE, BLOT_FULL = 0.22, 0.8
HAIR_SHARE = 0.3  # of the stroke's width: no stroke of the same pen is as thin
SIDE_SHARE = 0.9  # of a side of the picture: what covers as much of it goes on beyond it
LOOSE_SHARE = 0.02  # of the longer side: a faint end of a stroke is no farther from full ink
STICK, STICK_INK = 1.5, 0.03  # times as long and as broad as what it wrote is a pen; that has as much ink at least
WRITTEN = 12  # times the square of its breadth is the area of what a pen wrote; a dot has less than 4
GAP_SIZE = 0.15  # of the main mark: a part of the same digit is as near


@dataclass(frozen=True)
class Marks:
    """Connected ink: each mark a number from 1 on."""

    labels: NDArray[Any]  # (H, W) int32, 0 = paper
    boxes: Boxes  # (N + 1, 5)
    area: NDArray[np.int64]  # (N + 1,), pixels of full ink; 0 for the paper and for what is faint throughout

    @property
    def size(self) -> NDArray[np.int32]:
        """Give the longer side of each mark's box, (N + 1,)."""
        size: NDArray[np.int32] = self.boxes[:, 2:4].max(1)
        return size

    def window(self, mark: int) -> tuple[slice, slice]:
        """Select a mark's box from a plane, (H, W)."""
        left, top, width, height = self.boxes[mark, :4].tolist()
        return slice(top, top + height), slice(left, left + width)

    def mask(self, mark: int) -> Mask:
        """Tell where in its box a mark is: (height, width)."""
        is_there: Mask = self.labels[self.window(mark)] == mark
        return is_there

    def breadth(self, mark: int) -> float:
        """Give how far from paper a mark is where it is farthest, in pixels."""
        return float(from_paper(self.mask(mark)).max())


@dataclass(frozen=True)
class Stroke:
    """Ink that was cut out, and what is measured of it when first asked for."""

    covered: Plane  # (H, W), 0..1

    @cached_property
    def mask(self) -> Mask:
        """Tell where it is more ink than paper."""
        inked: Mask = self.covered > 0.5 * self.covered.max()
        return inked

    @cached_property
    def from_paper(self) -> Plane:
        """Give each inked pixel's distance from the nearest paper, with a border of paper: (H + 2, W + 2)."""
        return from_paper(self.mask)

    @cached_property
    def width(self) -> float:
        """Measure it, in pixels: twice the distance of its middle line from the paper, the median over the ink.

        Each place of the middle line counts as the ink it stands for: what is left of a ruled line is long, but thin.
        """
        distance = self.from_paper
        is_ridge = (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8))) & (distance > 0)
        ridge = np.sort(distance[is_ridge])
        inked = ridge.cumsum(dtype=np.float64)
        return 2 * float(ridge[np.searchsorted(inked, inked[-1] / 2)]) - 0.5

    @cached_property
    def is_blot(self) -> bool:
        """Tell whether it is as wide as it is long, and without dents, as no stroke of a digit is."""
        if self.from_paper.max() <= BLOT_SHARE * longer_side(self.mask):
            return False
        hull = cv2.convexHull(cv2.findNonZero(self.mask.view(np.uint8)))
        filled = cv2.fillConvexPoly(np.zeros(self.mask.shape, np.uint8), hull, 1)
        return bool(np.count_nonzero(self.mask) > BLOT_FULL * np.count_nonzero(filled))


def find_marks(ink: Ink) -> Marks:
    """Connect ink to marks, over faint places too where there is full ink at both ends (hysteresis; Canny, 1986).

    Where faint places alone lead to the border, as the lines of paper do, those that are far from full ink are none.
    """
    is_full = ink.strength > ink.threshold
    marks = to_marks(ink.strength > ink.faint, is_full)
    is_loose = _reach_border_faintly(marks, is_full)
    if not is_loose.any():
        return marks
    away = cv2.distanceTransform((~is_full).view(np.uint8), cv2.DIST_L2, 3)
    far = is_loose[marks.labels] & (away > LOOSE_SHARE * max(away.shape))
    return to_marks((marks.labels > 0) & ~far, is_full)


def to_marks(mask: Mask, is_full: Mask) -> Marks:
    """Connect the ink in a mask, (H, W), to marks, given where it is full."""
    labels, boxes = connect(mask)
    if len(boxes) == 2:  # counted sooner than by its number
        area = np.array([0, np.count_nonzero(is_full & mask)])
    else:
        area = np.bincount(labels[is_full], minlength=len(boxes))
        area[0] = 0
    return Marks(labels, boxes, area)


def _reach_border_faintly(marks: Marks, is_full: Mask) -> Mask:
    """Tell of each mark, (N + 1,), whether it touches the border, but the largest piece of full ink in it does not."""
    reaches = touches_border(marks.boxes, is_full.shape) & (marks.area > 0)
    if not reaches.any():
        return reaches
    labels, pieces = connect(is_full)
    mark = np.zeros(len(pieces), np.int64)  # that each piece is in
    mark[labels[is_full]] = marks.labels[is_full]
    area = pieces[:, 4]
    largest = np.zeros(len(reaches), area.dtype)
    np.maximum.at(largest, mark, area)
    is_cut_off = (area == largest[mark]) & touches_border(pieces, is_full.shape)
    reaches[mark[is_cut_off]] = False
    return reaches


def pick_digit(marks: Marks) -> list[int]:
    """Tell which marks are the digit of a picture of one: the main mark, and its parts that do not touch it.

    The main mark is large, near the middle, and does not hang on the border as a neighbour does that was cut off.
    """
    inked = np.flatnonzero(marks.area)
    if len(inked) == 1:
        return [int(inked[0])]
    height, width = marks.labels.shape
    left, top, wide, high = marks.boxes[:, :4].T
    hangs = touches_border(marks.boxes, marks.labels.shape)
    off_centre = np.hypot((left + wide / 2) / width - 0.5, (top + high / 2) / height - 0.5)  # 0..0.7
    lines = _run_along_border(marks) | ((wide == width) & (high == height))  # frames may be drawn by hand
    lines[find_stick(marks)] = True
    less = np.where(lines, 0.03, np.where(hangs, 0.35, 1))
    weight = np.sqrt(marks.area * marks.size) * less * (1 - off_centre / 2)
    main = int(weight.argmax())
    size = marks.size[main]
    gap_x = np.maximum(left - (left + wide)[main], left[main] - (left + wide))
    gap_y = np.maximum(top - (top + high)[main], top[main] - (top + high))
    is_part = (
        (marks.size > SPECK_SIZE * size)
        & (marks.area > SPECK_AREA * marks.area[main])
        & (np.maximum(gap_x, gap_y) < GAP_SIZE * size)
        & (~hangs | hangs[main])
    )
    is_part[main] = True
    return [int(mark) for mark in np.flatnonzero(is_part)]


def find_stick(marks: Marks) -> int:
    """Give the mark that is a pen beside what it wrote: straight, longer and broader than all else; 0 if none is."""
    inked = np.flatnonzero(marks.area)
    if len(inked) == 1:
        return 0
    stick = int(inked[marks.size[inked].argmax()])
    others = inked[inked != stick]
    main = int(others[marks.area[others].argmax()])
    is_longer = marks.size[stick] > STICK * marks.size[others].max()
    if not is_longer or marks.area[main] <= STICK_INK * marks.area[stick] or not is_straight(marks.mask(stick)):
        return 0
    breadth = marks.breadth(main)
    is_written = marks.area[main] > WRITTEN * breadth**2 and not is_straight(marks.mask(main))  # no dot, flag or foot
    return stick if is_written and marks.breadth(stick) > STICK * breadth else 0


def _run_along_border(marks: Marks) -> Mask:
    """Tell which marks run along a whole side of the picture: a frame, a table, the black beside a film's picture."""
    labels, count = marks.labels, len(marks.boxes)
    sides = labels[0], labels[-1], labels[:, 0], labels[:, -1]
    lines: Mask = np.max([np.bincount(side, minlength=count) / len(side) for side in sides], axis=0) > SIDE_SHARE
    return lines


def draw(stroke: Stroke) -> Grey:
    """Draw ink that was cut out as the data set shows a digit: (28, 28), its stroke, size and place like there."""
    return place(shrink(correct_width(stroke)))


def cut(ink: Ink, mask: Mask) -> Stroke:
    """Cut out the ink under a mask, at a size at which its width can be corrected, with a border of paper."""
    window = extent(mask)
    # What is surely ink is full, so that a pen that skips leaves no gap.
    faint = min(ink.faint, ink.threshold / 2)
    covered = _limit((ink.strength[window] - faint) / (ink.threshold - faint), 1)
    covered *= cv2.dilate(mask[window].astype(np.float32), np.ones((3, 3), np.uint8))
    covered = cv2.copyMakeBorder(covered, 3, 3, 3, 3, cv2.BORDER_CONSTANT)
    longest = max(covered.shape)
    scale = min(max(DRAWN_PX[0] / longest, 1), DRAWN_PX[1] / longest)
    if scale == 1:
        return Stroke(covered)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC if scale < 4 else cv2.INTER_LINEAR
    return Stroke(_limit(cv2.resize(covered, None, fx=scale, fy=scale, interpolation=how), 1))


def _limit(plane: Plane, highest: float) -> Plane:
    """Bring numbers between 0 and `highest`, in place, as `np.clip` does in three times the time."""
    return np.minimum(np.maximum(plane, 0, out=plane), highest, out=plane)


def without_hairs(stroke: Stroke) -> Stroke:
    """Take off what is much thinner than the stroke, such as the rest of a ruled line."""
    reach = round(HAIR_SHARE * stroke.width)
    if reach < 3:
        return stroke
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return Stroke(cv2.morphologyEx(stroke.covered, cv2.MORPH_OPEN, brush))


def correct_width(stroke: Stroke) -> Plane:
    """Thicken or thin a stroke that would come out thinner or wider than the data set's: (H, W), 0..1."""
    unit = longer_side(stroke.mask) / INK_SIZE_PX  # pixels here in one of the result's
    width = stroke.width / unit
    change = min(max(width, THINNEST_PX), WIDEST_PX) - width
    reach = round(abs(change) * unit) + 1
    if reach == 1:
        return stroke.covered
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    if change < 0:
        thinned = cv2.erode(stroke.covered, brush)
        return thinned if thinned.any() else stroke.covered  # of a few pixels in a long faint trace nothing is left
    return cv2.dilate(cv2.copyMakeBorder(stroke.covered, *(reach,) * 4, cv2.BORDER_CONSTANT), brush)


def shrink(covered: Plane) -> Plane:
    """Scale ink so that its longer side is 20 pixels, its shape kept, with area averaging: (H, W), 0..255."""
    ink = covered[extent(covered > 0.4 * covered.max())]
    scale = INK_SIZE_PX / max(ink.shape)
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0])
    return _limit(small * (267 / max(float(small.max()), 0.6)), 255)  # as the data set's strokes are inside


def place(ink: Plane) -> Grey:
    """Place ink in 28 x 28 so that its centre of mass is at the centre, as near as whole pixels allow."""
    height, width = ink.shape
    top, left = _offset(ink.sum(1, dtype=np.float64)), _offset(ink.sum(0, dtype=np.float64))
    canvas = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    canvas[top : top + height, left : left + width] = ink.round()
    return canvas


def _offset(mass: NDArray[np.float64]) -> int:
    """Say where a profile of at most 20 values begins when its centre of mass lies at pixel 14 of 28.

    Pixel 14, counted from 0, is where the data set has it: 14.00 +- 0.29 over the training images, down and across.
    """
    centre = float(mass @ np.arange(len(mass)) / mass.sum())
    return min(max(round(SIZE_PX / 2 - centre), 0), SIZE_PX - len(mass))
