"""Frames and rings around digits: which components are such lines, and what of their ink is strokes of digits."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.components import Components
from mnistcli.ink import Ink
from mnistcli.outlines import (
    FRAME_INK,
    LEAST_ROOM_PX,
    PART_INSIDE,
    RING_INSIDE,
    SURE_FIT,
    are_inside,
    has_corners,
    outline,
    parts_inside,
    trace,
)
from mnistcli.planes import (
    Boxes,
    Mask,
    Plane,
    are_alike,
    connect,
    distance_to_paper,
    is_straight,
    pixels_of,
    touches_border,
    weighted_median,
    window_of,
)
from mnistcli.rules import thickest_line, without_rules

SIMILAR_SIZE = 0.7  # of two rings' longer sides, the shorter one is more than this share of the other
SIMILAR_SIDES = 0.8  # of two boxes of a form, written in or not, each side is more than this share of the other's
SQUARE_WIDTH = 0.8  # of its height: an empty box is wider, a 0 with corners is not

# Frames whose lines strokes cross.
# A frame's lines are no thicker than this share of the longer side of its box, or of twice the shorter one where that
# is less.
FRAME_THICKNESS = 0.05
# One of a frame's lines is longer than this share of its side, and thinner than this share of its height.
LINE_LENGTH, LINE_WIDTH = 0.8, 0.15
MOST_CROSSED = 0.15  # of a frame's outline: strokes that cross it take less

# Frames that a digit touches.
LINE_SHARE = 0.5  # of all that is equally deep inside a frame: its lines take more, strokes that touch them less
LINE_OFF, LINE_OFF_PX = 1.25, 1  # times the lines' thickness, and pixels more: what is deeper inside is no line
LEAST_DEEP = 0.15  # of a frame's, or a cell's, shorter side: a stroke reaches deeper inside

# Grids that digits touch, in shares of a cell's side: their lines run on for longer, and a digit is no longer.
RUN_SHARE, FITS = 0.9, 1.1
INSIDE_SHARE = 0.5  # of a stroke's pixels: more of them are inside cells, and not beside a line
ALONG = 0.1  # of a cell's shorter side: what is within half of it from a line is beside that

# Frames that are open, and grids.
THIN_INK = 0.12  # of a box: thin lines take less; a sheet's shaded edge takes half as much
# Thin lines lie along the sides of their box, in zones of this share of it, but for less than this share of their ink.
SIDE_ZONE, MOST_OFF = 0.1, 0.1
OPEN_INSIDE = 0.1  # of a frame's longer side: what is smaller inside open lines is dirt
MOST_HOLES = 2  # a digit has no more; with more, a component is a table's or a calendar's grid
LEAST_CELL = 0.05  # of a grid's shorter side: its cells are wider and higher

# Lines that digits are among, whatever their shape: those of noughts and crosses, axes, the bracket of a long division.
# They take less than a share of their box. In it are so many components of about one height that have more than a
# share of the lines' ink; the box's sides are longer than two multiples of that height.
AMONG_INK, LEAST_AMONG, AMONG_SHARE = 0.2, 3, 0.2
AMONG_LONGER, AMONG_SHORTER = 2.5, 1.25


def without_frames(ink: Ink, components: Components) -> Components:
    """Take off all frames and rings that are around digits: the boxes of a form, a table's lines, numbers circled.

    A ring around a slanted 1 looks like a 0 with a slash: it is a ring where another one is about as large. What is
    joined to the lines of a frame around nothing else is left, as far as it is inside them: a digit may touch its box.

    Args:
        ink: of a picture.
        components: in that ink.

    Returns:
        The same components where there are no frames, else those without them, labelled anew; strokes that cross a
        frame's straight lines are left, where it is 90 pixels high and wide or more.
    """
    large = np.flatnonzero((components.full_ink_px > 0) & (components.boxes[:, 2:4].min(1) >= LEAST_ROOM_PX)).tolist()
    may_be_crossed = [label for label in large if _may_be_crossed(components.mask(label))]
    across = {label: _strokes_across(ink, components, label) for label in may_be_crossed}
    frames = _find_frames(components, large, [label for label, strokes in across.items() if strokes.any()])
    if not frames:
        return components
    is_ink = components.labels > 0
    for frame in frames:
        mask = components.mask(frame)
        strokes = across.get(frame, np.zeros_like(mask))
        if not strokes.any():
            is_empty = not _are_written_in(components, frame)
            strokes = _strokes_within(mask) if is_empty else _strokes_in_cells(mask)
        is_ink[components.window(frame)] &= ~mask | strokes
    return Components.of(is_ink, ink.is_full)


def _find_frames(components: Components, large: list[int], crossed: list[int]) -> set[int]:
    """Give the frames and rings among the components that are large enough, given those that strokes cross.

    The order matters: what is less clearly a frame is judged by the frames that were found before.
    """
    is_alone = np.count_nonzero(components.full_ink_px) == 1
    around = set() if is_alone else {label for label in large if _are_written_in(components, label)}
    frames = {label for label in around if _is_frame(components, label)}
    # What looks like a 0 with a slash is a ring if it is about as large as a frame.
    similar = {
        label for label in around - frames if any(_have_similar_size(components, label, frame) for frame in frames)
    }
    frames |= {label for label in similar if _is_frame(components, label, may_be_slashed=False)}
    # Strokes that cross a frame are part of it, so that nothing need be inside it.
    frames |= {label for label in crossed if label not in frames and _is_frame(components, label)}
    # Open lines and grids lack a frame's shape; a component that is alone is rather a digit.
    if not is_alone:
        frames |= {label for label in large if label not in frames and _is_open_frame(components, label)}
    # Boxes that were left empty are known by the frames that were written in.
    return frames | _find_empty_boxes(components, set(large) - around - frames, frames)


def _find_empty_boxes(components: Components, empty: set[int], frames: set[int]) -> set[int]:
    """Give which of what has nothing inside are boxes that were left empty.

    They are as large as those that are written in, or too square for a 0, however boxy that is.
    """
    return {
        label
        for label in empty
        if (any(_have_similar_sides(components, label, frame) for frame in frames) or _is_square(components, label))
        and _is_frame(components, label)
    }


def _is_square(components: Components, label: int) -> bool:
    """Tell whether a component has four sharp corners, and is hardly higher than wide."""
    width, height = components.boxes[label, 2:4].tolist()
    return width > SQUARE_WIDTH * height and outline(components.mask(label))[1] >= SURE_FIT


def _may_be_crossed(mask: Mask) -> bool:
    """Tell whether a component, (H, W) of its box, may be a level frame with strokes across: ink within its lines."""
    edge = 1 + thickest_line(mask.shape, FRAME_THICKNESS)
    return has_corners(mask) and bool(mask[edge:-edge, edge:-edge].any())


def _strokes_across(ink: Ink, components: Components, frame: int) -> Mask:
    """Give the strokes that cross a level frame, (H, W) of its box: what is left without its lines, or nothing."""
    mask = components.mask(frame)
    labels, boxes = connect(_without_straight_lines(ink.strength[components.window(frame)], mask, ink.faint))
    sizes = boxes[:, 2:4]
    is_side = (sizes >= LINE_LENGTH * np.array(mask.shape[::-1])) & (sizes[:, ::-1] < LINE_WIDTH * len(mask))
    is_stroke = ~np.any(is_side, axis=1)
    is_stroke[0] = False  # the paper
    strokes = pixels_of(labels, is_stroke)
    has_strokes = sizes[is_stroke].max(initial=0) > RING_INSIDE * len(mask)
    return strokes if has_strokes and not _run_along_outline(strokes, mask) else np.zeros_like(mask)


def _without_straight_lines(strength: Plane, frame: Mask, faint: float) -> Mask:
    """Give what is left of a frame without its straight lines, (H, W) of its box; nothing where it has none."""
    beyond = 1 + max(frame.shape) // 20  # mirrored there, a line along the border has paper on both sides
    lines = np.where(frame, strength, 0).astype(np.float32)
    wider = cv2.copyMakeBorder(lines, *(beyond,) * 4, cv2.BORDER_REFLECT_101)
    cleared = without_rules(wider, faint, FRAME_THICKNESS)
    if cleared is wider:
        return np.zeros_like(frame)
    left: Mask = (cleared[beyond:-beyond, beyond:-beyond] > faint) & frame
    return left


def _run_along_outline(strokes: Mask, frame: Mask) -> bool:
    """Tell whether what looks like strokes takes much of a frame's outline, as a line does that is left in part."""
    filled, _ = outline(frame)
    around = filled - cv2.erode(filled, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT) > 0
    return bool(np.count_nonzero(strokes & around) >= MOST_CROSSED * np.count_nonzero(around))


