"""Arrays that pictures are made of, planes of numbers and masks: resized, spread, connected, measured."""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, C), C = 1 or 3
# Any, for OpenCV does not declare the types of its results.
Image = NDArray[Any]  # (H, W, C) float32, 0..255
Plane = NDArray[Any]  # (H, W) float32
Boxes = NDArray[Any]  # (N + 1, 5) int32: left, top, width, height, area, as OpenCV gives them; row 0 is the paper
Mask = NDArray[np.bool_]  # (H, W)
ByteMask = NDArray[Any]  # (H, W) uint8, 0 or 1: a mask as OpenCV takes and gives it

BAR_SHAPE = 4.0  # times its height: a bar is wider
RUN_SHAPE = 12.0  # times its height: a run of digits that touch is no wider
RUN_INK = 1.5  # times the ink of a bar that is as long and as thick: a run of digits that touch has more
MARK_SHARE = 0.8  # of its convex hull: a dot or a straight stroke fills more, a digit that is neither fills less
STRAIGHT_SPREAD = 0.03  # of the variance along a line: what is straight has less variance across it
SPREAD_SHARE = 0.06  # of the longer side: the standard deviation of the Gaussian by which values are spread
SOBEL_SCALE = 8  # OpenCV's kernel gives the slope per pixel times this
ALIKE = 1.6  # times: what was written together, digits or their strokes, differs less in size
OUTLIER = 3  # standard deviations: what is farther off is of another kind
DEVIATION_OF_MEDIAN = 1.4826  # the median absolute deviation of normal numbers, times this, is their standard deviation


def resize(image: NDArray[Any], width: int, height: int, how: int = cv2.INTER_AREA) -> Image:
    """Resize (H, W, C) or (H, W) to (height, width, C), by area averaging if nothing else is asked for."""
    return cv2.resize(image, (width, height), interpolation=how).reshape(height, width, -1)


def shrunk_size(image: NDArray[Any], longest: int) -> tuple[int, int]:
    """Give the width and height, 3 at least, of an image that is shrunk until its longer side is `longest`."""
    height, width = image.shape[:2]
    scale = min(1, longest / max(height, width))
    return max(3, round(width * scale)), max(3, round(height * scale))


