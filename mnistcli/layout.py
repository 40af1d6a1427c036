"""All digits of a picture in reading order, or the one digit of a single-digit picture: where to look for them.

This is the way of a picture:

1. An image of the data set is taken as it is (`images`). Bars, a canvas or a table around anything else are cut off,
   and the rest goes this way anew (`surroundings`).
2. Ink is told from paper (`ink`): the paper is estimated (`paper`), what stands out from it is measured (`contrast`),
   and the lines of ruled paper are taken out (`rules`).
3. Ink that touches is connected (`components`). What a text marker left, shadows (`shades`) and lines below digits
   (`underlines`) are taken off.
4. If it shows a sheet, a disc or a frame (`sheets`, `outlines`), or a sheet in a room (`surroundings`), what that holds
   goes this way, too.
5. Strokes are looked for on broad patches (`ink`), and frames, rings and tables are left out (`frames`).
6. The parts of the one digit are joined (`components`); or all digits are found and sorted into rows (`spots`). What
   may be several that touch is cut apart in every way (`touching`).
7. Each is drawn as the data set would show it (`images`, `glyphs`).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from itertools import chain, pairwise, zip_longest
from typing import NamedTuple

import numpy as np

from mnistcli.components import Components, find_components, pick_digit
from mnistcli.config import Invert
from mnistcli.contrast import DARK_QUANTILE
from mnistcli.frames import without_frames
from mnistcli.idx import SIDE_PX
from mnistcli.images import FLATTEST, Glyph, Picture, draw_glyph, sample_of, shrink_drawing
from mnistcli.ink import Ink, find_ink
from mnistcli.paper import flat_colour
from mnistcli.planes import Mask, inscribed_radius, is_line, quantile
from mnistcli.shades import WHOLE_WIDTH, without_shades
from mnistcli.sheets import Crop, look_inside, look_on_each
from mnistcli.spots import (
    FAINT_FULL,
    JOINED_HEIGHT,
    LEAST_HEIGHT,
    MOST_COMPONENTS,
    Spot,
    find_spots,
    has_more,
    sort_into_rows,
    with_fainter,
)
from mnistcli.surroundings import cut_bars, cut_canvas, cut_room, cut_table
from mnistcli.touching import Run, cut_apart
from mnistcli.underlines import without_underlines

CUT_WIDTH = 0.6  # of the row's height: what is wider may be digits that touch
TWO_WIDTH = 1.2  # of its own height: what is wider, in a single-digit picture too, may be two digits
SIMILAR_HEIGHT = 0.7  # of the height of the higher of two digits side by side: the other one is higher than this
PATTERN = 20  # spots that are as high as the digit: more than a card's number has are bricks, or a page of writing
BESIDE_BLOT = 0.5  # of the mean side of a blot, a word or a dash: a digit beside it, rather than dirt, is longer
MOST_BLOTS = 5  # that a digit may be beside, as the holes that paper was punched with
DOT_HEIGHT = 0.7  # of the median height of digits: a blot that is lower is a dot
# What lies on a sheet of paper may be dirt where, all together, it is no longer than this share of the sheet's longer
# side; on a large sheet, where a digit may be small, than the smaller share.
LEAST_INSIDE, LEAST_INSIDE_LARGE = 0.1, 0.03
LEAST_INSIDE_PX = 16  # on a large sheet, too: if it is no longer, it may be dirt
# What is on a disc may be a scratch or a gleam where it is no longer than the first share of the disc, or its middle is
# farther from the disc's than the second share.
LEAST_ON_DISC, OFF_CENTRE = 0.25, 0.2
LEAST_PATCH_RADIUS = 0.03  # of the longer side of a picture: ink with a larger inscribed radius may be a patch
# On a drawing's patch, strokes take more than this share of the ink, and are more than this many times as strong as
# what is full ink on the whole.
STROKE_SHARE, STROKE_STRENGTH = 0.05, 1.2
# The largest speck of grain has fewer pixels than a few JPEG blocks, and than this share of the picture.
GRAIN_PX, GRAIN_SHARE = 100, 0.001
# The threshold of grain is a larger share of full ink; that of strokes is below half of what most of them have.
GRAIN_THRESHOLD = 0.6
# A digit that is smaller in a shrunk drawing may have lost strokes, and is looked for in the drawing itself.
LARGE_PX = 64
# Around a digit there may be a screenshot's bars, a room, a sheet and a frame. Of concentric figures, only so many are
# looked into, one after another: each look takes as long as a picture.
MOST_AROUND = 4


class _Inked(NamedTuple):
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
        height = float(np.median([spot.height for spot in row]))
        inked = [self._in_its_ink(spot) for spot in row]
        return [
            own.draw_run(spot, own.draw_whole(spot), max(height, spot.height), CUT_WIDTH)
            for own, spot in zip(inked, row, strict=True)
        ]

    def _in_its_ink(self, spot: Spot) -> "_Inked":
        """Let the ink of a spot that is fainter than the rest be full where it has half of its own strength."""
        strength = self.ink.strength[spot.window][spot.mask(self.components)]
        if np.count_nonzero(strength > self.ink.threshold) >= FAINT_FULL * len(strength):
            return self
        threshold = min(self.ink.threshold, quantile(strength, DARK_QUANTILE) / 2)
        return self._replace(ink=replace(self.ink, threshold=threshold))


class Found(NamedTuple):
    """The digits that were found in a picture."""

    rows: list[list[Run]]  # from top to bottom, in each from left to right; none where nothing stands out
    are_several: bool = False  # beside the one digit that was looked for, there seem to be others
    has_more: bool = False  # what was left out, of too many components, has others as high as digits

    def moved(self, crop: Crop) -> "Found":
        """Give it where it is in the larger picture that this one was cut out of."""
        return self._replace(rows=[[run.moved(crop.box) for run in row] for row in self.rows])


FindDigits = Callable[[Picture, Invert], Found]


def find_digits(picture: Picture, invert: Invert = "auto", around: int = 0) -> Found:
    """Find all digits in a picture, each as the data set would show it, in reading order.

    Args:
        picture: of any size, ink and paper.
        invert: whether the digits are darker than their paper; auto judges by the picture.
        around: out of how many pictures, one within the other, it was cut; at `MOST_AROUND`, nothing more is cut out.
    """
    find = _within(find_digits, around)
    found = _find_in_part(picture, invert, find, is_single=False)
    if found is not None:
        return found
    inked = _find_inked(picture, invert)
    if find and (found := _find_inside(picture, inked, invert, find)):
        return found
    inked = inked and _without_surroundings(inked, invert)
    if inked is None:
        return Found([])
    inked = inked._replace(components=with_fainter(inked.ink, inked.components))
    rows = [inked.draw_row(row) for row in sort_into_rows(find_spots(inked.components))]
    return Found(_without_dots(rows), has_more=has_more(inked.components))


def _within(find: Callable[..., Found], around: int) -> FindDigits | None:
    """Let what is cut out of a picture be looked at in the same way; None where that lies in too many others."""
    return partial(find, around=around + 1) if around < MOST_AROUND else None


def _find_inside(picture: Picture, inked: _Inked | None, invert: Invert, find: FindDigits) -> Found | None:
    """Find the digits on sheets or in a frame that lie in the picture; None where they are not all there."""
    if inked:
        inside = look_inside(picture, inked.components)
        if inside and _is_all(inside, inked) and (found := _find_on(inside, invert, find)):
            return found
        if found := _find_on_each(look_on_each(picture, inked.components), inked, invert, find):
            return found
    sheet = cut_room(picture)
    return _find_on(sheet, invert, find) if sheet and sheet.is_sure else None


def _find_in_part(picture: Picture, invert: Invert, find: FindDigits | None, *, is_single: bool) -> Found | None:
    """Find what there is in a picture that has to be cut first, or is an image as the data set has them; else None.

    It is cut where there are bars along its sides, a canvas around a sheet, or a table beside a sheet of paper;
    what is left is looked at with `find`. What is written above and below a photograph, or is beside a sheet, may be
    digits unless there is just one.
    """
    sample = sample_of(picture.pixels, invert)
    if sample is not None:
        return Found([[Run.of(Glyph(sample, picture.box(0, 0, SIDE_PX, SIDE_PX)))]])
    if find is None:
        return None
    rest = cut_bars(picture, may_be_written=is_single)
    if rest:
        return find(rest.picture, invert).moved(rest)
    sheet = cut_canvas(picture) or cut_table(picture)
    return _find_on(sheet, invert, find) if sheet and (sheet.is_sure or is_single) else None


def _find_on(sheet: Crop, invert: Invert, find: FindDigits) -> Found | None:
    """Find what there is on a sheet of paper, or in a frame; None where there is only dirt."""
    found = find(sheet.picture, invert)
    return found.moved(sheet) if _hold_digits(sheet, [run.whole for run in chain(*found.rows)]) else None


def _find_on_each(sheets: list[Crop], inked: _Inked, invert: Invert, find: FindDigits) -> Found | None:
    """Find what there is on several sheets, of those side by side row by row; None where it is not all on them.

    Where there is nothing but dirt on one of them, that may be no sheet, and nothing is given.
    """
    if not sheets:
        return None
    found = {sheet.label: _find_on(sheet, invert, find) for sheet in sheets}
    rows: list[list[Run]] = []
    for side_by_side in sort_into_rows([Spot.around(sheet.box, sheet.label) for sheet in sheets]):
        on_each = [here.rows for spot in side_by_side if (here := found[spot.labels[0]])]
        rows.extend(list(chain(*row)) for row in zip_longest(*on_each, fillvalue=[]))
    if not all(found.values()) or _are_others_beside(sheets, inked, [run.whole for row in rows for run in row]):
        return None
    return Found(rows, has_more=any(here.has_more for here in found.values() if here))


def _are_others_beside(sheets: list[Crop], inked: _Inked, glyphs: list[Glyph]) -> bool:
    """Tell whether beside sheets there is anything as high as a digit may be beside those on them."""
    unit = inked.components.labels.shape[0] / inked.picture.size[1]  # pixels here in one of the picture's own
    least = LEAST_HEIGHT * float(np.median([glyph.height for glyph in glyphs])) * unit
    boxes = [Spot.of(inked.components, sheet.label) for sheet in sheets]
    others = np.flatnonzero((inked.components.full_ink_px > 0) & (inked.components.boxes[:, 3] > least)).tolist()
    return not _are_inside(boxes, [Spot.of(inked.components, label) for label in others])


def _is_all(inside: Crop, inked: _Inked) -> bool:
    """Tell whether there is no digit outside a sheet of paper, or a frame, and it is no bold digit itself."""
    spots = find_spots(inked.components)
    is_all = _are_inside([Spot.of(inked.components, inside.label)], spots)
    return is_all and (inside.is_sure or any(inked.is_no_digit(spot) for spot in spots))


def _are_inside(boxes: list[Spot], spots: list[Spot]) -> bool:
    """Tell whether each spot is inside one of some others, or is one of them."""
    return all(any(spot.join(box).window == box.window for box in boxes) for spot in spots)


def _find_inked(picture: Picture, invert: Invert, *, on_patches: bool = False) -> _Inked | None:
    """Find the ink of a picture; None where nothing stands out, or all of it is faint, or grain."""
    ink = find_ink(picture.pixels, invert, on_patches=on_patches)
    if ink is None:
        return None
    ink, components = without_shades(ink, find_components(ink))
    components = without_underlines(ink, components)
    return None if _is_grain(ink, components) else _Inked(picture, ink, components)


def _is_grain(ink: Ink, components: Components) -> bool:
    """Tell whether all ink is faint, or specks that hardly stand out, as the paper's grain has."""
    largest = int(components.full_ink_px.max())
    most = min(GRAIN_PX, GRAIN_SHARE * components.labels.size)
    return largest == 0 or (largest < most and ink.threshold > GRAIN_THRESHOLD)


