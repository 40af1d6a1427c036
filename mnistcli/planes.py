"""Planes of numbers and masks, as pictures are made of: resized, spread, connected, measured."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, C), C = 1 or 3
# OpenCV leaves open what its results hold.
Image = NDArray[Any]  # (H, W, C) float32, 0..255
Plane = NDArray[Any]  # (H, W) float32
Boxes = NDArray[Any]  # (N, 5) int32: left, top, width, height, area; row 0 is the paper
Mask = NDArray[np.bool_]  # (H, W)
ByteMask = NDArray[Any]  # (H, W) uint8, 0 or 1: a mask as OpenCV takes and gives it

STRAIGHT_WIDTH = 0.03  # spread across what is straight, of that along it
SPREAD_SHARE = 0.06  # of the longer side: the deviation by which what is known of the paper is spread


def resize(image: NDArray[Any], width: int, height: int, how: int = cv2.INTER_AREA) -> Image:
    """Bring (H, W, C) or (H, W) to a size, with area averaging if nothing else is asked for: (height, width, C)."""
    return cv2.resize(image, (width, height), interpolation=how).reshape(height, width, -1)


def shrunk_size(image: NDArray[Any], longest: int) -> tuple[int, int]:
    """Give the width and height that a picture has when its longer side is `longest`, or less already; 3 at least."""
    height, width = image.shape[:2]
    scale = min(1, longest / max(height, width))
    return max(3, round(width * scale)), max(3, round(height * scale))


def spread(values: Image, weight: Plane, longest: int, least: float) -> Image:
    """Spread values smoothly from where they have weight to where they have none; far from there they are 0.

    Args:
        values: (H, W, C) float32.
        weight: 0..1.
        longest: the longer side, in pixels, at which it is done.
        least: the weight that 0 has everywhere.

    Returns:
        (H, W, C) float32.
    """
    height, width = weight.shape
    size = shrunk_size(values, longest)
    reach = SPREAD_SHARE * max(size)
    summed, weights = (
        cv2.GaussianBlur(resize(plane, *size), (0, 0), reach, borderType=cv2.BORDER_REFLECT).reshape(*size[::-1], -1)
        for plane in (values * weight[..., None], weight)
    )
    return resize((summed / (weights + least)).astype(np.float32), width, height, cv2.INTER_LINEAR)


def connect(mask: NDArray[Any]) -> tuple[NDArray[Any], Boxes]:
    """Number the connected places of a mask, (H, W) int32 with 0 for the rest, and give the boxes around them, (N, 5).

    Places that touch at a corner are connected. Row 0 is the rest; its box says nothing.
    """
    inked = mask.astype(bool).view(np.uint8)
    # At these sizes, this algorithm takes half the time of the default one.
    how = 8, cv2.CV_32S, cv2.CCL_GRANA
    count, labels = cv2.connectedComponentsWithAlgorithm(inked, *how)
    if count > 2:
        _, labels, boxes, _ = cv2.connectedComponentsWithStatsWithAlgorithm(inked, *how)
        return labels, boxes
    # Boxes take longer than numbers, but for a single one.
    area, (height, width) = cv2.countNonZero(inked), inked.shape
    paper, label = (0, 0, width, height, inked.size - area), (*cv2.boundingRect(inked), area)
    return labels, np.array([paper, label][:count], np.int32)


def touches_border(boxes: Boxes, shape: tuple[int, ...]) -> Mask:
    """Tell which of (N, 5) boxes, as OpenCV gives them, touch the border of a picture of (height, width)."""
    left, top, width, height = boxes[:, :4].T
    touching: Mask = (left == 0) | (top == 0) | (left + width == shape[1]) | (top + height == shape[0])
    return touching


def extent(mask: NDArray[Any]) -> tuple[slice, slice]:
    """Give the rows and columns that what is in a plane takes up, to select it by; there has to be something."""
    left, top, width, height = cv2.boundingRect(mask.astype(bool).view(np.uint8))
    return slice(top, top + height), slice(left, left + width)


def longer_side(mask: NDArray[Any]) -> int:
    """Give the longer side, in pixels, of the box around what is in a plane; there has to be something."""
    longer: int = max(cv2.boundingRect(mask.astype(bool).view(np.uint8))[2:])
    return longer


def from_paper(mask: Mask) -> Plane:
    """Give the distance of each pixel in a mask from the nearest paper, with a border of paper: (H + 2, W + 2)."""
    bordered = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return cv2.distanceTransform(bordered, cv2.DIST_L2, 3)


def breadth_of(mask: Mask) -> float:
    """Give how far what is in a mask is from the rest, where it is farthest, as a share of the longer side."""
    inside = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3)
    return float(inside.max() / max(inside.shape))


def is_straight(mask: Mask) -> bool:
    """Tell by its moments whether what is in a mask is long, thin and straight, in whatever direction."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    across, down, both = moments["mu20"], moments["mu02"], moments["mu11"]
    return bool(across * down - both**2 < STRAIGHT_WIDTH * (across + down) ** 2)  # spread across it and along it


def border_pixels(image: NDArray[Any]) -> NDArray[Any]:
    """Give the outermost pixels, (M, C), of (H, W, C)."""
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def quantile(values: NDArray[Any], share: float) -> float:
    """Give the quantile, 0..1, of (N,) numbers, N > 0: `np.quantile`, but for rounding, in a tenth of its time."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    ordered = np.partition(values, (low, high))
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place - low))
