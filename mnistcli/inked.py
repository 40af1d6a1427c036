"""A picture with its ink: found, without patches and frames, and drawn digit by digit."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mnistcli.components import Components, find_components
from mnistcli.config import Invert
from mnistcli.contrast import DARK_QUANTILE
from mnistcli.frames import without_frames
from mnistcli.images import Glyph, Picture, draw_glyph
from mnistcli.ink import Ink, find_ink
from mnistcli.paper import flat_colour
from mnistcli.planes import Mask, inscribed_radius, is_line, quantile
from mnistcli.shades import without_shades
from mnistcli.spots import FAINT_FULL, Spot
from mnistcli.touching import Run, cut_apart
from mnistcli.underlines import without_underlines

CUT_WIDTH = 0.6  # of the row's height: what is wider may be digits that touch
LEAST_PATCH_RADIUS = 0.03  # of the longer side of a picture: ink with a larger inscribed radius may be a patch
# On a drawing's patch, strokes take more than this share of the ink, and are more than this many times as strong as
# what is full ink on the whole.
ON_PATCH_SHARE, ON_PATCH_STRENGTH = 0.05, 1.2
# The largest speck of grain has fewer pixels than a few JPEG blocks, and than this share of the picture.
GRAIN_PX, GRAIN_SHARE = 100, 0.001
# The threshold of grain is a larger share of full ink; that of strokes is below half of what most of them have.
GRAIN_THRESHOLD = 0.6


class Inked(NamedTuple):
    """A picture with its ink, as it was found."""

    picture: Picture
    ink: Ink
    components: Components  # of which some have full ink

    def draw(self, spot: Spot, mask: Mask) -> Glyph:
        """Draw what of a spot's ink is in a mask, (height, width) of the spot, as one digit."""
        ink = replace(self.ink, strength=self.ink.strength[spot.window])
        return draw_glyph(self.picture, ink, mask, spot.left, spot.top)

    def draw_whole(self, spot: Spot) -> Glyph:
        """Draw all of a spot's ink as one digit."""
        return self.draw(spot, spot.mask(self.components))

    def is_no_digit(self, spot: Spot) -> bool:
        """Tell whether a spot is none by its shape alone."""
        return self.draw_whole(spot).is_no_digit

    def draw_run(self, spot: Spot, whole: Glyph, height: float, cut_width: float) -> Run:
        """Add all that a digit may be cut into if it is wider than a share of the row's height, but no line."""
        mask = spot.mask(self.components)
        if spot.width <= cut_width * height or is_line(mask):
            return Run.of(whole)
        cut = cut_apart(mask, height)
        uncut, _ = next(cut)
        return Run({uncut: whole, **{piece: self.draw(spot, part) for piece, part in cut}})

    def draw_row(self, row: list[Spot]) -> list[Run]:
        """Draw each spot of a row in its own ink, with all that those which are wide may be cut into."""
        height = float(np.median([spot.height for spot in row]))
        inked = [self._in_its_ink(spot) for spot in row]
        return [
            own.draw_run(spot, own.draw_whole(spot), max(height, spot.height), CUT_WIDTH)
            for own, spot in zip(inked, row, strict=True)
        ]

    def _in_its_ink(self, spot: Spot) -> "Inked":
        """Let the ink of a spot that is fainter than the rest be full where it has half of its own strength."""
        strength = self.ink.strength[spot.window][spot.mask(self.components)]
        if np.count_nonzero(strength > self.ink.threshold) >= FAINT_FULL * len(strength):
            return self
        threshold = min(self.ink.threshold, quantile(strength, DARK_QUANTILE) / 2)
        return self._replace(ink=replace(self.ink, threshold=threshold))


def find_inked(picture: Picture, invert: Invert, *, on_patches: bool = False) -> Inked | None:
    """Find the ink of a picture; None where nothing stands out, or all of it is faint, or grain."""
    ink = find_ink(picture.pixels, invert, on_patches=on_patches)
    if ink is None:
        return None
    ink, components = without_shades(ink, find_components(ink))
    components = without_underlines(ink, components)
    return None if _is_grain(ink, components) else Inked(picture, ink, components)


def _is_grain(ink: Ink, components: Components) -> bool:
    """Tell whether all ink is faint, or specks that hardly stand out, as the paper's grain has."""
    largest = int(components.full_ink_px.max())
    most = min(GRAIN_PX, GRAIN_SHARE * components.labels.size)
    return largest == 0 or (largest < most and ink.threshold > GRAIN_THRESHOLD)


def without_surroundings(inked: Inked, invert: Invert) -> Inked | None:
    """Leave out patches that digits are on, and frames that they are in; None where there is nothing else."""
    inked = _look_past_patches(inked, invert)
    components = without_frames(inked.ink, inked.components)
    return inked._replace(components=components) if components.full_ink_px.any() else None


def _look_past_patches(inked: Inked, invert: Invert) -> Inked:
    """Look again where some ink is so broad that it may be a patch of the paper, and no sheet of its own.

    In a drawing, strokes on a patch are darker; without this, most drawings would be looked at twice.
    """
    strength = inked.ink.strength
    is_drawn = flat_colour(inked.picture.pixels) is not None
    if is_drawn and float(strength.max()) <= ON_PATCH_STRENGTH:
        return inked
    is_ink = inked.components.labels > 0
    may_be_patch = inscribed_radius(is_ink) > LEAST_PATCH_RADIUS and (
        not is_drawn or quantile(strength[is_ink], 1 - ON_PATCH_SHARE) > ON_PATCH_STRENGTH
    )
    on_patches = find_inked(inked.picture, invert, on_patches=True) if may_be_patch else None
    return on_patches or inked