def _without_surroundings(inked: _Inked, invert: Invert) -> _Inked | None:
    """Leave out patches that digits are on, and frames that they are in; None where there is nothing else."""
    inked = _look_past_patches(inked, invert)
    components = without_frames(inked.ink, inked.components)
    return inked._replace(components=components) if components.full_ink_px.any() else None


def _look_past_patches(inked: _Inked, invert: Invert) -> _Inked:
    """Look again where some ink is so broad that it may be a patch of the paper, and no sheet of its own.

    In a drawing, strokes on a patch are darker; without this, most drawings would be looked at twice.
    """
    strength = inked.ink.strength
    is_drawn = flat_colour(inked.picture.pixels) is not None
    if is_drawn and float(strength.max()) <= STROKE_STRENGTH:
        return inked
    is_ink = inked.components.labels > 0
    may_be_patch = inscribed_radius(is_ink) > LEAST_PATCH_RADIUS and (
        not is_drawn or quantile(strength[is_ink], 1 - STROKE_SHARE) > STROKE_STRENGTH
    )
    on_patches = _find_inked(inked.picture, invert, on_patches=True) if may_be_patch else None
    return on_patches or inked


def _without_dots(rows: list[list[Run]]) -> list[list[Run]]:
    """Leave out what is no digit and lower than the digits beside it, or much higher: a hole, a dash, a stamp."""
    heights = [run.whole.height for run in chain(*rows) if not run.whole.is_no_digit]
    if not heights:
        return rows
    usual = float(np.median(heights))
    lowest, highest = DOT_HEIGHT * usual, JOINED_HEIGHT * usual  # between these, a blot may be a very bold digit

    def is_kept(run: Run) -> bool:
        is_high_enough = run.whole.height > lowest or _are_many_that_touch(run)
        return not run.whole.is_no_digit or (is_high_enough and run.whole.height < highest)

    kept = [[run for run in row if is_kept(run)] for row in rows]
    return [row for row in kept if row]


