"""From ink that was cut out to a digit as the data set shows it: its stroke's width, its size, its place."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.idx import SIDE_PX
from mnistcli.ink import Ink
from mnistcli.planes import Mask, Plane, bounding_window, distance_to_paper, fills_hull, longer_side, weighted_median

Grey = NDArray[np.uint8]  # (H, W), 0 = paper, 255 = ink

INK_SIZE_PX = 20  # the digit's longer side; LeCun et al. 1998 made the data set so, and centred it by its mass
# Strokes of the training images are 2 to 4 pixels wide; thinner ones are thickened, wider ones thinned.
THINNEST_PX, WIDEST_PX = 1.9, 5.0
WHITE_LEVEL = 267  # of the strongest ink, before all is cut off at 255: strokes are white inside, as the data set's are
LEAST_COVERED = 0.6  # of a pixel: ink that covers less even where it is strongest stays grey
DRAWN_PX = (80, 240)  # the least and the most of its longer side while strokes are corrected, before it shrinks to 20
CUT_BORDER_PX = 3  # of paper around ink that was cut out

MASK_SHARE, CROP_SHARE = 0.5, 0.4  # of the strongest ink: a pixel with more is inked; and lies inside the digit's box
# The radius of a blot's largest circle is more than this share of its longer side, and it fills more than this share of
# its convex hull; of 4,000 enlarged test digits none is a blot, and few of those that a thick felt pen writes.
BLOT_RADIUS, BLOT_SOLIDITY = 0.22, 0.9
HAIR_SHARE = 0.3  # of the stroke's width: no stroke of the same pen is as thin


@dataclass(frozen=True, eq=False)  # arrays have no equality that is true or false
class Stroke:
    """Ink that was cut out, and what is measured of it when first asked for."""

    covered: Plane  # (H, W), 0..1

    @cached_property
    def mask(self) -> Mask:
        """Tell where it is more ink than paper."""
        inked: Mask = self.covered > MASK_SHARE * self.covered.max()
        return inked

    @cached_property
    def distance_to_paper(self) -> Plane:
        """Give each inked pixel's distance from the nearest paper, (H, W); beyond the border is paper."""
        return distance_to_paper(self.mask)

    @cached_property
    def width(self) -> float:
        """Measure it, in pixels: twice the distance of its middle line from the paper, the median over the ink.

        Each pixel of the middle line counts by its distance, as much ink as it stands for: what is left of a ruled line
        is long, but thin.
        """
        distance = self.distance_to_paper
        is_ridge = (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8))) & (distance > 0)
        ridge = distance[is_ridge].astype(np.float64)
        # Strokes of 1 and of 2 pixels have a distance of about 1 in their middle, those of 3 and 4 one of 2, and so on.
        return 2 * weighted_median(ridge, ridge) - 0.5

    @cached_property
    def is_blot(self) -> bool:
        """Tell whether it is as wide as it is long, and without dents, as no stroke of a digit is."""
        is_wide = bool(self.distance_to_paper.max() > BLOT_RADIUS * longer_side(self.mask))
        return is_wide and fills_hull(self.mask, BLOT_SOLIDITY)


def draw(stroke: Stroke) -> Grey:
    """Draw ink that was cut out with the stroke's width, the size and the place of the data set's digits: (28, 28)."""
    return place(shrink(correct_width(stroke)))


def cut(ink: Ink, mask: Mask) -> Stroke:
    """Cut out the ink under a mask, at a size at which its stroke can be corrected, with a border of paper."""
    window = bounding_window(mask)
    # What is surely ink is full, so that a pen that skips leaves no gap.
    faint = min(ink.faint, ink.threshold / 2)
    covered = ((ink.strength[window] - faint) / (ink.threshold - faint)).clip(0, 1)
    covered *= cv2.dilate(mask[window].astype(np.float32), np.ones((3, 3), np.uint8))
    covered = cv2.copyMakeBorder(covered, *(CUT_BORDER_PX,) * 4, cv2.BORDER_CONSTANT)
    longest = max(covered.shape)
    scale = min(max(DRAWN_PX[0] / longest, 1), DRAWN_PX[1] / longest)
    if scale == 1:
        return Stroke(covered)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC if scale < 4 else cv2.INTER_LINEAR
    return Stroke(cv2.resize(covered, None, fx=scale, fy=scale, interpolation=how).clip(0, 1))


def without_hairs(stroke: Stroke) -> Stroke:
    """Take off what is much thinner than the stroke, such as the rest of a ruled line."""
    reach = round(HAIR_SHARE * stroke.width)
    if reach < 3:
        return stroke
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return Stroke(cv2.morphologyEx(stroke.covered, cv2.MORPH_OPEN, kernel))


def correct_width(stroke: Stroke) -> Plane:
    """Thicken or thin a stroke that would come out thinner or wider than the data set's: (H, W), 0..1."""
    unit = longer_side(stroke.mask) / INK_SIZE_PX  # pixels here in one of the result's
    width = stroke.width / unit
    change = min(max(width, THINNEST_PX), WIDEST_PX) - width
    reach = round(abs(change) * unit) + 1
    if reach == 1:
        return stroke.covered
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    if change < 0:
        thinned = cv2.erode(stroke.covered, kernel)
        return thinned if thinned.any() else stroke.covered  # nothing is left of a few pixels in a long faint trace
    return cv2.dilate(cv2.copyMakeBorder(stroke.covered, *(reach,) * 4, cv2.BORDER_CONSTANT), kernel)


def shrink(covered: Plane) -> Plane:
    """Scale ink so that its longer side is 20 pixels, its shape kept, with area averaging: (H, W), 0..255."""
    ink = covered[bounding_window(covered > CROP_SHARE * covered.max())]
    scale = INK_SIZE_PX / max(ink.shape)
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0])
    return (small * (WHITE_LEVEL / max(float(small.max()), LEAST_COVERED))).clip(0, 255)


def place(ink: Plane) -> Grey:
    """Place ink in 28 x 28 so that its centre of mass is at the centre, as near as whole pixels allow."""
    height, width = ink.shape
    top, left = _offset(ink.sum(1, dtype=np.float64)), _offset(ink.sum(0, dtype=np.float64))
    canvas = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    canvas[top : top + height, left : left + width] = ink.round()
    return canvas


def _offset(mass: NDArray[np.float64]) -> int:
    """Give where a profile of at most 20 values begins in 28 so that its centre of mass is at pixel 14.

    Pixel 14, counted from 0, is where the data set has it: 14.00 +- 0.29 over the training images, down and across.
    """
    centre = float(mass @ np.arange(len(mass)) / mass.sum())
    return min(max(round(SIDE_PX / 2 - centre), 0), SIDE_PX - len(mass))