def _strokes_within(frame: Mask) -> Mask:
    """Give the strokes that are joined to a frame's lines, as far as they are inside these; not the lines of cells."""
    filled, _ = outline(frame)
    depth = distance_to_paper(filled > 0)
    reach = LINE_OFF * _line_thickness(frame, depth) + LINE_OFF_PX
    labels, boxes = connect(frame & (depth > reach))
    sizes = boxes[:, 2:4]
    inner = np.array(frame.shape[::-1]) - 2 * reach
    is_across = sizes >= LINE_LENGTH * inner
    is_stroke = sizes[:, 1] > RING_INSIDE * len(frame)
    is_stroke[0] = False  # the paper
    for label in np.flatnonzero(is_stroke).tolist():
        stroke = labels == label
        is_line = is_across[label].all() or (is_across[label].any() and is_straight(stroke))
        is_stroke[label] = depth[stroke].max() > LEAST_DEEP * min(frame.shape) and not is_line
    return pixels_of(labels, is_stroke)


def _strokes_in_cells(grid: Mask) -> Mask:
    """Give the strokes that are joined to a grid's lines, (H, W) as its mask, those in its cells; of no grid none.

    What is left of lines that are not level, or not quite straight, lies between cells, or along other lines.
    """
    holes = _Holes.of(grid)
    if len(holes.cells) <= MOST_HOLES:
        return np.zeros_like(grid)
    width, height = np.median(holes.boxes[holes.cells, 2:4], axis=0).tolist()
    across, down = (max(1, int(RUN_SHARE * side)) for side in (width, height))
    runs = np.ones((1, across), np.uint8), np.ones((down, 1), np.uint8)
    lines = np.maximum(*(cv2.morphologyEx(grid.view(np.uint8), cv2.MORPH_OPEN, run) for run in runs))
    labels, boxes = connect(grid & (cv2.dilate(lines, np.ones((3, 3), np.uint8)) == 0))
    fits = (boxes[:, 2] < FITS * width) & (boxes[:, 3] < FITS * height) & (boxes[:, 3] > RING_INSIDE * height)
    reach = int(ALONG * min(width, height)) | 1
    along = cv2.dilate(lines, np.ones((reach, reach), np.uint8)) > 0
    depth = distance_to_paper(holes.filled_cells())
    within = np.bincount(labels[(depth > 0) & ~along], minlength=len(boxes))
    is_deep = np.bincount(labels[depth > LEAST_DEEP * min(width, height)], minlength=len(boxes)) > 0
    return pixels_of(labels, fits & is_deep & (within > INSIDE_SHARE * boxes[:, 4]))


