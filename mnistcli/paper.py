"""The paper of a picture: its colour, and its light and shadows, under the ink as well as beside it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.planes import (
    DEVIATION_OF_MEDIAN,
    OUTLIER,
    Image,
    Mask,
    border_pixels,
    distance_to_paper,
    quantile,
    resize,
    shrunk_size,
    spread,
)

# A border was drawn, not photographed, if at least this share of it is within this many levels, of 255, of its colour.
FLAT_LEVELS, FLAT_SHARE = 3.0, 0.8
SURFACE_PX, REFINED_PX, ENVELOPE_PX = 48, 160, 256  # the longer sides at which paper is estimated
WIDEST_STROKE = 1 / 6  # of the longer side: what is wider is left in an envelope

# How a surface is fitted to the paper.
OTHER_LEVELS = 60  # of 255: what differs more from the paper's colour is no paper, before anything is fitted
BORDER_BEGINS = 0.88  # of the way from the centre to the border: at first, only what is beyond counts as paper
FITTED_TERMS = (3, 3, 6, 6, 6, 6)  # a plane first: what it explains decides what the quadratic surface is fitted to
LEAST_FITTED = 12  # places: fewer cannot determine six terms
# Levels, of 255: what is added to the paper's deviation, and how much farther paper that is bent may be off a plane.
ADDED_DEVIATION, PLANE_MISSES = 2, 6
# Where more than this share of a picture was taken for paper, there may be ink among it that differs by less: so in a
# dim or faint picture that was cut out so tightly that strokes run into its border. The paper is then fitted once more,
# by what is nearer to its colour, if the rest may be strokes by its share of the picture and by its radius, a share of
# the longer side.
ALL_PAPER = 0.99
STROKES_SHARES = 0.02, 0.6
NARROW_RADIUS = 0.14

UNDER_INK = 0.02  # of the longer side: what is no farther from ink is no paper, for the edges of ink are soft


def flat_colour(image: NDArray[Any]) -> NDArray[Any] | None:
    """Give the paper's colour, (C,), in a drawing: where the border of (H, W, C) has one, but for what touches it."""
    border = border_pixels(image).astype(np.float32)
    if (border == border[0]).all():  # as of most drawings
        first: NDArray[Any] = border[0]
        return first
    colour = np.array([quantile(channel, 0.5) for channel in border.T], np.float32)
    is_other = np.abs(border - colour).max(1) > FLAT_LEVELS
    return colour if np.count_nonzero(is_other) <= (1 - FLAT_SHARE) * len(border) else None


def surface(image: Image, *, is_ink_lighter: bool) -> Image:
    """Estimate the paper as a constant where the border is one, else as a quadratic surface that fits most of it.

    Args:
        image: (H, W, C), with C = 1 where the ink is known to be lighter.
        is_ink_lighter: whether all that is darker is paper, at the border or not; then a border is none if something
            is darker.

    Returns:
        (H, W, C).
    """
    flat = flat_colour(image)
    if flat is not None and not (is_ink_lighter and image.min() < flat[0] - FLAT_LEVELS):
        return np.broadcast_to(flat, image.shape)
    colour = _colour_of_dark(image) if is_ink_lighter else np.median(border_pixels(image), axis=0)
    height, width = image.shape[:2]
    small = resize(image, *shrunk_size(image, SURFACE_PX))
    rows, columns = np.mgrid[-1 : 1 : small.shape[0] * 1j, -1 : 1 : small.shape[1] * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(rows), rows, columns, rows**2, rows * columns, columns**2], 1).astype(np.float32)
    values = small.reshape(len(terms), -1)
    is_paper = np.abs(values - colour).max(1) < OTHER_LEVELS
    if not is_ink_lighter:
        is_paper &= (np.abs(rows) > BORDER_BEGINS) | (np.abs(columns) > BORDER_BEGINS)
    fit = _fit(terms, values, is_paper)
    if fit is None:
        return np.broadcast_to(colour, image.shape)
    if not is_ink_lighter and fit.is_paper.mean() > ALL_PAPER:
        closer = _fit(terms, values, is_paper & _are_near(values, colour), may_spread=False)
        if closer and _are_strokes(~closer.is_paper.reshape(small.shape[:2])):
            fit = closer
    fitted = (terms @ fit.factors).reshape(*small.shape[:2], -1).astype(np.float32)
    return np.clip(resize(fitted, width, height, cv2.INTER_LINEAR), 0, 255)


