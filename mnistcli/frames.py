"""Frames and rings: lines that are drawn around a digit, and what has four corners or is round at all."""

from typing import NamedTuple

import cv2
import numpy as np

from mnistcli.glyphs import Marks
from mnistcli.planes import Mask, Shape

LEAST_CONVEX = 0.93  # of its convex hull, that a sheet fills at least: less, and it has dents
LEAST_FIT, SURE_FIT = 0.8, 0.9  # of its hull, that four corners span: of an ellipse's 0.64, of a boxy 0's up to 0.8
CORNERS_OFF = (0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 1)  # of the way around: how far from straight its sides may be
FRAME_INK, FRAME_INSIDE = 0.5, 0.5  # of what it surrounds, a frame's own ink at most, and the paper inside at least
RING_WIDTH = 0.7  # of its height: what is narrower may be a 0 with a slash in it
RING_INSIDE = 0.35  # of a ring's height: what is as long in it is no dot in a 0, but what the ring is drawn around
SLASH_WIDTH, SLASH_SLANT = 0.03, 0.3  # spread across it, of that along it; columns aside for each row
RING_GAP = 0.12  # of a ring's longer side: between its ends


class Outline(NamedTuple):
    """What a mark encloses, with the mark itself."""

    mask: Mask  # (H, W) of the mark's box: the mark, the gaps of a ring closed
    filled: Shape  # the same size: the mark and its holes
    fit: float  # of its convex hull, how much four of its corners span, 0..1
    is_ring: bool  # round, around something
    is_frame: bool  # lines around paper; else it is a sheet, or a blot


def trace(marks: Marks, mark: int) -> Outline | None:
    """Follow the outline of a mark; None where it has neither four corners nor is a ring around something."""
    mask = marks.mask(mark)
    height, width = mask.shape
    filled, fit = outline(mask)
    is_ring = fit < LEAST_FIT and width > RING_WIDTH * height and _size_inside(marks, mark) > RING_INSIDE * height
    if is_ring:
        mask = _without_gaps(mask)
        filled, fit = outline(mask)
    is_frame = bool(marks.boxes[mark, 4] < FRAME_INK * np.count_nonzero(filled))
    if not _has_shape(fit, is_round=is_ring) or (is_ring and not is_frame):
        return None
    return Outline(mask, filled, fit, is_ring, is_frame)


def inside(frame: Outline) -> Shape:
    """Give the place that a frame surrounds; nothing where the frame has something joined to it, as a boxed 8 does."""
    reach = 2 * (2 + max(frame.mask.shape) // 200) + 1  # a line's edge is softer than the line
    lines = cv2.dilate(frame.mask.view(np.uint8), np.ones((reach, reach), np.uint8))
    inner, fit = outline((frame.filled > 0) & (lines == 0))
    is_clear = np.count_nonzero(inner) >= FRAME_INSIDE * np.count_nonzero(frame.filled)
    return inner if is_clear and _has_shape(fit, is_round=frame.is_ring) else np.zeros_like(frame.filled)


def outline(mask: Mask) -> tuple[Shape, float]:
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


def _size_inside(marks: Marks, mark: int) -> int:
    """Give the longer side of the largest mark whose box is inside a mark's; 0 where that is a slash, or nothing."""
    left, top, width, height = marks.boxes[:, :4].T
    right, bottom = left + width, top + height
    is_inside = (left > left[mark]) & (top > top[mark]) & (right < right[mark]) & (bottom < bottom[mark])
    sizes = np.where(is_inside & (marks.area > 0), marks.size, 0)
    largest = int(sizes.argmax())
    return 0 if sizes[largest] == 0 or _is_slash(marks.mask(largest)) else int(sizes[largest])


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