def spread(values: Image, weight: Plane, longest: int, least: float) -> Image:
    """Spread values smoothly from where they are known to where they are not; far from there they become 0.

    This is normalized convolution (Knutsson and Westin, 1993) with a Gaussian.

    Args:
        values: (H, W, C) float32.
        weight: (H, W), how well each is known, 0..1.
        longest: the longer side, in pixels, to which they are shrunk for it.
        least: a weight of 0 that each place has besides: the greater, the sooner values become 0.

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
    """Label the connected components of a mask, (H, W) int32 with 0 for the paper, and give their boxes, (N + 1, 5).

    Pixels that touch at a corner are connected. Row 0 is the paper; its box says nothing.
    """
    inked = mask.astype(bool).view(np.uint8)
    # At these sizes, this algorithm takes half the time of the default one.
    how = 8, cv2.CV_32S, cv2.CCL_GRANA
    count, labels = cv2.connectedComponentsWithAlgorithm(inked, *how)
    if count > 2:
        _, labels, boxes, _ = cv2.connectedComponentsWithStatsWithAlgorithm(inked, *how)
        return labels, boxes
    # The box of a single component, as most pictures have, takes less time by itself than with its statistics.
    area, (height, width) = cv2.countNonZero(inked), inked.shape
    paper, single = (0, 0, width, height, inked.size - area), (*cv2.boundingRect(inked), area)
    return labels, np.array([paper, single][:count], np.int32)


def pixels_of(labels: NDArray[Any], is_chosen: Mask) -> Mask:
    """Give the mask, (H, W), of the components that are chosen, (N + 1,), of those that `connect` labelled."""
    is_shown = is_chosen.copy()
    is_shown[0] = False  # the paper
    mask: Mask = is_shown[labels]
    return mask


def touches_border(boxes: Boxes, shape: tuple[int, ...]) -> Mask:
    """Tell which of (N + 1, 5) boxes touch the border of a picture of (height, width)."""
    left, top, width, height = boxes[:, :4].T
    touching: Mask = (left == 0) | (top == 0) | (left + width == shape[1]) | (top + height == shape[0])
    return touching


def bounding_box(mask: NDArray[Any]) -> tuple[int, int, int, int]:
    """Give the left, top, width and height of the box around what is not 0; 0 by 0 where nothing is."""
    left, top, width, height = cv2.boundingRect(mask.astype(bool, copy=False).view(np.uint8))
    return left, top, width, height


def window_of(box: Iterable[int]) -> tuple[slice, slice]:
    """Give the rows and columns of a box, given as left, top, width and height, to select it by."""
    left, top, width, height = box
    return slice(top, top + height), slice(left, left + width)


def bounding_window(mask: NDArray[Any]) -> tuple[slice, slice]:
    """Give the rows and columns of the box around what is not 0, of which there has to be some, to select it by."""
    return window_of(bounding_box(mask))


def longer_side(mask: NDArray[Any]) -> int:
    """Give the longer side, in pixels, of the box around what is not 0."""
    return max(bounding_box(mask)[2:])


def distance_inside(mask: NDArray[Any]) -> Plane:
    """Give the distance of each pixel in a mask, (H, W), from the nearest outside it, where the border is not.

    Where nothing is outside, it is 3.4e38.
    """
    return cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3)


def distance_to_paper(mask: Mask) -> Plane:
    """Give the distance of each pixel in a mask, (H, W), from the nearest outside it; the border is outside, too."""
    wider = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return distance_inside(wider)[1:-1, 1:-1]


def slope(image: NDArray[Any]) -> NDArray[Any]:
    """Give how steeply levels, (H, W) or (H, W, C) float32, rise at each place, in levels a pixel: the same shape."""
    across, down = (cv2.Sobel(image, cv2.CV_32F, *order).reshape(image.shape) for order in ((1, 0), (0, 1)))
    steepness: NDArray[Any] = np.hypot(across, down) / SOBEL_SCALE
    return steepness


def inscribed_radius(mask: Mask) -> float:
    """Give the radius of the largest circle inside a mask, as a share of the longer side; it may go over the border."""
    return float(distance_inside(mask).max() / max(mask.shape))


def is_bar(mask: Mask) -> bool:
    """Tell whether ink, (H, W) of its box, is a bar: much wider than high, and no run of digits that touch."""
    height, width = mask.shape
    if width <= BAR_SHAPE * height:
        return False
    if width > RUN_SHAPE * height:
        return True
    thickness = 2 * float(distance_to_paper(mask).max())
    return bool(np.count_nonzero(mask) < RUN_INK * width * thickness)


def is_line(mask: Mask) -> bool:
    """Tell whether ink, (H, W) of its box, is one straight stroke: a bar, or a shorter line that is aslant."""
    height, width = mask.shape
    return is_bar(mask) or (width <= BAR_SHAPE * height and is_straight(mask))


def is_straight(mask: Mask) -> bool:
    """Tell by its second moments whether what is in a mask is long, thin and straight, in whatever direction."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    across, down, both = moments["mu20"], moments["mu02"], moments["mu11"]
    # The determinant and the trace of the covariance matrix: the variances along it and across, multiplied and added.
    return bool(across * down - both**2 < STRAIGHT_SPREAD * (across + down) ** 2)


def is_mark(mask: Mask) -> bool:
    """Tell whether what is in a mask, which is not empty, may be a mark: a dot, or a straight stroke."""
    return fills_hull(mask, MARK_SHARE)


def fills_hull(mask: Mask, share: float) -> bool:
    """Tell whether what is in a mask, which is not empty, fills more than a share of its convex hull."""
    hull = cv2.convexHull(cv2.findNonZero(mask.view(np.uint8)))
    filled = cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1)
    return bool(np.count_nonzero(mask) > share * np.count_nonzero(filled))


def border_pixels(image: NDArray[Any]) -> NDArray[Any]:
    """Give the outermost pixels, (M, C), of (H, W, C)."""
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def are_alike(sizes: NDArray[Any], size: float) -> Mask:
    """Tell which sizes, (N,), are about another one: those of digits that were written together differ less."""
    return (sizes > size / ALIKE) & (sizes < size * ALIKE)


def weighted_median(values: NDArray[Any], weights: NDArray[Any]) -> float:
    """Give the median of values by weight, (N,) each, so that many specks cannot move it; 0 where nothing weighs."""
    order = np.argsort(values)
    summed = weights[order].cumsum()
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)]) if len(summed) and summed[-1] else 0.0


def quantile(values: NDArray[Any], share: float) -> float:
    """Give the quantile, 0..1, of (N,) numbers, N > 0: `np.quantile`, but for rounding, in a tenth of its time."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    ordered = np.partition(values, (low, high))
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place - low))