def _line_thickness(frame: Mask, depth: Plane) -> int:
    """Give how thick a frame's lines are, in pixels, given how deep inside its outline each pixel is."""
    layer = depth.round().astype(np.int64)  # 0 outside, 1 for the outermost pixels
    inked = np.bincount(layer[frame], minlength=layer.max() + 1)
    is_rest = inked < LINE_SHARE * np.bincount(layer.ravel())
    return int(is_rest[1:].argmax())


def _are_written_in(components: Components, label: int) -> bool:
    """Tell whether what is inside a component is more than dirt: part of a digit, or many small components."""
    is_inside = are_inside(components, label)
    return bool(components.longer_side[is_inside].sum() > components.boxes[label, 3] or parts_inside(components, label))


def _is_open_frame(components: Components, label: int) -> bool:
    """Tell whether a component is a grid around digits, thin lines among them, or along its box as a sheet's edges."""
    is_inside = are_inside(components, label)
    largest = int(components.longer_side[is_inside].max(initial=0))
    if largest == 0:
        return False
    mask = components.mask(label)
    ink = np.count_nonzero(mask)
    if ink < AMONG_INK * mask.size and _are_digits_among(components, label, is_inside):
        return True
    holes = _Holes.of(mask)
    if len(holes.cells) > MOST_HOLES:
        return bool(ink < FRAME_INK * mask.size and largest > PART_INSIDE * holes.boxes[holes.cells, 3].max())
    high, wide = (max(1, int(SIDE_ZONE * length)) for length in mask.shape)
    is_along = np.count_nonzero(mask[high:-high, wide:-wide]) < MOST_OFF * ink
    return bool(is_along and ink < THIN_INK * mask.size and largest > OPEN_INSIDE * max(mask.shape))


