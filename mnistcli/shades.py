"""Shades that were taken for ink together with the strokes on them: they are taken off, and the strokes are left."""

from dataclasses import replace

import numpy as np

from mnistcli.components import Components
from mnistcli.ink import Ink
from mnistcli.planes import distance_inside, fills_hull, quantile

WHOLE_WIDTH = 0.98  # of a picture: what is wider, or higher, goes from side to side, whatever was rounded
# A band of shadow has a larger inscribed radius than this share of the picture's longer side, and fills more than this
# share of its convex hull. Strokes on it are more than this many times as strong as what is full ink on the whole, take
# more than this share of the band's box, and have a smaller radius than this share of the band's.
BAND_RADIUS, BAND_SOLIDITY, BAND_STRENGTH, BAND_STROKES, BAND_THINNER = 0.02, 0.8, 1.5, 0.0003, 0.5


def without_band(ink: Ink, components: Components) -> Ink:
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
    is_band = radius > BAND_RADIUS * max(height, width) and fills_hull(mask, BAND_SOLIDITY)
    if not (is_band and strokes_radius < BAND_THINNER * radius):
        return ink
    if np.count_nonzero(strokes) <= BAND_STROKES * strokes.size:
        return ink
    shadow, full = quantile(strength[mask & ~strokes], 0.5), quantile(strength[strokes], 0.5)
    return replace(ink, strength=(ink.strength - shadow).clip(0) / (full - shadow))