def _colour_of_dark(image: Image) -> NDArray[Any]:
    """Give the median of the darker side of Otsu's threshold, (1,), in (H, W, 1)."""
    otsu, _ = cv2.threshold(image.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    is_darker = image[..., 0] < max(otsu, float(image.min())) + 1  # what the threshold was found by is rounded down
    colour: NDArray[Any] = np.median(image[is_darker], axis=0)
    return colour


class _Fit(NamedTuple):
    """A surface that was fitted to the paper."""

    factors: NDArray[Any]  # (6, C), of the terms
    is_paper: Mask  # (N,), which of the values are not far off it


def _are_near(values: NDArray[Any], colour: NDArray[Any]) -> Mask:
    """Tell which of (N, C) values are on the paper's side of Otsu's threshold of how far they are from its colour."""
    off = np.abs(values - colour).max(1).astype(np.uint8)
    otsu, _ = cv2.threshold(off, 0, 255, cv2.THRESH_OTSU)
    near: Mask = off <= otsu
    return near


def _are_strokes(mask: Mask) -> bool:
    """Tell whether a mask, (h, w), may be a digit's strokes: as wide as those, and as much of the picture."""
    least, most = STROKES_SHARES
    is_narrow = distance_to_paper(mask).max() < NARROW_RADIUS * max(mask.shape)
    return bool(least < np.mean(mask) < most and is_narrow)


def _fit(terms: NDArray[Any], values: NDArray[Any], is_paper: Mask, *, may_spread: bool = True) -> _Fit | None:
    """Fit (N, 6) terms to (N, C) values by least squares, outliers left out step by step (sigma clipping).

    Args:
        terms: those of a plane, and then those of a quadratic surface.
        values: the levels to fit.
        is_paper: (N,), which of them to begin with.
        may_spread: whether the paper's deviation may grow from step to step, as it does where the light is uneven.

    Returns:
        The surface, or None where too little is paper.
    """
    most = np.inf
    for count in FITTED_TERMS:
        if is_paper.sum() < LEAST_FITTED:
            return None
        factors: NDArray[Any] = np.linalg.lstsq(terms[is_paper, :count], values[is_paper], rcond=None)[0]
        off = np.abs(values - terms[:, :count] @ factors).max(1)
        deviation = min(DEVIATION_OF_MEDIAN * float(np.median(off[is_paper])) + ADDED_DEVIATION, most)
        is_paper = off < OUTLIER * deviation + (PLANE_MISSES if count == 3 else 0)
        most = np.inf if may_spread else deviation
    return _Fit(factors, is_paper)


def refine(image: Image, paper: Image, is_ink: Mask) -> Image:
    """Correct an estimate of the paper, (H, W, C), by its error beside the ink, (H, W), spread smoothly to under it."""
    reach = max(3, int(UNDER_INK * max(image.shape[:2])) | 1)
    free = 1 - cv2.dilate(is_ink.astype(np.float32), np.ones((reach, reach), np.uint8))
    return paper + spread(image - paper, free, REFINED_PX, least=0.02)


def envelopes(image: Image) -> Iterator[Image]:
    """Estimate the paper, shadows and all, as what is left without dark strokes, then without light ones.

    Morphological closing takes away what is dark and narrow, opening what is light and narrow.
    """
    height, width = image.shape[:2]
    small = _small_and_soft(image)
    side = max(small.shape[:2])
    wide = np.ones((int(side * WIDEST_STROKE) | 1,) * 2, np.uint8)
    for how in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        without = cv2.morphologyEx(small, how, wide)
        yield resize(cv2.GaussianBlur(without, (0, 0), side / 80), width, height, cv2.INTER_LINEAR)


def _small_and_soft(image: Image) -> Image:
    """Shrink a picture for what an envelope is taken of; (h, w, C), or (h, w) where C = 1."""
    return cv2.GaussianBlur(resize(image, *shrunk_size(image, ENVELOPE_PX)), (0, 0), 1)


def patches(image: Image, widest: float) -> Iterator[Image]:
    """Estimate paper with patches on it, as what is left without dark strokes, then without light ones.

    Unlike `envelopes`, this leaves a patch's corners, square or round, and its edges sharp.

    Args:
        image: (H, W, C).
        widest: how wide strokes are at most, as a share of the longer side.

    Yields:
        (H, W, C).
    """
    height, width = image.shape[:2]
    small = _small_and_soft(image)
    reach = int(max(small.shape[:2]) * min(widest, WIDEST_STROKE)) | 1
    kernels = [cv2.getStructuringElement(shape, (reach, reach)) for shape in (cv2.MORPH_RECT, cv2.MORPH_ELLIPSE)]
    for how, nearer in ((cv2.MORPH_CLOSE, np.minimum), (cv2.MORPH_OPEN, np.maximum)):
        without = nearer(*(cv2.morphologyEx(small, how, kernel) for kernel in kernels))
        yield resize(without, width, height, cv2.INTER_LINEAR)
