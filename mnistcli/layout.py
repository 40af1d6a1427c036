"""All digits of a picture in reading order: which components are digits, which belong together, which may touch."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnistcli.components import SPECK_AREA, SPECK_SIZE, Components, find_components, find_stick, pick_digit
from mnistcli.frames import without_frames
from mnistcli.glyphs import SIZE_PX
from mnistcli.images import Glyph, Picture, draw_glyph, sample_of, shrink_drawing
from mnistcli.ink import Ink, Invert, find_ink
from mnistcli.paper import flat_colour
from mnistcli.planes import Mask, inscribed_radius, quantile, touches_border
from mnistcli.sheets import Inside, look_inside
from mnistcli.surroundings import cut_bars, cut_table
from mnistcli.touching import Run, cut_apart
from mnistcli.underlines import BAR_SHAPE, PART_GAP, without_underlines

# Heights are shares of the typical digit's height in the picture, or in the row where there is one already.
LEAST_HEIGHT = 0.35  # dots, commas and dashes are lower; a nought may be half as high as its neighbours
LEAST_INK = 0.08  # of the typical digit's ink; even a 1 has a third of it, a shadow's torn edge hardly any
MOST_HEIGHT = 3.0  # what is higher is a margin line or a fold
SOLID_SHARE, SOLID_SHAPE = 0.75, 2.0  # of its box, and as many times longer than wide: a stamp, a hole, not a 1
TIGHT_SHARE = 0.7  # of the picture's height: digits as high were cut out so tightly that whole ones touch the border
DOT_HEIGHT = 0.7  # a blot that is lower is a dot
PART_HEIGHT = 0.7  # of two components of one digit, at least one is lower; two that are higher are two digits
PART_OVERLAP = 0.5  # of the narrower component's width: parts of one digit lie above each other
JOINED_HEIGHT = 1.4  # no digit is higher when joined; more than 1, for where all are broken their parts are typical
ROW_OVERLAP = 0.4  # of the lower one's height: neighbours in a row are as much beside each other
MOST_COMPONENTS = 500  # the largest ones: with more, it is a texture, and joining and sorting them would take long
CUT_WIDTH = 0.6  # of the row's height: what is wider may be digits that touch
TWO_WIDTH = 1.2  # of its own height: in a picture of one digit, too
SIMILAR_HEIGHT = 0.7  # the lower of two digits side by side, of the higher
LEAST_INSIDE = 0.1  # of the longer side of a sheet of paper: what is smaller on it, all together, is dirt
LEAST_PATCH_RADIUS = 0.03  # of the longer side of a picture: ink that is farther from paper may be a patch
STROKE_SHARE, STROKE_STRENGTH = 0.05, 1.2  # of a drawing's patch that strokes take; of usual ink's, that they have
LARGE_PX = 64  # a digit of a drawing, where it was shrunk: smaller ones lose strokes, and are drawn from the whole


@dataclass(frozen=True)
class _Spot:
    """Where a digit is, or may be: components, and the box around them."""

    labels: tuple[int, ...]
    left: int
    top: int
    right: int  # the first column that is not inside
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def window(self) -> tuple[slice, slice]:
        """Select the box from a plane."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def mask(self, components: Components) -> Mask:
        """Give the components' ink inside the box: (height, width)."""
        is_inside = np.zeros(len(components.boxes), np.bool_)
        is_inside[list(self.labels)] = True
        return is_inside.take(components.labels[self.window])

    def join(self, other: "_Spot") -> "_Spot":
        """Put two spots together."""
        return _Spot(
            self.labels + other.labels,
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def find_digits(picture: Picture, invert: Invert = "auto") -> list[list[Run]]:
    """Find all digits in a picture, each as the data set would show it, in reading order.

    Args:
        picture: of any size, ink and paper.
        invert: whether the digits are darker than their paper; auto judges by the picture.

    Returns:
        Rows from top to bottom, in each the digits from left to right; nothing where nothing stands out.
    """
    sample = _sample_glyph(picture, invert)
    if sample is not None:
        return [[Run.of(sample)]]
    rest = cut_bars(picture)
    if rest:
        return [[run.moved(rest.box) for run in row] for row in find_digits(rest.picture, invert)]
    sheet = cut_table(picture)
    if sheet:
        found = find_digits(sheet.picture, invert)
        if _hold_digits(sheet, [run.whole for run in chain(*found)]):
            return [[run.moved(sheet.box) for run in row] for row in found]
    inked = _find_inked(picture, invert)
    if inked is None:
        return []
    ink, components = inked
    inside = look_inside(picture, components)
    spots = _spots(components) if inside else []
    if (
        inside
        and _is_all(inside, components, spots)
        and (inside.is_sure or any(_is_blot(picture, ink, components, spot) for spot in spots))
    ):
        found = find_digits(inside.picture, invert)
        if _hold_digits(inside, [run.whole for run in chain(*found)]):
            return [[run.moved(inside.box) for run in row] for row in found]
    ink, components = _look_past_patches(picture, invert, ink, components)
    components = without_frames(ink, components)
    rows = _rows(_spots(components))
    return _without_dots([_runs(picture, ink, components, row) for row in rows])


def _find_inked(picture: Picture, invert: Invert, *, on_patches: bool = False) -> tuple[Ink, Components] | None:
    """Find the ink of a picture and its components; None where nothing stands out, or all of it is faint."""
    ink = find_ink(picture.pixels, invert, on_patches=on_patches)
    if ink is None:
        return None
    components = without_underlines(ink, find_components(ink))
    return (ink, components) if components.area.any() else None


def _look_past_patches(picture: Picture, invert: Invert, ink: Ink, components: Components) -> tuple[Ink, Components]:
    """Look again where some ink is so broad that it may be a patch of the paper, and no sheet of its own.

    In a drawing, strokes on a patch are darker; without this, most drawings would be looked at twice.
    """
    is_drawn = flat_colour(picture.pixels) is not None
    if is_drawn and float(ink.strength.max()) <= STROKE_STRENGTH:
        return ink, components
    is_ink = components.labels > 0
    may_be_patch = inscribed_radius(is_ink) > LEAST_PATCH_RADIUS and (
        not is_drawn or quantile(ink.strength[is_ink], 1 - STROKE_SHARE) > STROKE_STRENGTH
    )
    return (may_be_patch and _find_inked(picture, invert, on_patches=True)) or (ink, components)


def _without_dots(rows: list[list[Run]]) -> list[list[Run]]:
    """Leave out blots that are lower than the digits beside them, or much higher: a punched hole, a bullet, a stamp."""
    heights = [run.whole.box[3] for run in chain(*rows) if not run.whole.is_blot]
    if not heights:
        return rows
    usual = float(np.median(heights))
    may_be = (DOT_HEIGHT * usual, JOINED_HEIGHT * usual)  # a digit of a very thick pen
    kept = [[run for run in row if not run.whole.is_blot or may_be[0] < run.whole.box[3] < may_be[1]] for row in rows]
    return [row for row in kept if row]


def _is_all(inside: Inside, components: Components, spots: list[_Spot]) -> bool:
    """Tell whether there is no digit but inside a sheet of paper, or a frame."""
    sheet = _spot(components, inside.label)
    return all(spot.join(sheet).window == sheet.window for spot in spots)


def _hold_digits(inside: Inside, glyphs: Iterable[Glyph]) -> bool:
    """Tell whether what was found on a sheet of paper, or in a frame, is what it is for, and no dirt."""
    boxes = np.array([glyph.box for glyph in glyphs if not glyph.is_blot]).reshape(-1, 4)
    if not len(boxes):
        return False
    span = (boxes[:, :2] + boxes[:, 2:]).max(0) - boxes[:, :2].min(0)
    return bool(span.max() > LEAST_INSIDE * max(inside.box[2:]))


def find_digit(picture: Picture, invert: Invert = "auto") -> tuple[Run | None, bool]:
    """Find the digit in a picture of one, as the data set would show it, and tell whether there seem to be several.

    There is none where nothing stands out. There seem to be several where two are side by side, and about as high; two
    that touch are for the network to tell, which needs what they may be cut into.
    """
    sample = _sample_glyph(picture, invert)
    if sample is not None:
        return Run.of(sample), False
    rest = cut_bars(picture)
    if rest:
        run, are_several = find_digit(rest.picture, invert)
        return run and run.moved(rest.box), are_several
    sheet = cut_table(picture)
    if sheet:
        run, are_several = find_digit(sheet.picture, invert)
        if run and _hold_digits(sheet, [run.whole]):
            return run.moved(sheet.box), are_several
    coarse = shrink_drawing(picture)
    found = _find_main(coarse, invert) if coarse else None
    if found is None or found.size_px < LARGE_PX:
        found = _find_main(picture, invert)
    return (found.run, found.are_several) if found else (None, False)


def _sample_glyph(picture: Picture, invert: Invert) -> Glyph | None:
    """Give a picture that is one of the data set's own making already as it is."""
    sample = sample_of(picture.pixels, invert)
    return None if sample is None else Glyph(sample, (0, 0, SIZE_PX, SIZE_PX))


class _Main(NamedTuple):
    """The digit of a picture of one."""

    run: Run
    size_px: int  # its longer side in that picture
    are_several: bool


def _find_main(picture: Picture, invert: Invert) -> _Main | None:
    inked = _find_inked(picture, invert)
    if inked is None:
        return None
    ink, components = inked
    inside = look_inside(picture, components)
    if inside and (inside.is_sure or _is_blot(picture, ink, components, _main_spot(components))):
        found = _find_main(inside.picture, invert)
        if found and _hold_digits(inside, [found.run.whole]):
            return _Main(found.run.moved(inside.box), found.size_px, found.are_several or _are_several(components))
    ink, components = _look_past_patches(picture, invert, ink, components)
    components = without_frames(ink, components)
    spot = _main_spot(components)
    run = _run(picture, ink, components, spot, spot.height, TWO_WIDTH)
    return _Main(run, max(spot.width, spot.height), _are_several(components))


def _main_spot(components: Components) -> _Spot:
    return reduce(_Spot.join, (_spot(components, label) for label in pick_digit(components)))


def _are_several(components: Components) -> bool:
    """Tell whether two digits seem to be side by side."""
    if np.count_nonzero(components.area) == 1:
        return False
    return any(_are_alike(*pair) for row in _rows(_spots(components)) for pair in pairwise(row))


def _are_alike(one: _Spot, other: _Spot) -> bool:
    return min(one.height, other.height) > SIMILAR_HEIGHT * max(one.height, other.height)


def _runs(picture: Picture, ink: Ink, components: Components, row: list[_Spot]) -> list[Run]:
    """Draw a row's digits."""
    height = float(np.median([spot.height for spot in row]))
    return [_run(picture, ink, components, spot, max(height, spot.height), CUT_WIDTH) for spot in row]


def _run(picture: Picture, ink: Ink, components: Components, spot: _Spot, height: float, cut_width: float) -> Run:
    """Draw a digit, and where it is wider than a share of the row's height, but no bar, all that it may be cut into."""
    mask = spot.mask(components)
    if not cut_width * height < spot.width <= BAR_SHAPE * spot.height:
        return Run.of(_draw(picture, ink, spot, mask))
    return Run({piece: _draw(picture, ink, spot, part) for piece, part in cut_apart(mask, height)})


def _is_blot(picture: Picture, ink: Ink, components: Components, spot: _Spot) -> bool:
    return _draw(picture, ink, spot, spot.mask(components)).is_blot


def _draw(picture: Picture, ink: Ink, spot: _Spot, mask: Mask) -> Glyph:
    """Draw what of a spot's ink is in a mask, (height, width) of the spot, as one digit."""
    return draw_glyph(picture, replace(ink, strength=ink.strength[spot.window]), mask, spot.left, spot.top)


def _spots(components: Components) -> list[_Spot]:
    """Find the components that are digits, with their parts that do not touch them."""
    wide, high = components.boxes[:, 2:4].T
    is_bar = wide > BAR_SHAPE * high
    is_solid = (components.area > SOLID_SHARE * wide * high) & (components.size < SOLID_SHAPE * np.minimum(wide, high))
    is_stroke = components.area > 0
    is_stroke[find_stick(components)] = False
    is_whole = is_stroke & ~touches_border(components.boxes, components.labels.shape)
    is_usual = is_whole & ~is_solid
    if components.area[is_usual].sum() < LEAST_INK * components.area[is_whole].max(initial=0):
        is_usual = is_whole  # a bold digit among dirt
    unit = _typical(high, components.area * (is_usual & ~is_bar))
    if unit == 0 or unit > TIGHT_SHARE * components.labels.shape[0]:
        is_whole = is_stroke
        unit = _typical(high, components.area * (is_whole & ~is_bar))
        is_usual = is_stroke
    ink = _typical(components.area, components.area * is_usual)
    is_speck = (components.size <= SPECK_SIZE * unit) | (components.area <= SPECK_AREA * ink)
    is_ink = is_whole & ~is_speck & (high < MOST_HEIGHT * unit) & ~(is_bar & (wide > unit))
    is_digit = (high >= LEAST_HEIGHT * unit) & (components.area > LEAST_INK * ink)
    largest_first = np.argsort(-components.size, kind="stable")
    kept = largest_first[is_ink[largest_first]][:MOST_COMPONENTS].tolist()
    spots = _join([_spot(components, label) for label in kept], unit)
    return [spot for spot in spots if is_digit[list(spot.labels)].any()]


def _typical(values: NDArray[Any], weights: NDArray[Any]) -> float:
    """Give the median of values by weight, which many specks cannot move; 0 where nothing weighs."""
    order = np.argsort(values)
    summed = weights[order].cumsum()
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)]) if summed[-1] else 0.0