def _are_many_that_touch(run: Run) -> bool:
    """Tell whether a run, which is no digit as a whole, may be many digits: as flat as a dash, but cut, as none is."""
    return len(run.pieces) > 1 and run.whole.width > FLATTEST * run.whole.height


def _hold_digits(inside: Crop, glyphs: list[Glyph]) -> bool:
    """Tell whether what was found on a sheet of paper or a disc, or in a frame, is large enough to be no dirt."""
    boxes = np.array([glyph.box for glyph in glyphs if not glyph.is_no_digit]).reshape(-1, 4)
    if not len(boxes):
        return False
    first, last = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    span, longest = last - first, max(inside.box[2:])
    if inside.is_disc:
        off_centre = np.abs((first + last) / 2 - np.array(inside.box[2:]) / 2).max()
        return bool(span.max() > LEAST_ON_DISC * longest and off_centre < OFF_CENTRE * longest)
    return bool(span.max() > min(LEAST_INSIDE * longest, max(LEAST_INSIDE_LARGE * longest, LEAST_INSIDE_PX)))


def find_digit(picture: Picture, invert: Invert = "auto", around: int = 0) -> Found:
    """Find the one digit of a picture, as the data set would show it.

    Whether two digits touch is for the network to tell: the digit is given with all that it may be cut into. There seem
    to be several where two are side by side, about equally high.

    Args:
        picture: of any size, ink and paper.
        invert: whether the digit is darker than its paper; auto judges by the picture.
        around: out of how many pictures it was cut, as in `find_digits`.
    """
    found = _find_in_part(picture, invert, _within(find_digit, around), is_single=True)
    if found is not None:
        return found
    coarse = shrink_drawing(picture)
    main = _find_main(coarse, invert, around) if coarse else None
    if main is None or main.size_px < LARGE_PX or _may_be_lined(main.run.whole, picture):
        main = _find_main(picture, invert, around)
    return Found([[main.run]], main.are_several) if main else Found([])


