"""All digits of a picture in reading order: where to look for them.

This is the way of a picture, also of one whose single digit is looked for (`single`):

1. An image of the data set is taken as it is (`images`). Bars, a canvas or a table around anything else are cut off,
   and the rest goes this way anew (`surroundings`).
2. Ink is told from paper (`ink`): the paper is estimated (`paper`), what stands out from it is measured (`contrast`),
   and the lines of ruled paper are taken out (`rules`).
3. Ink that touches is connected (`components`). What a text marker left, shadows (`shades`) and lines below digits
   (`underlines`) are taken off.
4. If it shows a sheet, a disc or a frame (`sheets`, `outlines`), or a sheet in a room (`surroundings`), what that holds
   goes this way, too.
5. Strokes are looked for on broad patches (`inked`), and frames, rings and tables are left out (`frames`).
6. The parts of the one digit are joined (`components`); or all digits are found and sorted into rows (`spots`). What
   may be several that touch is cut apart in every way (`touching`).
7. Each is drawn as the data set would show it (`inked`, `images`, `glyphs`).
"""

from collections.abc import Callable
from functools import partial
from itertools import chain, zip_longest
from typing import NamedTuple

import numpy as np

from mnistcli.config import Invert
from mnistcli.idx import SIDE_PX
from mnistcli.images import FLATTEST, Glyph, Picture, sample_of
from mnistcli.inked import Inked, find_inked, without_surroundings
from mnistcli.sheets import Crop, look_inside, look_on_each
from mnistcli.spots import JOINED_HEIGHT, LEAST_HEIGHT, Spot, find_spots, has_more, sort_into_rows, with_fainter
from mnistcli.surroundings import cut_bars, cut_canvas, cut_room, cut_table
from mnistcli.touching import Run

DOT_HEIGHT = 0.7  # of the median height of digits: a blot that is lower is a dot
# What lies on a sheet of paper may be dirt where, all together, it is no longer than this share of the sheet's longer
# side; on a large sheet, where a digit may be small, than the smaller share.
LEAST_INSIDE, LEAST_INSIDE_LARGE = 0.1, 0.03
LEAST_INSIDE_PX = 16  # on a large sheet, too: if it is no longer, it may be dirt
# What is on a disc may be a scratch or a gleam where it is no longer than the first share of the disc, or its middle is
# farther from the disc's than the second share.
LEAST_ON_DISC, OFF_CENTRE = 0.25, 0.2
# Around a digit there may be a screenshot's bars, a room, a sheet and a frame. Of concentric figures, only so many are
# looked into, one after another: each look takes as long as a picture.
MOST_AROUND = 4


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
    find = within(find_digits, around)
    found = find_in_part(picture, invert, find, is_single=False)
    if found is not None:
        return found
    inked = find_inked(picture, invert)
    if find and (found := _find_inside(picture, inked, invert, find)):
        return found
    inked = inked and without_surroundings(inked, invert)
    if inked is None:
        return Found([])
    inked = inked._replace(components=with_fainter(inked.ink, inked.components))
    rows = [inked.draw_row(row) for row in sort_into_rows(find_spots(inked.components))]
    return Found(_without_dots(rows), has_more=has_more(inked.components))


def within(find: Callable[..., Found], around: int) -> FindDigits | None:
    """Let what is cut out of a picture be looked at in the same way; None where that lies in too many others."""
    return partial(find, around=around + 1) if around < MOST_AROUND else None


def _find_inside(picture: Picture, inked: Inked | None, invert: Invert, find: FindDigits) -> Found | None:
    """Find the digits on sheets or in a frame that lie in the picture; None where they are not all there."""
    if inked:
        inside = look_inside(picture, inked.components)
        if inside and _is_all(inside, inked) and (found := _find_on(inside, invert, find)):
            return found
        if found := _find_on_each(look_on_each(picture, inked.components), inked, invert, find):
            return found
    sheet = cut_room(picture)
    return _find_on(sheet, invert, find) if sheet and sheet.is_sure else None


def find_in_part(picture: Picture, invert: Invert, find: FindDigits | None, *, is_single: bool) -> Found | None:
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
    return found.moved(sheet) if hold_digits(sheet, [run.whole for run in chain(*found.rows)]) else None


def _find_on_each(sheets: list[Crop], inked: Inked, invert: Invert, find: FindDigits) -> Found | None:
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


def _are_others_beside(sheets: list[Crop], inked: Inked, glyphs: list[Glyph]) -> bool:
    """Tell whether beside sheets there is anything as high as a digit may be beside those on them."""
    unit = inked.components.labels.shape[0] / inked.picture.size[1]  # pixels here in one of the picture's own
    least = LEAST_HEIGHT * float(np.median([glyph.height for glyph in glyphs])) * unit
    boxes = [Spot.of(inked.components, sheet.label) for sheet in sheets]
    others = np.flatnonzero((inked.components.full_ink_px > 0) & (inked.components.boxes[:, 3] > least)).tolist()
    return not are_all_within(boxes, [Spot.of(inked.components, label) for label in others])


def _is_all(inside: Crop, inked: Inked) -> bool:
    """Tell whether there is no digit outside a sheet of paper, or a frame, and it is no bold digit itself."""
    spots = find_spots(inked.components)
    is_all = are_all_within([Spot.of(inked.components, inside.label)], spots)
    return is_all and (inside.is_sure or any(inked.is_no_digit(spot) for spot in spots))


def are_all_within(boxes: list[Spot], spots: list[Spot]) -> bool:
    """Tell whether each spot is inside one of some others, or is one of them."""
    return all(any(spot.join(box).window == box.window for box in boxes) for spot in spots)


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


def hold_digits(inside: Crop, glyphs: list[Glyph]) -> bool:
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
