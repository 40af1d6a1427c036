"""All digits of a picture in reading order: which marks are digits, which belong together, which are two in one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnistcli.glyphs import SIZE_PX, SPECK_AREA, SPECK_SIZE, Marks, find_marks, pick_digit
from mnistcli.images import Glyph, Picture, draw_glyph, sample_of, shrink_drawing
from mnistcli.ink import Ink, Invert, Mask, find_ink, touches_rim
from mnistcli.sheets import Inside, cut_bars, look_inside

# Heights are shares of the typical digit's height in the picture, or in the row where there is one already.
LEAST_HEIGHT = 0.35  # dots, commas and dashes are lower; a nought may be half as high as its neighbours
LEAST_INK = 0.08  # of the typical digit's ink; even a 1 has a third of it, a shadow's torn edge hardly any
MOST_HEIGHT = 3.0  # what is higher is a margin line or a fold
BAR_SHAPE = 4.0  # as many times wider than high is a bar; longer than a digit is high, it is no digit's part
TIGHT_SHARE = 0.7  # of the picture's height: digits as high were cut out so tightly that whole ones touch the rim
PART_HEIGHT = 0.7  # of two marks of one digit, at least one is lower; two that are higher are two digits
PART_OVERLAP = 0.5  # of the narrower mark's width: parts of one digit lie above each other
PART_GAP = 0.2  # between them from top to bottom; lines of writing are farther apart
JOINED_HEIGHT = 1.4  # no digit is higher when joined; more than 1, for where all are broken their parts are typical
ROW_OVERLAP = 0.4  # of the lower one's height: neighbours in a row are as much beside each other
MOST_MARKS = 500  # the largest ones: with more, it is a texture, and joining and sorting them would take long
# Among enlarged training digits, 1 of 170 is cut in two by what follows, and 3 of 5 pairs that touch are.
TWO_WIDTH = 1.2  # of the row's height: what is wider may be two digits that touch
PITCH = 0.75  # of the row's height: a digit's usual width with half a gap at either side
NECK = 0.35  # of the row's height: two digits touch in a column with no more ink
NECK_REACH = 0.25  # of a pitch: as far from where equally wide digits would meet, the cut is looked for
HALF_HEIGHT = 0.7  # of the whole's: both sides of a cut are as high, unlike those of a 7 or a slanted 1
SIMILAR_HEIGHT = 0.7  # the lower of two digits side by side, of the higher
LEAST_INSIDE = 0.1  # of the longer side of a sheet of paper: what is smaller on it, all together, is dirt
LARGE_PX = 64  # a digit of a drawing, where it was shrunk: smaller ones lose strokes, and are drawn from the whole


@dataclass(frozen=True)
class _Spot:
    """Where a digit is, or may be: the marks inside a box."""

    marks: tuple[int, ...]
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

    def mask(self, marks: Marks) -> Mask:
        """Give the marks' ink inside the box: (height, width)."""
        is_inside = np.zeros(len(marks.boxes), np.bool_)
        is_inside[list(self.marks)] = True
        return is_inside.take(marks.labels[self.window])

    def join(self, other: "_Spot") -> "_Spot":
        """Put two spots together."""
        return _Spot(
            self.marks + other.marks,
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def find_digits(picture: Picture, invert: Invert = "auto") -> list[list[Glyph]]:
    """Find all digits in a picture, each as the data set would show it, in reading order.

    Args:
        picture: of any size, ink and paper.
        invert: whether the digits are darker than their paper; auto judges by the picture.

    Returns:
        Rows from top to bottom, in each the digits from left to right; nothing where nothing stands out.
    """
    sample = _sample_glyph(picture)
    if sample is not None:
        return [[sample]]
    rest = cut_bars(picture)
    if rest:
        return [[glyph.moved(rest.box) for glyph in row] for row in find_digits(rest.picture, invert)]
    ink = find_ink(picture.pixels, invert)
    if ink is None:
        return []
    marks = find_marks(ink)
    if not marks.area.any():  # all ink is faint
        return []
    spots = _layout(marks)
    rows = [[_glyph(picture, ink, marks, spot) for spot in row] for row in spots]
    inside = look_inside(picture, marks)
    if inside and _is_all(inside, marks, spots) and (inside.is_sure or any(glyph.is_blot for glyph in chain(*rows))):
        found = find_digits(inside.picture, invert)
        if _hold_digits(inside, chain(*found)):
            return [[glyph.moved(inside.box) for glyph in row] for row in found]
    return rows


def _is_all(inside: Inside, marks: Marks, spots: list[list[_Spot]]) -> bool:
    """Tell whether there is no digit but inside a sheet of paper, or a frame."""
    sheet = _spot(marks, inside.mark)
    return all(spot.join(sheet).window == sheet.window for row in spots for spot in row)


def _hold_digits(inside: Inside, glyphs: Iterable[Glyph]) -> bool:
    """Tell whether what was found on a sheet of paper, or in a frame, is what it is for, and no dirt."""
    boxes = np.array([glyph.box for glyph in glyphs if not glyph.is_blot]).reshape(-1, 4)
    if not len(boxes):
        return False
    span = (boxes[:, :2] + boxes[:, 2:]).max(0) - boxes[:, :2].min(0)
    return bool(span.max() > LEAST_INSIDE * max(inside.box[2:]))


def find_digit(picture: Picture, invert: Invert = "auto") -> tuple[Glyph | None, bool]:
    """Find the digit in a picture of one, as the data set would show it, and tell whether there seem to be several.

    There is none where nothing stands out. There seem to be several where two are side by side, and about as high.
    """
    sample = _sample_glyph(picture)
    if sample is not None:
        return sample, False
    rest = cut_bars(picture)
    if rest:
        glyph, are_several = find_digit(rest.picture, invert)
        return glyph and glyph.moved(rest.box), are_several
    coarse = shrink_drawing(picture)
    found = _find_main(coarse, invert) if coarse else None
    if found is None or found.size_px < LARGE_PX:
        found = _find_main(picture, invert)
    return (found.glyph, found.are_several) if found else (None, False)


def _sample_glyph(picture: Picture) -> Glyph | None:
    """Give a picture that is one of the data set's own making already as it is."""
    sample = sample_of(picture.pixels)
    return None if sample is None else Glyph(sample, (0, 0, SIZE_PX, SIZE_PX))


class _Main(NamedTuple):
    """The digit of a picture of one."""

    glyph: Glyph
    size_px: int  # its longer side in that picture
    are_several: bool


def _find_main(picture: Picture, invert: Invert) -> _Main | None:
    ink = find_ink(picture.pixels, invert)
    if ink is None:
        return None
    marks = find_marks(ink)
    if not marks.area.any():  # all ink is faint
        return None
    spot = reduce(_Spot.join, (_spot(marks, mark) for mark in pick_digit(marks)))
    glyph, are_several = _glyph(picture, ink, marks, spot), _are_several(marks)
    inside = look_inside(picture, marks)
    if inside and (inside.is_sure or glyph.is_blot):
        found = _find_main(inside.picture, invert)
        if found and _hold_digits(inside, [found.glyph]):
            return _Main(found.glyph.moved(inside.box), found.size_px, found.are_several or are_several)
    return _Main(glyph, max(spot.width, spot.height), are_several)


def _are_several(marks: Marks) -> bool:
    """Tell whether two digits seem to be side by side; one mark alone that is not wide cannot be two."""
    inked = np.flatnonzero(marks.area)
    if len(inked) == 1:
        only = _spot(marks, int(inked[0]))
        if not _is_wide(only, only.height):
            return False
    return any(_are_alike(one, other) for row in _layout(marks) for one, other in pairwise(row))


def _is_wide(spot: _Spot, height: float) -> bool:
    """Tell whether a spot may be two digits that touch, where digits are as high as this."""
    return spot.width > TWO_WIDTH * height


def _are_alike(one: _Spot, other: _Spot) -> bool:
    return min(one.height, other.height) > SIMILAR_HEIGHT * max(one.height, other.height)


def _layout(marks: Marks) -> list[list[_Spot]]:
    """Give where the digits are, in reading order."""
    return [_split_row(marks, row) for row in _rows(_spots(marks))]


def _glyph(picture: Picture, ink: Ink, marks: Marks, spot: _Spot) -> Glyph:
    window = replace(ink, strength=ink.strength[spot.window])
    return draw_glyph(picture, window, spot.mask(marks), spot.left, spot.top)


def _spots(marks: Marks) -> list[_Spot]:
    """Find the marks that are digits, with their parts that do not touch them."""
    wide, high = marks.boxes[:, 2:4].T
    is_bar = wide > BAR_SHAPE * high
    is_whole = (marks.area > 0) & ~touches_rim(marks.boxes, marks.labels.shape)
    unit = _typical(high, marks.area * (is_whole & ~is_bar))
    if unit == 0 or unit > TIGHT_SHARE * marks.labels.shape[0]:
        is_whole = marks.area > 0
        unit = _typical(high, marks.area * (is_whole & ~is_bar))
    ink = _typical(marks.area, marks.area * is_whole)
    is_ink = is_whole & (marks.size > SPECK_SIZE * unit) & (marks.area > SPECK_AREA * ink) & (high < MOST_HEIGHT * unit)
    is_ink &= ~(is_bar & (wide > unit))
    is_digit = (high >= LEAST_HEIGHT * unit) & (marks.area > LEAST_INK * ink)
    largest_first = [int(mark) for mark in np.argsort(-marks.size, kind="stable") if is_ink[mark]][:MOST_MARKS]
    spots = _join([_spot(marks, mark) for mark in largest_first], unit)
    return [spot for spot in spots if is_digit[list(spot.marks)].any()]


def _typical(values: NDArray[Any], weights: NDArray[Any]) -> float:
    """Give the median of values by weight, which many specks cannot move; 0 where nothing weighs."""
    order = np.argsort(values)
    summed = weights[order].cumsum()
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)]) if summed[-1] else 0.0


