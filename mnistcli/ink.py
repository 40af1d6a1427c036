"""Ink from paper: how strongly each place of a picture is inked, whatever its paper, light and colours."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.paper import WIDEST_STROKE, envelopes, flat_colour, patches, refine, surface
from mnistcli.planes import (
    DEVIATION_OF_MEDIAN,
    Image,
    Mask,
    Pixels,
    Plane,
    bounding_window,
    connect,
    distance_inside,
    inscribed_radius,
    pixels_of,
    quantile,
    touches_border,
)
from mnistcli.rules import without_rules

Invert = Literal["auto", "yes", "no"]

MIN_CONTRAST = 10.0  # of 255: less is no ink
NOISES = 4  # ink stands out from the paper's noise by as many standard deviations
MOST_NOISE = 0.5  # of Otsu's threshold, that ink need not be above for noise: if for more, the paper is estimated wrong
MOST_INK, LEAST_ISLANDS = 0.6, 0.005  # of a picture: a digit covers no more, and no less inside a frame
FAINT_SHARE = 0.35  # of the threshold
FULL_SHARE = 0.7  # of the ink's places: as many are fainter than what counts as full ink
RULE_SHARE = 0.9  # of the threshold: what is as dark may be a line of the paper, however noisy that is
LEAST_LEFT = 0.5  # of the threshold with lines: what is fainter without them is what they left
PATCH_STROKE = 1.6  # times how far ink is from paper: strokes on a patch are narrower
LEAST_ON_PATCH = 0.15  # of the strokes, that is on a patch
STROKE_CONTRAST, STROKE_RADIUS = 1.05, 1 / 3  # of the patch's: strokes on it stand out more, and are thinner
SHADOW_SHARE = 0.02  # of the picture: as much dark at its border may be a shadow; with 0.08 more of them were ink
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

    Ink is what differs from the paper, in whatever direction of colour; the paper is what lies along the picture's
    border and goes on smoothly from there. After Gatos, Pratikakis and Perantonis, "Adaptive degraded document image
    binarization", 2006, the paper under the ink is interpolated from the paper around it.

    Args:
        pixels: (H, W, 1) grey or (H, W, 3) RGB.
        invert: `yes` takes only what is darker than the paper for ink, `no` only what is lighter, auto either.
        on_patches: whether broad ink is taken for paper where there are strokes that stand out more: a text marker's,
            glare, a hand's shadow. A sheet of paper on a desk is broad as well.

    Returns:
        The ink, or None where nothing stands out.
    """
    if invert == "auto" and not on_patches and (drawn := _find_drawn(pixels)):
        return drawn
    image = pixels.astype(np.float32)
    is_signed = invert != "auto"
    if is_signed:
        image = image.mean(2, keepdims=True)
        image = 255 - image if invert == "yes" else image  # light ink on dark paper
    layer = _separate(image, surface(image, is_ink_lighter=is_signed), is_signed=is_signed)
    if layer is None:
        return None
    if np.count_nonzero(layer.mask) > MOST_INK * layer.mask.size:
        # A frame along the border was taken for the paper, or the ink is one large blot.
        inside = np.median(image[layer.mask], axis=0)
        framed = _separate(image, np.broadcast_to(inside, image.shape), is_signed=is_signed)
        has_inside = framed and np.mean(framed.mask & ~_at_border(framed.mask)) > LEAST_ISLANDS
        layer = framed if framed and has_inside else layer
    elif np.ptp(layer.paper[::8, ::8], axis=(0, 1)).any():  # some places tell whether it is a constant
        layer = _in_uneven_light(image, layer, is_signed=is_signed) or layer
    if on_patches:
        layer = _strokes_on_patches(image, layer, is_signed=is_signed) or layer
    return _along_its_colour(image, layer)


def _find_drawn(pixels: Pixels) -> Ink | None:
    """Find the ink of a grey drawing as `find_ink` does, to the bit, but in a fifth of its time: by counting levels.

    None where nothing stands out, and of what has to be looked at closer: with ink on both sides of the paper's level,
    with more ink than paper, or with ink from one side of the picture to the other, as lines have.
    """
    colour = flat_colour(pixels) if pixels.shape[2] == 1 else None
    darkest, lightest = int(pixels.min()), int(pixels.max())
    if colour is None or darkest == lightest or colour[0] not in (darkest, lightest):
        return None
    levels = lightest - pixels[..., 0] if colour[0] == lightest else pixels[..., 0] - darkest
    window = bounding_window(levels)
    counts = _count(levels[window])
    counts[0] += levels.size - levels[window].size
    threshold = _threshold(counts, noise=0)
    spans = any(side.stop - side.start == length for side, length in zip(window, levels.shape, strict=True))
    if threshold is None or spans or 2 * counts[0] < levels.size:
        return None
    inked = np.arange(int(threshold) + 1, 256)
    full = quantile(np.repeat(inked, counts[inked]).astype(np.float32), FULL_SHARE)
    return Ink(levels.astype(np.float32) / full, threshold / full, threshold * FAINT_SHARE / full)