def _may_be_lined(glyph: Glyph, picture: Picture) -> bool:
    """Tell whether a glyph of a smaller copy may hold a level line of ruled paper: a dash, or from side to side."""
    return glyph.is_no_digit or glyph.width > WHOLE_WIDTH * picture.size[0]


class _Main(NamedTuple):
    """The digit of a single-digit picture, as `find_digit` gives it."""

    run: Run
    size_px: int  # its longer side where it was found
    are_several: bool


def _find_main(picture: Picture, invert: Invert, around: int) -> _Main | None:
    """Find the digit in a picture that has paper all around, or on a sheet or in a frame that lies in the picture."""
    inked = _find_inked(picture, invert)
    if around < MOST_AROUND and (found := _find_main_inside(picture, inked, invert, around + 1)):
        return found
    inked = inked and _without_surroundings(inked, invert)
    if inked is None:
        return None
    (spot, run), spots = _draw_digit(inked), _spots(inked.components)
    if sum(_are_alike(spot, other) for other in spots) > PATTERN:
        run = Run.of(replace(run.whole, is_no_digit=True))
    are_several = _are_several([other for other in spots if other.height > LEAST_HEIGHT * spot.height])
    return _Main(run, max(spot.width, spot.height), are_several)


def _find_main_inside(picture: Picture, inked: _Inked | None, invert: Invert, around: int) -> _Main | None:
    """Find the digit on a sheet or in a frame that lies in the picture; None where there is neither."""
    inside = look_inside(picture, inked.components) if inked else None
    if inked and inside and (inside.is_sure or inked.is_no_digit(_main_spot(inked.components))):
        found = _find_main_on(inside, invert, around)
        if found:
            are_several = found.are_several or _seem_several_around(inside, inked.components)
            return found._replace(are_several=are_several)
    sheet = cut_room(picture)
    if sheet is None or not (sheet.is_sure or inked is None or _is_over(sheet, inked)):
        return None
    found = _find_main_on(sheet, invert, around)
    return None if found is None or _touches_edge(sheet, found.run.whole) else found