def _are_digits_among(components: Components, label: int, is_inside: Mask) -> bool:
    """Tell whether what is in a component's box may be several digits by its sizes, much smaller than the box."""
    heights, full_ink_px = components.boxes[is_inside, 3], components.full_ink_px[is_inside]
    usual = weighted_median(heights, full_ink_px)
    is_alike = are_alike(heights, usual)
    shorter, longer = sorted(components.boxes[label, 2:4].tolist())
    is_larger = longer > AMONG_LONGER * usual and shorter > AMONG_SHORTER * usual
    are_written = full_ink_px[is_alike].sum() > AMONG_SHARE * components.full_ink_px[label]
    return bool(is_larger and are_written and np.count_nonzero(is_alike) >= LEAST_AMONG)


class _Holes(NamedTuple):
    """The paper in a component's box, and which of it are holes, as a grid's cells, and no mere flaws of its ink."""

    labels: NDArray[Any]  # (H, W) int32
    boxes: Boxes  # (N + 1, 5)
    cells: list[int]  # labels

    @classmethod
    def of(cls, mask: Mask) -> "_Holes":
        labels, boxes = connect(~mask)
        is_cell = ~touches_border(boxes, mask.shape) & (boxes[:, 2:4].min(1) > LEAST_CELL * min(mask.shape))
        is_cell[0] = False  # the component
        return cls(labels, boxes, np.flatnonzero(is_cell).tolist())

    def filled_cells(self) -> Mask:
        """Give the convex hulls of all cells, (H, W), so that what reaches into a cell from its lines is inside."""
        filled = np.zeros(self.labels.shape, np.uint8)
        for cell in self.cells:
            window = window_of(self.boxes[cell, :4].tolist())
            hole = (self.labels[window] == cell).view(np.uint8)
            cv2.fillConvexPoly(filled[window], cv2.convexHull(cv2.findNonZero(hole)), 1)
        return filled > 0


def _is_frame(components: Components, label: int, *, may_be_slashed: bool = True) -> bool:
    found = trace(components, label, may_be_slashed=may_be_slashed)
    return found is not None and found.is_frame


def _have_similar_size(components: Components, one: int, other: int) -> bool:
    smaller, larger = sorted((components.longer_side[one], components.longer_side[other]))
    return bool(smaller > SIMILAR_SIZE * larger)


def _have_similar_sides(components: Components, one: int, other: int) -> bool:
    smaller, larger = np.sort(components.boxes[[one, other], 2:4], axis=0)
    return bool((smaller > SIMILAR_SIDES * larger).all())
