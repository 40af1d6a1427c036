"""The paper of a picture: its colour, and its light and shadows, under the ink as well as beside it."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.planes import DEVIATION_OF_MEDIAN, Image, Mask, border_pixels, quantile, resize, shrunk_size, spread

FLAT_LEVELS, FLAT_SHARE = 3.0, 0.8  # of 255, of its length: a border that varies by less was drawn, not photographed
SURFACE_PX, REFINED_PX, ENVELOPE_PX = 48, 160, 256  # the longer sides that light is estimated at
WIDEST_STROKE = 1 / 6  # of the longer side, that `envelopes` see past


def flat_colour(image: NDArray[Any]) -> NDArray[Any] | None:
    """Give the colour, (C,), that the border of (H, W, C) has all along, but for what touches it: that of a drawing."""
    edge = border_pixels(image).astype(np.float32)
    if (edge == edge[0]).all():  # as of most drawings
        first: NDArray[Any] = edge[0]
        return first
    colour = np.array([quantile(channel, 0.5) for channel in edge.T], np.float32)
    is_off = np.abs(edge - colour).max(1) > FLAT_LEVELS
    return colour if np.count_nonzero(is_off) <= (1 - FLAT_SHARE) * len(edge) else None


def surface(image: Image, *, is_signed: bool) -> Image:
    """Estimate the paper as a constant where the border is one, else as a quadratic surface that fits the most of it.

    Args:
        image: (H, W, C).
        is_signed: whether ink is what is lighter, so that the rest is paper, be it at the border or not.

    Returns:
        (H, W, C).
    """
    if is_signed:  # paper is the darker side
        otsu, _ = cv2.threshold(image.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
        darker = image[..., 0] < max(otsu, float(image.min())) + 1  # what the threshold was found by is rounded down
        colour = np.median(image[darker], axis=0)
    else:
        flat = flat_colour(image)
        if flat is not None:
            return np.broadcast_to(flat, image.shape)
        colour = np.median(border_pixels(image), axis=0)
    height, width = image.shape[:2]
    small = resize(image, *shrunk_size(image, SURFACE_PX))
    rows, columns = np.mgrid[-1 : 1 : small.shape[0] * 1j, -1 : 1 : small.shape[1] * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(rows), rows, columns, rows**2, rows * columns, columns**2], 1).astype(np.float32)
    values = small.reshape(len(terms), -1)
    taken = np.abs(values - colour).max(1) < 60  # of 255
    if not is_signed:
        taken &= (np.abs(rows) > 0.88) | (np.abs(columns) > 0.88)
    for count in (3, 3, 6, 6, 6, 6):  # a plane first; then what it explains decides what is fitted next
        if taken.sum() < 12:
            return np.broadcast_to(colour, image.shape)
        factors = np.linalg.lstsq(terms[taken, :count], values[taken], rcond=None)[0]
        off = np.abs(values - terms[:, :count] @ factors).max(1)
        taken = off < 3 * (DEVIATION_OF_MEDIAN * np.median(off[taken]) + 2) + (6 if count == 3 else 0)
    fitted = (terms @ factors).reshape(*small.shape[:2], -1).astype(np.float32)
    return np.clip(resize(fitted, width, height, cv2.INTER_LINEAR), 0, 255)


def refine(image: Image, paper: Image, is_ink: Mask) -> Image:
    """Smooth what an estimate of the paper, (H, W, C), is wrong by where no ink, (H, W), is, and so also under it."""
    reach = max(3, int(0.02 * max(image.shape[:2])) | 1)
    free = 1 - cv2.dilate(is_ink.astype(np.float32), np.ones((reach, reach), np.uint8))
    return paper + spread(image - paper, free, REFINED_PX, least=0.02)


def envelopes(image: Image) -> Iterator[Image]:
    """Estimate the paper, shadows and all, as what is left when dark strokes are closed over, then light ones.

    Morphological closing takes away what is dark and narrow, opening what is light and narrow.
    """
    height, width = image.shape[:2]
    small = cv2.GaussianBlur(resize(image, *shrunk_size(image, ENVELOPE_PX)), (0, 0), 1)
    side = max(small.shape[:2])
    wide = np.ones((int(side * WIDEST_STROKE) | 1,) * 2, np.uint8)
    for how in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        without = cv2.morphologyEx(small, how, wide)
        yield resize(cv2.GaussianBlur(without, (0, 0), side / 80), width, height, cv2.INTER_LINEAR)


def patches(image: Image, widest: float) -> Iterator[Image]:
    """Estimate paper with patches on it, as what is left without dark strokes, then without light ones.

    Strokes are as wide as a share of the longer side at most. A patch's corners are left whether square or round.
    """
    height, width = image.shape[:2]
    small = cv2.GaussianBlur(resize(image, *shrunk_size(image, ENVELOPE_PX)), (0, 0), 1)
    reach = int(max(small.shape[:2]) * min(widest, WIDEST_STROKE)) | 1
    brushes = [cv2.getStructuringElement(shape, (reach, reach)) for shape in (cv2.MORPH_RECT, cv2.MORPH_ELLIPSE)]
    for how, nearer in ((cv2.MORPH_CLOSE, np.minimum), (cv2.MORPH_OPEN, np.maximum)):
        without = nearer(*(cv2.morphologyEx(small, how, brush) for brush in brushes))
        yield resize(without, width, height, cv2.INTER_LINEAR)
