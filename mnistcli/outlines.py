"""Outlines: which components have four corners, are rings around something, or discs, and what is inside them."""

from typing import NamedTuple

import cv2
import numpy as np

from mnistcli.components import Components
from mnistcli.planes import (
    ByteMask,
    Mask,
    connect,
    distance_inside,
    distance_to_paper,
    fills_hull,
    is_mark,
    is_straight,
)

LEAST_ROOM_PX = 16  # of a side: what is smaller holds no digit

# A sheet of paper or a frame has four corners, a ring is round.
LEAST_SOLIDITY = 0.93  # of its convex hull: a shape without dents fills more
# Four corners of its convex hull span more than this share of it; of an ellipse they span 0.64, of a boxy 0 up to 0.8.
LEAST_FIT, SURE_FIT = 0.8, 0.9
CORNERS_OFF = (0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 1)  # of a hull's perimeter: how far off straight its sides may be
CORNER = 1 / 8  # of a box's shorter side: a level frame has ink as near to each corner

# Frames and rings.
# Of what its outline encloses, a frame's own ink takes less than this share, and the paper inside at least this share.
FRAME_INK, FRAME_INSIDE = 0.5, 0.5
RING_WIDTH = 0.7  # of its height: what is narrower may be a 0 with a slash in it
RING_INSIDE = 0.35  # of a ring's height: what is longer inside is no dot in a 0, but what the ring is drawn around
RING_GAP = 0.12  # of a ring's longer side: the ends of one that was drawn by hand are no farther apart
PART_INSIDE = 0.25  # of the height of what is around it: what is smaller may be a dot in a 0, and no part of a digit
# Of that height: what is smaller than a part, but larger than this, is of a digit unless it is a mark.
SMALL_PART_INSIDE = 0.15
SLASH_SLANT = 0.3  # columns for each row: a slash slants by more

# Discs.
# A disc differs from the ellipse in its box by less than the first share of it, and its sides by less than the second.
DISC_OFF, DISC_SIDES = 0.04, 0.15
DISC_INK = 0.65  # of that ellipse: its own ink takes more, a 0's less
# Holes in a disc that are no longer than this share of its height are specks. Strokes have dents, so that they fill
# less of their convex hull than the first share below, and a radius less than the second share of their length. The
# hole of a bold 0 has no dents, or is wider.
LEAST_HOLE = 0.25
HOLE_SOLIDITY, HOLE_RADIUS = 0.85, 0.15


class Outline(NamedTuple):
    """A component that has four corners or is a ring, and what it encloses."""

    mask: Mask  # (H, W) of the component's box: the component, the gaps of a ring closed
    filled: ByteMask  # the same size: the component and its holes
    fit: float  # the share of its convex hull that four of its corners span
    is_ring: bool  # round, around something
    is_frame: bool  # lines around paper; else it is a sheet, or a blot


def trace(components: Components, label: int, *, may_be_slashed: bool = True) -> Outline | None:
    """Follow the outline of a component.

    Args:
        components: in a picture.
        label: of one of them.
        may_be_slashed: whether it is taken for a 0 if there is nothing but a slash in it.

    Returns:
        The outline, or None where it has neither four corners nor is a ring around something.
    """
    mask = components.mask(label)
    filled, fit = outline(mask)
    is_ring = fit < LEAST_FIT and _is_around(components, label, may_be_slashed=may_be_slashed)
    if is_ring:
        mask = _without_gaps(mask)
        filled, fit = outline(mask)
    is_frame = bool(components.boxes[label, 4] < FRAME_INK * np.count_nonzero(filled))
    if not _has_shape(fit, is_round=is_ring) or (is_ring and not is_frame):
        return None
    return Outline(mask, filled, fit, is_ring, is_frame)