def _spot(components: Components, label: int) -> _Spot:
    left, top, width, height = (int(value) for value in components.boxes[label, :4])
    return _Spot((label,), left, top, left + width, top + height)


def _join(spots: list[_Spot], unit: float) -> list[_Spot]:
    """Put together what are parts of one digit, such as a 5 and its bar."""
    joined: list[_Spot] = []
    for spot in spots:
        for place, other in enumerate(joined):
            if _are_parts(spot, other, unit):
                joined[place] = other.join(spot)
                break
        else:
            joined.append(spot)
    return joined


def _are_parts(one: _Spot, other: _Spot, unit: float) -> bool:
    overlap = min(one.right, other.right) - max(one.left, other.left)
    gap = max(one.top, other.top) - min(one.bottom, other.bottom)
    return (
        overlap > PART_OVERLAP * min(one.width, other.width)
        and gap < PART_GAP * unit
        and min(one.height, other.height) < PART_HEIGHT * unit
        and one.join(other).height < JOINED_HEIGHT * unit
    )


def _rows(spots: list[_Spot]) -> list[list[_Spot]]:
    """Sort into rows, each spot by the one before it, so that a row may rise or fall."""
    rows: list[list[_Spot]] = []
    for spot in sorted(spots, key=lambda spot: spot.left):
        beside = max(rows, key=lambda row: _beside(row[-1], spot), default=None)
        if beside and _beside(beside[-1], spot) > ROW_OVERLAP:
            beside.append(spot)
        else:
            rows.append([spot])
    return sorted(rows, key=lambda row: float(np.mean([spot.top + spot.bottom for spot in row])))


def _beside(one: _Spot, other: _Spot) -> float:
    """Tell how much two spots are beside each other, as a share of the lower one's height; negative for a gap."""
    return (min(one.bottom, other.bottom) - max(one.top, other.top)) / min(one.height, other.height)
