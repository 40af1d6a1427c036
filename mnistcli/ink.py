"""Ink from paper: how strongly each place of a picture is inked, whatever its paper, light and colours."""

from dataclasses import dataclass, replace
from functools import reduce

import cv2
import numpy as np

from mnistcli.config import Invert
from mnistcli.contrast import FAINT_SHARE, NOISES, Layer, Source, colour_scale, find_threshold, histogram
from mnistcli.paper import WIDEST_STROKE, envelopes, flat_colour, patches, refine, surface
from mnistcli.planes import (
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
    slope,
    touches_border,
)
from mnistcli.rules import measure_lines, printed_window, without_rules

FULL_SHARE = 0.7  # of the ink's pixels are fainter than what counts as full ink

# A picture that is mostly ink is a frame around its paper, or a blot.
# A digit covers less than the first share of the picture, and inside a frame more than the second.
MOST_COVERED, LEAST_ISLANDS = 0.6, 0.005

# Lines of ruled paper.
RULE_SHARE = 0.9  # of the threshold: what is darker may be a line of the paper, however noisy the paper is
# Standard deviations of the paper's noise: where lines are close, they count as noise themselves, and where there is
# less light, they stand out less.
RULE_NOISES = 2.5
LEAST_LEFT = 0.5  # of the threshold with the lines: what is fainter once they are taken out is a rest of them

# Patches: strokes on them are narrower, stand out more, and are thinner than the patch.
PATCH_STROKE = 1.6  # strokes are at most this many times as wide as the radius of the broadest ink, the patch
LEAST_PAPER = 0.3  # of the picture: what is broader is paper between broad lines, and no digit
LEAST_ON_PATCH = 0.15  # of the strokes' ink: more of it lies on the patch
# Strokes have more than this many times the patch's contrast, and less than this share of its radius.
ON_PATCH_CONTRAST, ON_PATCH_RADIUS = 1.05, 1 / 3

# Shadows at the border.
# If more than this share of the picture is dark and touches its border, it may be a shadow; with 0.08, more shadows
# were taken for ink.
SHADOW_SHARE = 0.02
SHADOW_CONTRAST = 0.6  # of the ink's threshold: what is fainter is smoothed away, shadow or not
SHADOW_SHARPNESS = 0.5  # of the ink's sharpness: a shadow's edge is less sharp
SIMILAR_CONTRAST = 0.7  # of the higher threshold of two estimates of the paper: one with less is not the right one
EVEN_STEP_PX = 4  # from one place at which paper is compared to the next


@dataclass(frozen=True, eq=False)  # arrays have no equality that is true or false
class Ink:
    """A picture as ink on paper."""

    strength: Plane  # 0 = paper, about 1 = ink
    threshold: float  # the strength from which on a place is surely inked
    faint: float  # the strength from which on it belongs to the ink if there is full ink beside it

    @property
    def is_full(self) -> Mask:
        """Tell where a place is surely inked, (H, W)."""
        full: Mask = self.strength > self.threshold
        return full