def inside(frame: Outline) -> ByteMask:
    """Give the area inside a frame; an empty one where something is joined to the frame, so that it may be an 8."""
    reach = 2 * (2 + max(frame.mask.shape) // 200) + 1  # a line's edge is softer than the line
    lines = cv2.dilate(frame.mask.view(np.uint8), np.ones((reach, reach), np.uint8))
    inner, fit = outline((frame.filled > 0) & (lines == 0))
    is_clear = np.count_nonzero(inner) >= FRAME_INSIDE * np.count_nonzero(frame.filled)
    return inner if is_clear and _has_shape(fit, is_round=frame.is_ring) else np.zeros_like(frame.filled)


def outline(mask: Mask, solidity: float = LEAST_SOLIDITY) -> tuple[ByteMask, float]:
    """Fill the holes of the largest component, and give what share of its convex hull four of its corners span.

    The share is 0 if it has dents, so that it takes less of its hull than its solidity should be.
    """
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.zeros(mask.shape, np.uint8), 0.0
    contour = max(contours, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros(mask.shape, np.uint8), [contour], -1, 1, cv2.FILLED)
    hull = cv2.convexHull(contour)
    area = cv2.contourArea(hull)  # between the outermost pixels' centres
    if np.count_nonzero(filled) < solidity * area or area == 0:
        return filled, 0.0
    around = cv2.arcLength(hull, closed=True)
    corners = next(found for off in CORNERS_OFF if len(found := cv2.approxPolyDP(hull, off * around, closed=True)) <= 4)
    return filled, cv2.contourArea(corners) / area if len(corners) == 4 else 0.0


def has_corners(mask: Mask) -> bool:
    """Tell whether there is ink in all four corners of a box, as of a level frame."""
    near = max(1, int(CORNER * min(mask.shape)))
    ends = slice(near), slice(-near, None)
    return all(mask[rows, columns].any() for rows in ends for columns in ends)


def parts_inside(components: Components, label: int) -> list[int]:
    """Give the components inside one that may be parts of a digit: large ones, and small ones that are no marks."""
    is_inside, height = are_inside(components, label), components.boxes[label, 3]
    is_part = is_inside & (components.longer_side > PART_INSIDE * height)
    for small in np.flatnonzero(is_inside & ~is_part & (components.longer_side > SMALL_PART_INSIDE * height)).tolist():
        is_part[small] = not is_mark(components.mask(small))
    return np.flatnonzero(is_part).tolist()


def are_inside(components: Components, label: int) -> Mask:
    """Tell which components, (N + 1,), have full ink and a box that is inside a component's."""
    left, top, width, height = components.boxes[:, :4].T
    right, bottom = left + width, top + height
    is_inside: Mask = (left > left[label]) & (top > top[label]) & (right < right[label]) & (bottom < bottom[label])
    return is_inside & (components.full_ink_px > 0)


def fill_disc(mask: Mask) -> ByteMask | None:
    """Fill the holes of a component that is a disc, such as a badge or a ball; None where it is none."""
    height, width = mask.shape
    if abs(width - height) >= DISC_SIDES * max(width, height):
        return None
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    if np.count_nonzero(mask) < DISC_INK * np.count_nonzero(ellipse):
        return None
    filled, _ = outline(mask)
    is_disc = np.count_nonzero(filled != ellipse) < DISC_OFF * np.count_nonzero(ellipse)
    return filled if is_disc else None


def is_no_bold_digit(disc: ByteMask, is_ink: Mask) -> bool:
    """Tell whether a disc cannot be a bold 0, 6, 8 or 9: it has no holes, or they are thin, and bent as strokes are.

    Args:
        disc: with its holes filled, (H, W) of its box.
        is_ink: all ink in that box, (H, W).
    """
    labels, boxes = connect((disc > 0) & ~is_ink)
    longest = boxes[:, 2:4].max(1)
    holes = [hole for hole in range(1, len(boxes)) if longest[hole] > LEAST_HOLE * len(disc)]
    are_thin = all(distance_to_paper(labels == hole).max() < HOLE_RADIUS * longest[hole] for hole in holes)
    return not holes or (are_thin and not all(fills_hull(labels == hole, HOLE_SOLIDITY) for hole in holes))


def _has_shape(fit: float, *, is_round: bool) -> bool:
    """Tell by a shape's fit whether it has four corners or, if it is to be round, whether it just has no dents."""
    return fit > 0 if is_round else fit >= LEAST_FIT


def _is_around(components: Components, ring: int, *, may_be_slashed: bool) -> bool:
    """Tell whether a component is as wide as a ring, and around more than the dot or the slash of a 0."""
    width, height = components.boxes[ring, 2:4].tolist()
    if width <= RING_WIDTH * height:
        return False
    parts = parts_inside(components, ring)
    if not parts:
        return False
    first, span = components.boxes[parts, :2], components.boxes[parts, 2:4]
    is_large = ((first + span).max(0) - first.min(0)).max() > RING_INSIDE * height
    if not is_large and all(is_mark(components.mask(part)) for part in parts):
        return False
    return not (may_be_slashed and len(parts) == 1 and _is_slash(components.mask(parts[0])))


def _is_slash(mask: Mask) -> bool:
    """Tell whether a component is a thin straight line that is aslant, as in a 0."""
    if not is_straight(mask):
        return False
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    return abs(moments["mu11"]) > SLASH_SLANT * moments["mu02"]


def _without_gaps(ring: Mask) -> Mask:
    """Close a ring that was drawn by hand: draw the outline of what it encloses once its gap is bridged."""
    reach = RING_GAP / 2 * max(ring.shape)
    beside = int(reach) + 1  # paper around it, else ink would stay along its box
    wider = cv2.copyMakeBorder(ring.view(np.uint8), *(beside,) * 4, cv2.BORDER_CONSTANT)
    filled, _ = outline(distance_inside(wider == 0) <= reach)  # a mere closing would open what is thinner than the gap
    inner = (distance_inside(filled) > reach).view(np.uint8)
    line = cv2.morphologyEx(inner, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    closed: Mask = cv2.max(wider, line)[beside:-beside, beside:-beside] > 0
    return closed
