"""Ink from paper: how strongly each place of a picture is inked, whatever its paper, light and colours."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.planes import (
    Image,
    Mask,
    Pixels,
    Plane,
    breadth_of,
    connect,
    quantile,
    resize,
    rim,
    shrunk_size,
    spread,
    touches_rim,
)
from mnistcli.rules import without_rules

Invert = Literal["auto", "yes", "no"]

FLAT_LEVELS, FLAT_SHARE = 3.0, 0.8  # of 255, of its length: a rim that varies by less was drawn, not photographed
MIN_CONTRAST = 10.0  # of 255: less is no ink
NOISES = 4  # ink stands out from the paper's noise by as many standard deviations
MOST_NOISE = 0.5  # of Otsu's threshold, that ink need not be above for noise: if for more, the paper is estimated wrong
SURFACE_PX, REFINED_PX, ENVELOPE_PX = 48, 160, 256  # the longer sides that light is estimated at
MOST_INK, LEAST_ISLANDS = 0.6, 0.005  # of a picture: a digit covers no more, and no less inside a frame
FAINT_SHARE = 0.35  # of the threshold
FULL_SHARE = 0.7  # of the ink's places: as many are fainter than what counts as full ink
RULE_SHARE = 0.9  # of the threshold: what is as dark may be a line of the paper, however noisy that is
LEAST_LEFT = 0.5  # of the threshold with lines: what is fainter without them is what they left
WIDEST_STROKE = 1 / 6  # of the longer side, that `_envelopes` see past
PATCH_STROKE = 1.6  # times that distance: strokes on a patch are narrower
LEAST_ON_PATCH = 0.15  # of the strokes, that is on a patch
STROKE_CONTRAST, STROKE_BREADTH = 1.05, 1 / 3  # of the patch's: strokes on it stand out more, and are thinner
SHADOW_SHARE = 0.02  # of the picture: as much dark at its rim may be a shadow; with 0.08 more of them were ink
SHADOW_CONTRAST = 0.6  # of the ink's threshold: fainter, a shadow is smoothed away
SHADOW_SHARPNESS = 0.5  # of the ink's: a shadow's edge is no sharper


@dataclass(frozen=True)
class Ink:
    """A picture as ink on paper."""

    strength: Plane  # 0 = paper, about 1 = ink
    threshold: float  # the strength from which on a place is surely inked
    faint: float  # the strength from which on it belongs to the ink if there is full ink beside it


@dataclass(frozen=True)
class _Layer:
    """What stands out from an estimate of the paper."""

    paper: Image
    contrast: Plane  # from 0 on; black on white is 255 in grey, 360 in colour
    threshold: float
    noise: float

    @cached_property
    def mask(self) -> Mask:
        return self.contrast > self.threshold

    @property
    def faint(self) -> float:
        return max(self.threshold * FAINT_SHARE, NOISES * self.noise)


def find_ink(pixels: Pixels, invert: Invert = "auto", *, on_patches: bool = False) -> Ink | None:
    """Tell ink from paper.

    Ink is what differs from the paper, in whatever direction of colour; the paper is what lies along the picture's rim
    and goes on smoothly from there. After Gatos, Pratikakis and Perantonis, "Adaptive degraded document image
    binarization", 2006, the paper under the ink is interpolated from the paper around it.

    Args:
        pixels: (H, W, 1) grey or (H, W, 3) RGB.
        invert: `yes` takes only what is darker than the paper for ink, `no` only what is lighter, auto either.
        on_patches: whether broad ink is taken for paper where there are strokes that stand out more: a text marker's,
            glare, a hand's shadow. A sheet of paper on a desk is broad as well.

    Returns:
        The ink, or None where nothing stands out.
    """
    image = pixels.astype(np.float32)
    is_signed = invert != "auto"
    if is_signed:
        image = image.mean(2, keepdims=True)
        image = 255 - image if invert == "yes" else image  # light ink on dark paper
    layer = _separate(image, _surface(image, is_signed=is_signed), is_signed=is_signed)
    if layer is None:
        return None
    if np.count_nonzero(layer.mask) > MOST_INK * layer.mask.size:
        # A frame along the rim was taken for the paper, or the ink is one large blot.
        inside = np.median(image[layer.mask], axis=0)
        framed = _separate(image, np.broadcast_to(inside, image.shape), is_signed=is_signed)
        has_inside = framed and _marks(framed.mask, is_hanging=False).mean() > LEAST_ISLANDS
        layer = framed if framed and has_inside else layer
    elif np.ptp(layer.paper[::8, ::8], axis=(0, 1)).any():  # some places tell whether it is a constant
        layer = _in_uneven_light(image, layer, is_signed=is_signed) or layer
    if on_patches:
        layer = _strokes_on_patches(image, layer, is_signed=is_signed) or layer
    return _along_its_colour(image, layer)


def _strokes_on_patches(image: Image, layer: _Layer, *, is_signed: bool) -> _Layer | None:
    """Find thinner strokes that stand out more than the patches they are on; None where there are none."""
    breadth = breadth_of(layer.mask)
    least = STROKE_CONTRAST * _strength(layer)
    layers = (_separate(image, paper, is_signed=is_signed) for paper in _patches(image, PATCH_STROKE * breadth))
    strokes = [found for found in layers if found and _strength(found) > least and _is_thin(found, breadth)]
    found = max(strokes, key=_strength, default=None)
    return found if found and np.mean(layer.mask[found.mask]) > LEAST_ON_PATCH else None


def _patches(image: Image, widest: float) -> Iterator[Image]:
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


def _is_thin(layer: _Layer, breadth: float) -> bool:
    """Tell whether ink is strokes that are thinner than what is as broad, as a share of the longer side, but longer."""
    longest = int(connect(layer.mask)[1][1:, 2:4].max())
    return longest > breadth * max(layer.mask.shape) and breadth_of(layer.mask) < STROKE_BREADTH * breadth


def _strength(layer: _Layer) -> float:
    """Give by how much ink stands out, from 0 to 255 in grey and 360 in colour."""
    return float(layer.contrast[layer.mask].mean())


def _along_its_colour(image: Image, layer: _Layer) -> Ink | None:
    """Measure ink in the direction in which it differs from the paper: what differs otherwise is none."""
    difference = image - layer.paper
    direction = np.array(cv2.mean(difference, layer.mask.view(np.uint8))[: image.shape[2]])  # (C,)
    length = float(np.linalg.norm(direction))
    if length < 1:
        return None
    along = cv2.transform(difference, (direction / length)[None]).reshape(image.shape[:2])
    # In most grey pictures, all that differs does so in one direction, and was measured already.
    is_same = image.shape[2] == 1 and float(along.min()) >= 0
    settled = layer if is_same else _settle(layer.paper, along / _norm_scale(image))
    if settled is None:
        return None
    cleared = without_rules(settled.contrast, min(settled.faint, RULE_SHARE * settled.threshold))
    if cleared is not settled.contrast:
        alone = _settle(settled.paper, cleared)  # without lines, the ink alone tells how dark it is
        if alone is None:
            return None
        # But with what is left of them the paper is as noisy as before, and ink is not much fainter than they were.
        least = max(LEAST_LEFT * settled.threshold, NOISES * settled.noise)
        settled = replace(alone, threshold=max(alone.threshold, least), noise=settled.noise)
        if not settled.mask.any():
            return None
    full = quantile(settled.contrast[settled.mask], FULL_SHARE)
    return Ink(settled.contrast / full, settled.threshold / full, settled.faint / full)


def _separate(image: Image, paper: Image, *, is_signed: bool) -> _Layer | None:
    difference = image - paper
    if is_signed:
        stands_out = difference[..., 0]
    elif image.shape[2] == 1:
        stands_out = np.abs(difference[..., 0])
    else:
        stands_out = cv2.sqrt(np.square(difference).sum(2)) / _norm_scale(image)
    return _settle(paper, stands_out.reshape(image.shape[:2]))


def _norm_scale(image: Image) -> float:
    """Give what to divide distances of colours by, so that of colours they compare with those of greys."""
    return 1.0 if image.shape[2] == 1 else 1.5**0.5


def _settle(paper: Image, difference: Plane) -> _Layer | None:
    """Find the threshold between paper and ink: a bit less than half of what dark ink has, and well above the noise.

    What differs the other way, below 0, is no ink, but it is noise as much as what is above.
    """
    is_two_sided = bool(difference.min() < 0)
    contrast = np.maximum(difference, 0) if is_two_sided else difference
    levels = _levels(contrast)
    counts = _count(levels)
    sizes = _count(_levels(np.abs(difference))) if is_two_sided else counts
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    # The median of a normal deviate's size is 0.6745 of its standard deviation.
    noise = 1.4826 * _quantile_of_counts(sizes, 0.5, 0, max(int(otsu), 1))
    if is_two_sided:
        noise = min(noise, MOST_NOISE * otsu / NOISES)
    least = max(NOISES * noise, MIN_CONTRAST)
    if counts[int(least) + 1 :].sum() < 4:
        return None
    threshold = max(least, 0.45 * _quantile_of_counts(counts, 0.9, int(least) + 1, 255))
    return _Layer(paper, contrast, threshold, noise)


def _levels(contrast: Plane) -> NDArray[np.uint8]:
    return np.minimum(contrast, 255).astype(np.uint8)


def _count(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count how often there is each level from 0 to 255: (256,)."""
    counts: NDArray[Any] = cv2.calcHist([levels], [0], None, [256], [0, 256])
    return counts.ravel().astype(np.int64)