def find_ink(pixels: Pixels, invert: Invert = "auto", *, on_patches: bool = False) -> Ink | None:
    """Tell ink from paper.

    Ink is what differs from the paper, in whatever direction of colour; the paper is what lies along the picture's
    border and goes on smoothly from there. After Gatos, Pratikakis and Perantonis, "Adaptive degraded document image
    binarization", 2006, the paper under the ink is interpolated from the paper around it. Where nothing stands out from
    that, the paper is taken for what the picture is without its strokes, be they dark or light. At last, the lines of
    ruled paper are taken out of the ink.

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
    source = _as_source(pixels, invert)
    layer = source.separate(surface(source.image, is_ink_lighter=source.is_ink_lighter))
    if layer is None:  # as where lines take so much of the paper that the surface lies between it and them
        layer = _in_envelope(source)
    if layer is None:
        return None
    if np.count_nonzero(layer.mask) > MOST_COVERED * layer.mask.size:
        layer = _inside_frame(source, layer) or layer
    elif np.ptp(layer.paper[::8, ::8], axis=(0, 1)).any():  # some places tell whether it is a constant
        layer = _in_uneven_light(source, layer) or layer
    if on_patches:
        layer = _strokes_on_patches(source, layer) or layer
    inked = _along_its_colour(source.image, layer)
    inked = inked and _without_rules(inked)
    if inked is None:
        return None
    full = quantile(inked.contrast[inked.mask], FULL_SHARE)
    return Ink(inked.contrast / full, inked.threshold / full, inked.faint / full)


def _as_source(pixels: Pixels, invert: Invert) -> Source:
    """Take a picture as floats; where it is told on which side ink is, in grey, with light ink on dark paper."""
    image = pixels.astype(np.float32)
    if invert == "auto":
        return Source(image, is_ink_lighter=False)
    grey = image.mean(2, keepdims=True)
    return Source(255 - grey if invert == "yes" else grey, is_ink_lighter=True)


def _find_drawn(pixels: Pixels) -> Ink | None:
    """Find the ink of a grey drawing as `find_ink` does, but in a third to a half of its time: by its histogram.

    It is the same to the bit, but for soft ink that hardly stands out, which is no grain here: the paper has none.

    None where nothing stands out, and for what has to be looked at closer: ink both lighter and darker than the paper,
    more ink than paper, ink from one side of the picture to the other, as lines have, or what may be lines with
    margins, as a block of many digits may.
    """
    colour = flat_colour(pixels) if pixels.shape[2] == 1 else None
    darkest, lightest = int(pixels.min()), int(pixels.max())
    if colour is None or darkest == lightest or colour[0] not in (darkest, lightest):
        return None
    levels = lightest - pixels[..., 0] if colour[0] == lightest else pixels[..., 0] - darkest
    window = bounding_window(levels)
    counts = histogram(levels[window])
    counts[0] += levels.size - levels[window].size
    threshold = find_threshold(counts, noise=0)
    spans = any(side.stop - side.start == length for side, length in zip(window, levels.shape, strict=True))
    if threshold is None or spans or 2 * counts[0] < levels.size:
        return None
    if printed_window(levels > threshold * FAINT_SHARE):
        return None
    inked = np.arange(int(threshold) + 1, 256)
    full = quantile(np.repeat(inked, counts[inked]).astype(np.float32), FULL_SHARE)
    return Ink(levels.astype(np.float32) / full, threshold / full, threshold * FAINT_SHARE / full)


def _inside_frame(source: Source, layer: Layer) -> Layer | None:
    """Take for the paper what was taken for ink, where a frame along the border was taken for the paper.

    None where nothing is inside it: then the ink is one large blot.
    """
    inside = np.median(source.image[layer.mask], axis=0)
    framed = source.separate(np.broadcast_to(inside, source.image.shape))
    has_islands = framed and np.mean(framed.mask & ~_at_border(framed.mask)) > LEAST_ISLANDS
    return framed if has_islands else None


def _strokes_on_patches(source: Source, layer: Layer) -> Layer | None:
    """Find strokes on patches, thinner than those and standing out more; None where there are none."""
    radius = inscribed_radius(layer.mask)
    least = ON_PATCH_CONTRAST * layer.ink_contrast
    layers = (source.separate(paper) for paper in patches(source.image, PATCH_STROKE * radius))
    strokes = [found for found in layers if found and found.ink_contrast > least and _is_thin(found, radius)]
    found = max(strokes, key=lambda found: found.ink_contrast, default=None)
    return found if found and _is_patched(source.image, layer, found, radius) else None


def _is_patched(image: Image, layer: Layer, strokes: Layer, radius: float) -> bool:
    """Tell whether strokes lie on what is broad, or differ from the paper the other way, as a pen's do near glare.

    Else what is broad may be a bold digit, and the strokes something thin beside it, or the paper that it encloses.
    """
    wide = int(radius * max(layer.mask.shape)) | 1  # half of the patch's width: no stroke on it is as wide
    whole = (layer.mask | strokes.mask).view(np.uint8)
    closed = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, np.ones((wide // 2 | 1,) * 2, np.uint8))
    broad = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((wide, wide), np.uint8))
    sides = (
        np.array(cv2.mean(image - paper, mask))
        for paper, mask in ((layer.paper, broad), (strokes.paper, strokes.mask.view(np.uint8)))
    )
    if np.dot(*sides) < 0:
        is_ink = np.mean(layer.mask[strokes.mask]) > LEAST_ON_PATCH
        return bool(is_ink or np.mean(broad) > LEAST_PAPER)
    return bool(np.mean(broad[strokes.mask]) > LEAST_ON_PATCH)


def _is_thin(layer: Layer, radius: float) -> bool:
    """Tell whether ink is strokes: much thinner than a patch of some radius, a share of the longer side, but longer."""
    longest = int(connect(layer.mask)[1][1:, 2:4].max())
    return longest > radius * max(layer.mask.shape) and inscribed_radius(layer.mask) < ON_PATCH_RADIUS * radius


def _along_its_colour(image: Image, layer: Layer) -> Layer | None:
    """Measure ink along the colour in which most of it differs from the paper: what differs otherwise is none."""
    difference = image - layer.paper
    direction = np.array(cv2.mean(difference, layer.mask.view(np.uint8))[: image.shape[2]])  # (C,)
    length = float(np.linalg.norm(direction))
    if length < 1:
        return None
    along = cv2.transform(difference, (direction / length)[None]).reshape(image.shape[:2])
    # In most grey pictures, all that differs does so in one direction, and was measured already.
    is_same = image.shape[2] == 1 and float(along.min()) >= 0
    return layer if is_same else Layer.of(layer.paper, along / colour_scale(image), layer.grain)


def _without_rules(layer: Layer) -> Layer | None:
    """Take out the lines of ruled paper; None where nothing else is inked."""
    cleared = _clear_rules(layer)
    if cleared is layer.contrast:
        return layer
    alone = Layer.of(layer.paper, cleared, layer.grain)  # without lines, the ink alone tells how dark it is
    if alone is None:
        return None
    # But what is left of the lines makes the paper as noisy as before, and ink is not much fainter than they were.
    least = max(LEAST_LEFT * layer.threshold, NOISES * layer.noise)
    inked = replace(alone, threshold=max(alone.threshold, least), noise=layer.noise)
    return inked if inked.mask.any() else None


def _clear_rules(layer: Layer) -> Plane:
    """Take the lines of ruled paper out of a layer's contrast; where grain hides them, those that stand out from it.

    Where fine lines among the main ones leave some of these in, the main ones are taken out alone, before all others.
    """
    most = RULE_SHARE * layer.threshold
    levels = sorted({min(faint, most) for faint in (layer.faint_from(RULE_NOISES), layer.faint)})
    tried = (without_rules(layer.contrast, faint) for faint in levels)
    cleared = next((plane for plane in tried if plane is not layer.contrast), layer.contrast)
    left = 0 if cleared is layer.contrast else measure_lines(cleared, layer.threshold)
    if not left:
        return cleared
    in_turns = reduce(without_rules, [layer.threshold, *reversed(levels)], layer.contrast)
    return in_turns if measure_lines(in_turns, layer.threshold) < left else cleared


def _in_uneven_light(source: Source, layer: Layer) -> Layer | None:
    """Estimate the paper of a photograph again, now that the first estimate tells where ink is."""
    shaded = _in_shadow(source, layer)
    return source.separate(refine(source.image, layer.paper, layer.mask)) if shaded is None else shaded


def _in_envelope(source: Source) -> Layer | None:
    """Estimate the paper with all its shadows and lights; None where nothing stands out."""
    # One is without dark strokes, one without light ones. The wrong one of them keeps the strokes, and what they
    # enclose stands out from it: with less contrast than strokes from the right one, or hardly more. But it is less
    # even.
    layers = [layer for paper in envelopes(source.image) if (layer := source.separate(paper))]
    most = max((layer.threshold for layer in layers), default=0.0)
    similar = (layer for layer in layers if layer.threshold >= SIMILAR_CONTRAST * most)
    return min(similar, key=lambda layer: (_unevenness(layer.paper), -layer.threshold), default=None)


def _unevenness(paper: Image) -> float:
    """Give the mean difference in level between places of the paper, (H, W, C), and those next to them."""
    few = paper[::EVEN_STEP_PX, ::EVEN_STEP_PX]
    return float(sum(np.abs(np.diff(few, axis=axis)).mean() for axis in (0, 1) if few.shape[axis] > 1))


def _in_shadow(source: Source, layer: Layer) -> Layer | None:
    """Estimate the paper with its shadow, where what touches the border is one.

    A shadow's edge is soft where a stroke's is sharp; where sharp strokes run into the shadow, its width tells.
    """
    hanging = _at_border(layer.contrast > SHADOW_CONTRAST * layer.threshold)
    if hanging.mean() <= SHADOW_SHARE:
        return None
    shaded = _in_envelope(source)
    if shaded is None:
        return None
    is_soft = _sharpness(layer, hanging) < SHADOW_SHARPNESS * _sharpness(shaded, shaded.mask)
    is_wide = distance_inside(hanging).max() > WIDEST_STROKE * max(hanging.shape)
    return shaded if is_soft or is_wide else None


def _at_border(mask: Mask) -> Mask:
    """Give the components of a mask that touch the border of the picture."""
    labels, boxes = connect(mask)
    return pixels_of(labels, touches_border(boxes, mask.shape))


def _sharpness(layer: Layer, mask: Mask) -> float:
    """Give how steeply contrast rises at most edges of a mask, as a share of the ink's contrast per pixel."""
    edges = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return float(np.median(slope(layer.contrast)[edges]) / layer.ink_contrast)