def _is_over(sheet: Crop, inked: _Inked) -> bool:
    """Tell whether the main spot of a picture is no digit, or partly on a sheet, so that it is no digit beside that."""
    spot = _main_spot(inked.components)
    left, top, width, height = inked.picture.box(spot.left, spot.top, spot.width, spot.height)
    first_x, first_y, wide, high = sheet.box
    overlaps = left < first_x + wide and first_x < left + width and top < first_y + high and first_y < top + height
    return overlaps or inked.is_no_digit(spot)


def _touches_edge(sheet: Crop, glyph: Glyph) -> bool:
    """Tell whether what was found on a sheet goes on beyond it."""
    (left, top, width, height), (first_x, first_y, wide, high) = glyph.box, sheet.box
    right, bottom = left + width, top + height
    return left <= first_x or top <= first_y or right >= first_x + wide or bottom >= first_y + high


def _find_main_on(sheet: Crop, invert: Invert, around: int) -> _Main | None:
    """Find the digit on a sheet of paper, or in a frame; None where there is only dirt."""
    found = _find_main(sheet.picture, invert, around)
    is_digit = found is not None and _hold_digits(sheet, [found.run.whole])
    return found._replace(run=found.run.moved(sheet.box)) if found and is_digit else None


def _draw_digit(inked: _Inked) -> tuple[Spot, Run]:
    """Draw the digit of a single-digit picture, and tell where it is.

    It is the main spot, or the next one beside a blot, or beside several that are alike.
    """
    main = _main_spot(inked.components)
    whole = inked.draw_whole(main)
    least = BESIDE_BLOT * math.sqrt(main.width * main.height)
    rest, other, beside = inked.components, main, whole
    for _ in range(MOST_BLOTS):
        if not beside.is_no_digit or not _are_alike(main, other):
            break
        rest = rest.without(other.labels)
        if not rest.full_ink_px.any():
            break
        other = _main_spot(rest)
        beside = inked.draw_whole(other)
    if not beside.is_no_digit and max(other.width, other.height) > least:
        main, whole = other, beside
    return main, inked.draw_run(main, whole, main.height, TWO_WIDTH)


def _main_spot(components: Components) -> Spot:
    """Join the parts of the digit in a single-digit picture."""
    return reduce(Spot.join, (Spot.of(components, label) for label in pick_digit(components)))


def _spots(components: Components) -> list[Spot]:
    """Find what may be digits, if there are several; of many, some tell."""
    return find_spots(components, MOST_COMPONENTS) if np.count_nonzero(components.full_ink_px) > 1 else []


def _seem_several_around(inside: Crop, components: Components) -> bool:
    """Tell whether there seem to be several digits, or several such sheets or frames, where one was looked into.

    What a sheet or a frame holds is compared with all but that itself, which it is beside only by its box.
    """
    sheet, spots = Spot.of(components, inside.label), _spots(components)
    others = [spot for spot in spots if inside.label not in spot.labels]
    outer = [spot for spot in spots if inside.label in spot.labels or not _are_inside([sheet], [spot])]
    return _are_several(others) or _are_several(outer)


def _are_several(spots: list[Spot]) -> bool:
    """Tell whether two digits seem to be side by side."""
    return any(_are_alike(*pair) for row in sort_into_rows(spots) for pair in pairwise(row))


def _are_alike(one: Spot, other: Spot) -> bool:
    return min(one.height, other.height) > SIMILAR_HEIGHT * max(one.height, other.height)