def _quantile_of_counts(counts: NDArray[np.int64], share: float, lowest: int, highest: int) -> int:
    """Give the quantile of the levels from `lowest` to `highest`, of how many of each there are."""
    summed = counts[lowest : highest + 1].cumsum()
    return lowest + int(np.searchsorted(summed, share * summed[-1]))


def flat_colour(image: NDArray[Any]) -> NDArray[Any] | None:
    """Give the colour, (C,), that the rim of (H, W, C) has all along, but for what touches it: that of a drawing."""
    edge = rim(image).astype(np.float32)
    if (edge == edge[0]).all():  # as of most drawings
        first: NDArray[Any] = edge[0]
        return first
    colour = np.array([quantile(channel, 0.5) for channel in edge.T], np.float32)
    is_off = np.abs(edge - colour).max(1) > FLAT_LEVELS
    return colour if np.count_nonzero(is_off) <= (1 - FLAT_SHARE) * len(edge) else None


def _surface(image: Image, *, is_signed: bool) -> Image:
    """Estimate the paper as a constant where the rim is one, else as a quadratic surface that fits the most of it."""
    if is_signed:  # paper is the darker side
        otsu, _ = cv2.threshold(image.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
        darker = image[..., 0] < max(otsu, float(image.min())) + 1  # what the threshold was found by is rounded down
        colour = np.median(image[darker], axis=0)
    else:
        flat = flat_colour(image)
        if flat is not None:
            return np.broadcast_to(flat, image.shape)
        colour = np.median(rim(image), axis=0)
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
        taken = off < 3 * (1.4826 * np.median(off[taken]) + 2) + (6 if count == 3 else 0)
    surface = (terms @ factors).reshape(*small.shape[:2], -1).astype(np.float32)
    return np.clip(resize(surface, width, height, cv2.INTER_LINEAR), 0, 255)


def _in_uneven_light(image: Image, layer: _Layer, *, is_signed: bool) -> _Layer | None:
    """Estimate the paper of a photograph again, from what the first estimate left of it."""
    shaded = _in_shadow(image, layer, is_signed=is_signed)
    return _separate(image, _refine(image, layer), is_signed=is_signed) if shaded is None else shaded


def _in_shadow(image: Image, layer: _Layer, *, is_signed: bool) -> _Layer | None:
    """Estimate the paper with its shadow, where what hangs on the rim is one.

    A shadow's edge is soft where a stroke's is sharp; where sharp strokes run into it, its width tells.
    """
    hanging = _marks(layer.contrast > SHADOW_CONTRAST * layer.threshold, is_hanging=True)
    if hanging.mean() <= SHADOW_SHARE:
        return None
    layers = (_separate(image, paper, is_signed=is_signed) for paper in _envelopes(image))
    # The one that takes the paper between strokes for the ink finds less contrast.
    shaded = max(filter(None, layers), key=lambda found: found.threshold, default=None)
    if shaded is None:
        return None
    is_soft = _sharpness(layer, hanging) < SHADOW_SHARPNESS * _sharpness(shaded, shaded.mask)
    inside = cv2.distanceTransform(hanging.astype(np.uint8), cv2.DIST_L2, 3)  # that the rim counts as inside, too
    return shaded if is_soft or inside.max() > WIDEST_STROKE * max(hanging.shape) else None


def _refine(image: Image, layer: _Layer) -> Image:
    """Smooth what the paper's estimate is wrong by where there is no ink, and so also under the ink."""
    reach = max(3, int(0.02 * max(image.shape[:2])) | 1)
    free = 1 - cv2.dilate(layer.mask.astype(np.float32), np.ones((reach, reach), np.uint8))
    return layer.paper + spread(image - layer.paper, free, REFINED_PX, least=0.02)


def _envelopes(image: Image) -> Iterator[Image]:
    """Estimate the paper, shadows and all, as what is left when all dark strokes are closed over, then all light ones.

    Morphological closing takes away what is dark and narrow, opening what is light and narrow.
    """
    height, width = image.shape[:2]
    small = cv2.GaussianBlur(resize(image, *shrunk_size(image, ENVELOPE_PX)), (0, 0), 1)
    side = max(small.shape[:2])
    wide = np.ones((int(side * WIDEST_STROKE) | 1,) * 2, np.uint8)
    for how in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        without = cv2.morphologyEx(small, how, wide)
        yield resize(cv2.GaussianBlur(without, (0, 0), side / 80), width, height, cv2.INTER_LINEAR)


def _marks(mask: Mask, *, is_hanging: bool) -> Mask:
    """Give the marks of a mask that hang on the rim, or those that do not."""
    labels, boxes = connect(mask)
    is_meant = touches_rim(boxes, mask.shape) == is_hanging
    is_meant[0] = False  # the paper
    marks: Mask = is_meant[labels]
    return marks


def _sharpness(layer: _Layer, marks: Mask) -> float:
    """Give how steeply contrast rises at most edges of some marks, as a share of the ink's contrast a pixel."""
    edges = cv2.morphologyEx(marks.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    slopes = [cv2.Sobel(layer.contrast, cv2.CV_32F, *order)[edges] / 8 for order in ((1, 0), (0, 1))]
    return float(np.median(np.hypot(*slopes)) / layer.contrast[layer.mask].mean())
