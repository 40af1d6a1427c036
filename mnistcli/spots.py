"""Which components are digits, which of them are parts of one digit, and which digits are in one row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnistcli.components import SOLID_SHARE, SPECK_INK, SPECK_SIZE, Components, find_pen
from mnistcli.ink import Ink
from mnistcli.outlines import SURE_FIT, has_corners, outline
from mnistcli.planes import Mask, are_alike, fills_hull, is_straight, quantile, touches_border, weighted_median
from mnistcli.underlines import PART_GAP

# Heights are shares of the height of the picture's typical digit.
LEAST_HEIGHT = 0.35  # dots, dashes and most commas are lower; a nought may be half as high as its neighbours
MOST_HEIGHT = 3.0  # what is higher is a margin line or a fold
LEAST_INK = 0.08  # of the typical digit's ink; even a 1 has a third of it, a shadow's torn edge hardly any
SOLID_SHAPE = 2.0  # times its width: what is solid and higher than this may be a 1, but no stamp and no hole
# What is larger than the digits, and has most of the ink, is no stroke: somewhere broader than a share of its height,
# or with four corners. Or it was drawn by their pen, and they have more than a share of its ink; the first of them tell
# how thick their strokes are. Digits are between two shares of its height, other ones where it is no stroke than where
# it is drawn: what is lower are specks.
LEAST_BESIDE, MOST_ASKED, BROAD, BESIDE_INK = 3, 9, 0.45, 0.2
BESIDE_BROAD, BESIDE_DRAWN = (0.2, 0.6), (0.12, 0.5)
TIGHT_SHARE = 0.7  # of the picture's height: digits that are higher were cut out so tightly that they touch its border
# If there are more, only the largest are looked at, unless so many are as high as digits that two parts each were more.
# With more than the second number it is a texture: joining and sorting them would take long.
MOST_COMPONENTS, MOST_ON_PAGE = 500, 2500

# Fainter digits. Their height is within two shares of the typical height, their width below another one, their strokes
# thinner than a share of their own height.
FAINT_LEAST, FAINT_MOST, FAINT_WIDE, FAINT_STROKE = 0.5, 1.6, 2.0, 0.35
FAINT_FULL = 0.3  # of their pixels at most are full ink by the measure of the whole picture
# This quantile of theirs is as strong as their full ink, and stronger than this share of the picture's; what has more
# than the last share of it counts as full.
FAINT_QUANTILE, FAINT_STRENGTH, FAINT_THRESHOLD = 0.85, 0.22, 0.45

# Commas, as shares of the height of the digit beside them: they are lower, and their middle is farther below its
# middle; they are no farther to the side, and no farther below its foot.
COMMA_HEIGHT, COMMA_BELOW, COMMA_ASIDE, COMMA_GAP = 0.5, 0.125, 1.0, 0.15
# A comma fills a larger share of its convex hull, and what it encloses makes it at most so much larger.
COMMA_SHARE, COMMA_FILLED = 0.62, 1.02

PART_HEIGHT = 0.7  # of two parts of one digit, at least one is lower; two components that are higher are two digits
PART_OVERLAP = 0.5  # of the narrower component's width: parts of one digit lie above each other
# No digit is higher once its parts are joined. It is more than 1, because where all digits are broken, the typical
# height is that of a part.
JOINED_HEIGHT = 1.4
ROW_OVERLAP = 0.4  # of the lower one's height: neighbours in a row overlap by more


@dataclass(frozen=True)
class Spot:
    """Where a digit is, or may be: components, and the box around them."""

    labels: tuple[int, ...]
    left: int
    top: int
    right: int  # the first column that is not inside
    bottom: int

    @classmethod
    def of(cls, components: Components, label: int) -> "Spot":
        """Give where one component is."""
        return cls.around(components.boxes[label, :4].tolist(), label)

    @classmethod
    def around(cls, box: Sequence[int], label: int) -> "Spot":
        """Give what is inside a box: left, top, width, height."""
        left, top, width, height = box
        return cls((label,), left, top, left + width, top + height)

    @property
    def width(self) -> int:
        """Give the box's width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Give the box's height in pixels."""
        return self.bottom - self.top

    @property
    def window(self) -> tuple[slice, slice]:
        """Give the rows and columns of the box, to select it from a plane."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def mask(self, components: Components) -> Mask:
        """Give the components' ink inside the box: (height, width)."""
        is_inside = np.zeros(len(components.boxes), np.bool_)
        is_inside[list(self.labels)] = True
        return is_inside.take(components.labels[self.window])

    def join(self, other: "Spot") -> "Spot":
        """Put two spots together."""
        return Spot(
            self.labels + other.labels,
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


class _Typical(NamedTuple):
    """What most digits of a picture are like."""

    height: float  # in pixels
    full_ink_px: float
    is_whole: Mask  # (N + 1,), the components that may be digits
    is_bar: Mask  # (N + 1,)


def find_spots(components: Components, most_on_page: int = MOST_ON_PAGE) -> list[Spot]:
    """Find the components that are digits, each with the other parts of its digit.

    Where so many are as high as digits that with their parts there may be more than 500, and not more than
    `most_on_page` in all, as on a page of small digits, all of them are looked at, else the 500 largest.
    """
    typical = _typical_digit(components)
    labels, is_digit = _largest(components, typical)
    looked_at = labels[: _most(is_digit[labels], most_on_page)].tolist()
    spots = _join([Spot.of(components, label) for label in looked_at], typical.height)
    spots = [spot for spot in spots if is_digit[list(spot.labels)].any()]
    return _without_commas(spots, components, JOINED_HEIGHT * typical.height) if spots else []


def has_more(components: Components) -> bool:
    """Tell whether there are more components as high as digits than `find_spots` looks at."""
    if len(components.boxes) <= MOST_COMPONENTS:  # as in nearly all pictures
        return False
    labels, is_digit = _largest(components, _typical_digit(components))
    return bool(is_digit[labels[_most(is_digit[labels], MOST_ON_PAGE) :]].any())


def _most(are_digits: Mask, most_on_page: int) -> int:
    """Give how many components are looked at, given which are as high as digits, (M,)."""
    is_page = 2 * np.count_nonzero(are_digits) > MOST_COMPONENTS and len(are_digits) <= most_on_page
    return len(are_digits) if is_page else MOST_COMPONENTS


def _largest(components: Components, typical: _Typical) -> tuple[NDArray[np.intp], Mask]:
    """Give those that may be digits, or parts of them, (M,) labels, the largest first, and which, (N + 1,), are high.

    Neither specks nor lines are among them.
    """
    width, height = components.boxes[:, 2:4].T
    is_speck = (components.longer_side <= SPECK_SIZE * typical.height) | (
        components.full_ink_px <= SPECK_INK * typical.full_ink_px
    )
    is_line = (height >= MOST_HEIGHT * typical.height) | (typical.is_bar & (width > typical.height))
    is_part = typical.is_whole & ~is_speck & ~is_line
    is_digit = (height >= LEAST_HEIGHT * typical.height) & (components.full_ink_px > LEAST_INK * typical.full_ink_px)
    largest_first = np.argsort(-components.longer_side, kind="stable")
    return largest_first[is_part[largest_first]], is_digit


def with_fainter(ink: Ink, components: Components) -> Components:
    """Count as full ink what is fainter throughout, but drawn like digits: a pencil's beside a pen's, or in a glare.

    What the border cuts, boxes, and what is around other ink are left as they are; so are straight strokes, such as
    a form's between places, where nothing else is as faint.
    """
    typical = _typical_digit(components)
    left, top, width, height, area = components.boxes.T
    is_full = components.full_ink_px > FAINT_FULL * area
    middles = np.stack([left + width / 2, top + height / 2], 1)[is_full]  # (M, 2)

    def is_around(label: int) -> bool:  # as a box of a form, or a ring, is around a digit
        corner, size = components.boxes[label, :2], components.boxes[label, 2:4]
        return bool(((middles > corner) & (middles < corner + size)).all(1).any())

    may_be_digit = (height > FAINT_LEAST * typical.height) & (height < FAINT_MOST * typical.height)
    may_be_digit &= ~is_full & (width < FAINT_WIDE * typical.height)
    may_be_digit &= ~touches_border(components.boxes, components.labels.shape)
    may_be_digit[0] = False  # the paper
    full_ink_px, are_all_straight = components.full_ink_px.copy(), True
    for label in np.flatnonzero(may_be_digit).tolist():
        mask = components.mask(label)
        strength = ink.strength[components.window(label)][mask]
        full = quantile(strength, FAINT_QUANTILE)
        is_thin = 2 * components.inscribed_radius_px(label) < FAINT_STROKE * height[label]
        if full > FAINT_STRENGTH and is_thin and not is_around(label) and not has_corners(mask):
            full_ink_px[label] = max(full_ink_px[label], np.count_nonzero(strength > FAINT_THRESHOLD * full))
            are_all_straight &= is_straight(mask)
    return components if are_all_straight else replace(components, full_ink_px=full_ink_px)


def _typical_digit(components: Components) -> _Typical:
    """Measure the typical digit, without what the border cuts, stamps and holes, unless there is nothing else."""
    width, height = components.boxes[:, 2:4].T
    is_solid = (components.full_ink_px > SOLID_SHARE * width * height) & (height < SOLID_SHAPE * width)
    is_bar = components.are_bars()
    is_stroke = components.full_ink_px > 0
    is_stroke[find_pen(components)] = False
    is_whole = is_stroke & ~touches_border(components.boxes, components.labels.shape)
    is_usual = is_whole & ~is_solid
    if components.full_ink_px[is_usual].sum() < LEAST_INK * components.full_ink_px[is_whole].max(initial=0):
        is_usual = is_whole  # a bold digit among dirt
    typical_height = weighted_median(height, components.full_ink_px * (is_usual & ~is_bar))
    if typical_height == 0 or typical_height > TIGHT_SHARE * components.labels.shape[0]:
        is_usual = is_whole = is_stroke
        typical_height = weighted_median(height, components.full_ink_px * (is_usual & ~is_bar))
    typical_height = _height_beside_larger(components, is_usual & ~is_bar, typical_height) or typical_height
    is_alike = is_usual & are_alike(height, typical_height)
    full_ink_px = weighted_median(components.full_ink_px, components.full_ink_px * is_alike)
    return _Typical(typical_height, full_ink_px, is_whole, is_bar)


def _height_beside_larger(components: Components, is_usual: Mask, typical_height: float) -> float:
    """Give the height of digits where a single component, larger than they, decided what is usual by its ink.

    It may be a drawing, a stamp or a photograph. 0 where there is none: what is lower is too little, or, beside a large
    digit, a caption in other strokes.
    """
    height, ink = components.boxes[:, 3], components.full_ink_px
    is_large = is_usual & are_alike(height, typical_height)
    if np.count_nonzero(is_large) != 1 or np.count_nonzero(is_usual) < 1 + LEAST_BESIDE:
        return 0.0
    large = int(is_large.argmax())
    radius_px = components.inscribed_radius_px(large)
    is_broad = 2 * radius_px > BROAD * height[large] or outline(components.mask(large))[1] >= SURE_FIT
    least, most = BESIDE_BROAD if is_broad else BESIDE_DRAWN
    is_lower = is_usual & (height > least * height[large]) & (height < most * height[large])
    lower = weighted_median(height, ink * is_lower)
    are_digits = is_lower & are_alike(height, lower)
    if np.count_nonzero(are_digits) < LEAST_BESIDE:
        return 0.0
    if is_broad:
        return lower
    radii_px = [components.inscribed_radius_px(label) for label in np.flatnonzero(are_digits)[:MOST_ASKED].tolist()]
    is_same_pen = bool(are_alike(np.array(radius_px), float(np.median(radii_px))))
    return lower if is_same_pen and ink[are_digits].sum() > BESIDE_INK * ink[large] else 0.0


def _join(spots: list[Spot], typical_height: float) -> list[Spot]:
    """Put together what are parts of one digit, such as a 5 and its bar."""
    joined: list[Spot] = []
    edges = np.empty((len(spots), 4), np.int64)  # of those that are joined: left, top, right, bottom
    low: list[int] = []  # places of those that may be a part of a high one; of two high ones, neither is
    for spot in spots:
        is_low = spot.height < PART_HEIGHT * typical_height
        places = range(len(joined)) if is_low else low
        are_parts = _are_parts(spot, edges[: len(joined)] if is_low else edges[low], typical_height)
        if are_parts.any():
            place = places[int(are_parts.argmax())]
            joined[place] = whole = joined[place].join(spot)
        else:
            place, whole = len(joined), spot
            joined.append(spot)
            if is_low:
                low.append(place)
        edges[place] = whole.left, whole.top, whole.right, whole.bottom
    return joined


def _are_parts(spot: Spot, others: NDArray[np.int64], typical_height: float) -> Mask:
    """Tell of other spots, (M, 4) edges, whether they and this one are parts of one digit: (M,)."""
    left, top, right, bottom = others.T
    overlap = np.minimum(spot.right, right) - np.maximum(spot.left, left)
    gap = np.maximum(spot.top, top) - np.minimum(spot.bottom, bottom)
    height = np.maximum(spot.bottom, bottom) - np.minimum(spot.top, top)
    are_parts: Mask = (
        (overlap > PART_OVERLAP * np.minimum(spot.width, right - left))
        & (gap < PART_GAP * typical_height)
        & (np.minimum(spot.height, bottom - top) < PART_HEIGHT * typical_height)
        & (height < JOINED_HEIGHT * typical_height)
    )
    return are_parts


def _without_commas(spots: list[Spot], components: Components, highest: float) -> list[Spot]:
    """Leave out commas: marks much lower than the digits beside them, and near the foot of those.

    What is higher than a digit, such as a bracket, tells nothing of commas.
    """
    left, top, right, bottom = np.array([(spot.left, spot.top, spot.right, spot.bottom) for spot in spots]).T
    height = bottom - top

    def is_comma(spot: Spot) -> bool:
        across = np.maximum(left - spot.right, spot.left - right)
        down = np.maximum(top - spot.bottom, spot.top - bottom)
        is_beside = (across < COMMA_ASIDE * height) & (down < COMMA_GAP * height)
        is_beside &= (spot.height < COMMA_HEIGHT * height) & (height < highest)
        is_above = top + bottom + 2 * COMMA_BELOW * height < spot.top + spot.bottom
        return bool(is_beside.any() and is_above[is_beside].all()) and _is_short_stroke(spot.mask(components))

    return [spot for spot in spots if not is_comma(spot)]


def _is_short_stroke(mask: Mask) -> bool:
    """Tell whether ink is a stroke that is hardly bent, and encloses nothing."""
    filled, _ = outline(mask)
    is_open = np.count_nonzero(filled) <= COMMA_FILLED * np.count_nonzero(mask)
    return bool(is_open) and fills_hull(mask, COMMA_SHARE)


def sort_into_rows(spots: list[Spot]) -> list[list[Spot]]:
    """Sort digits into rows from top to bottom, each by the one to its left, so that a row may rise or fall."""
    rows: list[list[Spot]] = []
    for spot in sorted(spots, key=lambda spot: spot.left):
        beside = max(rows, key=lambda row: _beside(row[-1], spot), default=None)
        if beside and _beside(beside[-1], spot) > ROW_OVERLAP:
            beside.append(spot)
        else:
            rows.append([spot])
    return sorted(rows, key=lambda row: float(np.mean([spot.top + spot.bottom for spot in row])))


def _beside(one: Spot, other: Spot) -> float:
    """Tell how much two spots are beside each other, as a share of the lower one's height; negative for a gap."""
    return (min(one.bottom, other.bottom) - max(one.top, other.top)) / min(one.height, other.height)
