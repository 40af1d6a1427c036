"""The one digit of a single-digit picture: which of the ink it is, and whether there seem to be others."""

import math
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mnistcli.components import Components, pick_digit
from mnistcli.config import Invert
from mnistcli.images import Glyph, Picture, shrink_drawing
from mnistcli.inked import Inked, find_inked, without_surroundings
from mnistcli.layout import MOST_AROUND, Found, are_all_within, find_in_part, hold_digits, within
from mnistcli.shades import WHOLE_WIDTH
from mnistcli.sheets import Crop, look_inside
from mnistcli.spots import LEAST_HEIGHT, MOST_COMPONENTS, Spot, find_spots, sort_into_rows
from mnistcli.surroundings import cut_room
from mnistcli.touching import Run

TWO_WIDTH = 1.2  # of its own height: what is wider, in a single-digit picture too, may be two digits
SIMILAR_HEIGHT = 0.7  # of the height of the higher of two digits side by side: the other one is higher than this
PATTERN = 20  # spots that are as high as the digit: more than a card's number has are bricks, or a page of writing
BESIDE_BLOT = 0.5  # of the mean side of a blot, a word or a dash: a digit beside it, rather than dirt, is longer
MOST_BLOTS = 5  # that a digit may be beside, as the holes that paper was punched with
# A digit that is smaller in a shrunk drawing may have lost strokes, and is looked for in the drawing itself.
LARGE_PX = 64


def find_digit(picture: Picture, invert: Invert = "auto", around: int = 0) -> Found:
    """Find the one digit of a picture, as the data set would show it.

    Whether two digits touch is for the network to tell: the digit is given with all that it may be cut into. There seem
    to be several where two are side by side, about equally high.

    Args:
        picture: of any size, ink and paper.
        invert: whether the digit is darker than its paper; auto judges by the picture.
        around: out of how many pictures it was cut, as in `layout.find_digits`.
    """
    found = find_in_part(picture, invert, within(find_digit, around), is_single=True)
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
    inked = find_inked(picture, invert)
    if around < MOST_AROUND and (found := _find_main_inside(picture, inked, invert, around + 1)):
        return found
    inked = inked and without_surroundings(inked, invert)
    if inked is None:
        return None
    (spot, run), spots = _draw_digit(inked), _spots(inked.components)
    if sum(_are_alike(spot, other) for other in spots) > PATTERN:
        run = Run.of(replace(run.whole, is_no_digit=True))
    are_several = _are_several([other for other in spots if other.height > LEAST_HEIGHT * spot.height])
    return _Main(run, max(spot.width, spot.height), are_several)


def _find_main_inside(picture: Picture, inked: Inked | None, invert: Invert, around: int) -> _Main | None:
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


def _is_over(sheet: Crop, inked: Inked) -> bool:
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
    is_digit = found is not None and hold_digits(sheet, [found.run.whole])
    return found._replace(run=found.run.moved(sheet.box)) if found and is_digit else None


def _draw_digit(inked: Inked) -> tuple[Spot, Run]:
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
    outer = [spot for spot in spots if inside.label in spot.labels or not are_all_within([sheet], [spot])]
    return _are_several(others) or _are_several(outer)


def _are_several(spots: list[Spot]) -> bool:
    """Tell whether two digits seem to be side by side."""
    return any(_are_alike(*pair) for row in sort_into_rows(spots) for pair in pairwise(row))


def _are_alike(one: Spot, other: Spot) -> bool:
    return min(one.height, other.height) > SIMILAR_HEIGHT * max(one.height, other.height)