def _spot(marks: Marks, mark: int) -> _Spot:
    left, top, width, height = (int(value) for value in marks.boxes[mark, :4])
    return _Spot((mark,), left, top, left + width, top + height)


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


def _split_row(marks: Marks, row: list[_Spot]) -> list[_Spot]:
    height = float(np.median([spot.height for spot in row]))
    return [part for spot in row for part in _split(marks, spot, max(height, spot.height))]


def _split(marks: Marks, spot: _Spot, height: float) -> list[_Spot]:
    """Cut digits that touch, where the column has the least ink near where equally wide ones would meet."""
    if not _is_wide(spot, height):
        return [spot]
    mask = spot.mask(marks)
    inked = mask.sum(0)  # (width,), pixels in each column
    count = max(2, round(spot.width / (PITCH * height)))
    pitch = spot.width / count
    edges = [0]
    for number in range(1, count):
        first, last = (round(pitch * (number + reach)) for reach in (-NECK_REACH, NECK_REACH))
        cut = first + int(inked[first : last + 1].argmin())
        lower_side = min(_ink_height(mask[:, edges[-1] : cut]), _ink_height(mask[:, cut:]))
        if inked[cut] <= NECK * height and lower_side >= HALF_HEIGHT * spot.height:
            edges.append(cut)
    edges.append(spot.width)
    return [replace(spot, left=spot.left + left, right=spot.left + right) for left, right in pairwise(edges)]


def _ink_height(mask: Mask) -> int:
    rows = np.flatnonzero(mask.any(1))
    return int(np.ptp(rows)) + 1 if rows.size else 0
