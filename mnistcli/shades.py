"""Shades that were taken for ink together with the strokes on them: they are taken off, and the strokes are left."""

from dataclasses import replace

import numpy as np

from mnistcli.components import Components, find_components
from mnistcli.ink import Ink
from mnistcli.outlines import outline
from mnistcli.planes import Mask, Plane, distance_inside, distance_to_paper, fills_hull, quantile

WHOLE_WIDTH = 0.98  # of a picture: what is wider, or higher, goes from side to side, whatever was rounded
# A shade has a larger inscribed radius than this share of the picture's longer side, and fills more than this share of
# its convex hull; strokes on it have a smaller radius than this share of its own.
RADIUS, SOLIDITY, THINNER = 0.02, 0.8, 0.5
# Strokes on a band of shadow are more than this many times as strong as what is full ink on the whole, and take more
# than this share of the band's box.
BAND_STRENGTH, BAND_STROKES = 1.5, 0.0003
# A mark has less full ink than a share of its area; strokes on it are more than this many times as strong, and this
# quantile of what else is in it is its paper. Strokes take less than the first share of its rim, whose width is the
# second of its radius: more is a ring, as around a traffic sign.
MARK_FULL, MARK_STRENGTH, MARK_PAPER = 0.5, 1.4, 0.9
RIM_INK, RIM_WIDTH = 0.5, 0.1


def without_shades(ink: Ink, components: Components) -> tuple[Ink, Components]:
    """Take off a band of shadow, and marks; the same ink and components where there are none."""
    for without in (_without_band, _without_marks):
        rest = without(ink, components)
        if rest is not ink:
            ink, components = rest, find_components(rest)
    return ink, components


def _without_band(ink: Ink, components: Components) -> Ink:
    """Take off the strength of a band of shadow, which a digit may be half in; the same ink where there is none.

    Such a band goes from side to side, with paper on both sides of it; strokes on it are thinner, and much stronger.
    """
    label = int(components.full_ink_px.argmax())
    height, width = components.labels.shape
    left, top, wide, high = components.boxes[label, :4].tolist()
    is_across = wide > WHOLE_WIDTH * width and top > 0 and top + high < height
    is_down = high > WHOLE_WIDTH * height and left > 0 and left + wide < width
    if not (is_across or is_down):
        return ink
    mask, strength = components.mask(label), ink.strength[components.window(label)]
    strokes = mask & (strength > BAND_STRENGTH)
    radius, strokes_radius = (float(distance_inside(part).max()) for part in (mask, strokes))
    is_band = radius > RADIUS * max(height, width) and fills_hull(mask, SOLIDITY)
    if not (is_band and strokes_radius < THINNER * radius):
        return ink
    if np.count_nonzero(strokes) <= BAND_STROKES * strokes.size:
        return ink
    shadow, full = quantile(strength[mask & ~strokes], 0.5), quantile(strength[strokes], 0.5)
    return replace(ink, strength=(ink.strength - shadow).clip(0) / (full - shadow))


def _without_marks(ink: Ink, components: Components) -> Ink:
    """Take off the strength of a text marker's mark that lies on some of several numbers; the same ink without one.

    By the ink of the others it is too faint to be full ink, but beside full ink it is taken for the rest of that, and
    joins all strokes on it.
    """
    width, height, area = components.boxes[:, 2:].T
    least_px = RADIUS * max(components.labels.shape)
    may_be_mark = np.minimum(width, height) > 2 * least_px
    may_be_mark &= (components.full_ink_px > 0) & (components.full_ink_px < MARK_FULL * area)
    strength = ink.strength
    for label in np.flatnonzero(may_be_mark).tolist():
        mask, window = components.mask(label), components.window(label)
        here = ink.strength[window]
        levels = _levels_on_mark(mask, here, ink.threshold, least_px)
        if levels is None:
            continue
        if strength is ink.strength:
            strength = strength.copy()
        paper, full = levels
        strength[window][mask] = (here[mask] - paper).clip(0) / (full - paper)
    return ink if strength is ink.strength else replace(ink, strength=strength)


def _levels_on_mark(mask: Mask, strength: Plane, threshold: float, least_px: float) -> tuple[float, float] | None:
    """Give how strong a mark and the strokes on it are, given the ink that may be both, (H, W); None if it is not."""
    is_full = mask & (strength > threshold)
    faint, full = quantile(strength[mask & ~is_full], 0.5), quantile(strength[is_full], 0.5)
    if full <= MARK_STRENGTH * faint:
        return None
    strokes = mask & (strength > (faint + full) / 2)
    radius, strokes_radius = (float(distance_to_paper(part).max()) for part in (mask, strokes))
    if radius <= least_px or strokes_radius >= THINNER * radius or not fills_hull(mask, SOLIDITY):
        return None
    depth = distance_to_paper(outline(mask)[0] > 0)
    rim = (depth > 0) & (depth <= RIM_WIDTH * radius)
    if np.count_nonzero(strokes & rim) > RIM_INK * np.count_nonzero(rim):
        return None
    return quantile(strength[mask & ~strokes], MARK_PAPER), full