def _strokes_on_patches(image: Image, layer: _Layer, *, is_signed: bool) -> _Layer | None:
    """Find thinner strokes that stand out more than the patches they are on; None where there are none."""
    radius = inscribed_radius(layer.mask)
    least = STROKE_CONTRAST * _strength(layer)
    layers = (_separate(image, paper, is_signed=is_signed) for paper in patches(image, PATCH_STROKE * radius))
    strokes = [found for found in layers if found and _strength(found) > least and _is_thin(found, radius)]
    found = max(strokes, key=_strength, default=None)
    return found if found and _is_patched(image, layer, found, radius) else None


def _is_patched(image: Image, layer: _Layer, strokes: _Layer, radius: float) -> bool:
    """Tell whether strokes lie on what is broad, or are darker than the paper where that is lighter, as glare is.

    Else what is broad may be a bold digit, and the strokes something thin beside it.
    """
    wide = int(radius * max(layer.mask.shape)) | 1  # half of what is broadest: no stroke on it is as wide
    whole = (layer.mask | strokes.mask).view(np.uint8)
    closed = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, np.ones((wide // 2 | 1,) * 2, np.uint8))
    broad = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((wide, wide), np.uint8))
    sides = (
        np.array(cv2.mean(image - paper, mask))
        for paper, mask in ((layer.paper, broad), (strokes.paper, strokes.mask.view(np.uint8)))
    )
    return bool(np.mean(broad[strokes.mask]) > LEAST_ON_PATCH or np.dot(*sides) < 0)


def _is_thin(layer: _Layer, radius: float) -> bool:
    """Tell whether ink is strokes that are thinner than what is as broad, as a share of the longer side, but longer."""
    longest = int(connect(layer.mask)[1][1:, 2:4].max())
    return longest > radius * max(layer.mask.shape) and inscribed_radius(layer.mask) < STROKE_RADIUS * radius


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
    noise = DEVIATION_OF_MEDIAN * _quantile_of_counts(sizes, 0.5, 0, max(int(otsu), 1))
    if is_two_sided:
        noise = min(noise, MOST_NOISE * otsu / NOISES)
    threshold = _threshold(counts, noise)
    return None if threshold is None else _Layer(paper, contrast, threshold, noise)


def _threshold(counts: NDArray[np.int64], noise: float) -> float | None:
    """Find it from how often there is each level of contrast, (256,); None where nothing stands out from the noise."""
    least = max(NOISES * noise, MIN_CONTRAST)
    if counts[int(least) + 1 :].sum() < 4:
        return None
    return max(least, 0.45 * _quantile_of_counts(counts, 0.9, int(least) + 1, 255))


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


def _in_uneven_light(image: Image, layer: _Layer, *, is_signed: bool) -> _Layer | None:
    """Estimate the paper of a photograph again, from what the first estimate left of it."""
    shaded = _in_shadow(image, layer, is_signed=is_signed)
    return _separate(image, refine(image, layer.paper, layer.mask), is_signed=is_signed) if shaded is None else shaded


def _in_shadow(image: Image, layer: _Layer, *, is_signed: bool) -> _Layer | None:
    """Estimate the paper with its shadow, where what hangs on the border is one.

    A shadow's edge is soft where a stroke's is sharp; where sharp strokes run into it, its width tells.
    """
    hanging = _at_border(layer.contrast > SHADOW_CONTRAST * layer.threshold)
    if hanging.mean() <= SHADOW_SHARE:
        return None
    layers = (_separate(image, paper, is_signed=is_signed) for paper in envelopes(image))
    # The one that takes the paper between strokes for the ink finds less contrast.
    shaded = max(filter(None, layers), key=lambda found: found.threshold, default=None)
    if shaded is None:
        return None
    is_soft = _sharpness(layer, hanging) < SHADOW_SHARPNESS * _sharpness(shaded, shaded.mask)
    is_wide = distance_inside(hanging).max() > WIDEST_STROKE * max(hanging.shape)
    return shaded if is_soft or is_wide else None


def _at_border(mask: Mask) -> Mask:
    """Give the components of a mask that touch the border of the picture."""
    labels, boxes = connect(mask)
    return pixels_of(labels, touches_border(boxes, mask.shape))


def _sharpness(layer: _Layer, mask: Mask) -> float:
    """Give how steeply contrast rises at most edges of a mask, as a share of the ink's contrast per pixel."""
    edges = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    slopes = [cv2.Sobel(layer.contrast, cv2.CV_32F, *order)[edges] / 8 for order in ((1, 0), (0, 1))]
    return float(np.median(np.hypot(*slopes)) / layer.contrast[layer.mask].mean())
