"""Digits that touch: where they may be cut apart, and which of the cuts part digits.

After LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, section V: ink
is cut in more places than it has to be (heuristic over-segmentation), what lies between any two cuts is read, and the
cheapest path through this graph, from one end to the other, has the surest digits as its pieces.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnistcli.glyphs import Grey
from mnistcli.images import Box, Glyph
from mnistcli.planes import Mask, bounding_box, connect, pixels_of

Cuts = NDArray[np.intp]  # (C, H): in each row, the first column to the right of each cut
Piece = tuple[int, int]  # what lies between two cuts, by their numbers
WHOLE: Piece = (0, 1)  # where there is no cut

# Shares of the height of the row that the digits are in.
MOST_CUT_INK = 0.5  # a cut goes through no more ink
LEAST_APART = 0.08  # two cuts are at least as far apart, measured in the middle of the row
WIDEST = 1.3  # a piece that may be a digit is no wider

# In ink that is no wider than high, which is rather one digit than several, cuts are at least so far apart as well;
# else a small digit would be cut at every column, as small ink that is wider may be.
LEAST_APART_PX = 2

LEAST_PIECE_HEIGHT = 0.5  # of the whole ink's height: a piece that may be a digit is no lower
SLIVER = 0.25  # of the height of a piece's highest part: a part that is smaller was cut off a neighbour
SLANT_COST = 0.1  # pixels of ink: a step to the left or right costs as much as these

# A piece costs the negative logarithm of its confidence, CUT_COST, and WIDE_COST times the share by which it is wider
# than the whole ink is high. Chosen on held-out digits that were pushed together, and on single ones, of which hardly
# any may be cut.
CUT_COST, WIDE_COST = 0.35, 1.0
LEAST_CONFIDENCE = 1e-6  # of a piece: one with less, such as a blot, costs no more
STEPS = np.array([[0], [-1], [1]])  # columns, from one row to the next; the first one is taken where all cost the same


@dataclass(frozen=True)
class Run:
    """A digit, or several that touch: the segmentation graph of their ink, each piece as the data set would show it."""

    pieces: Mapping[Piece, Glyph]  # the arcs, from cut to cut; the whole first

    @classmethod
    def of(cls, glyph: Glyph) -> "Run":
        """Give what is surely one digit."""
        return cls({WHOLE: glyph})

    @property
    def whole(self) -> Glyph:
        """Give all of it as one digit."""
        return next(iter(self.pieces.values()))

    @property
    def images(self) -> list[Grey]:
        """Give what there is to read, (28, 28) each, piece by piece."""
        return [glyph.image for glyph in self.pieces.values()]

    def moved(self, window: Box) -> "Run":
        """Give it where it is in a larger picture, as `Glyph.moved` does."""
        return Run({piece: glyph.moved(window) for piece, glyph in self.pieces.items()})

    def surest(self, confidences: Iterable[float]) -> list[int]:
        """Tell which of the pieces, by their places, are the surest digits that together make up the whole.

        Args:
            confidences: of each piece, 0..1, as many as there are pieces, and in their order.

        Returns:
            The places of the surest digits among the pieces, from left to right.
        """
        if len(self.pieces) == 1:
            return [0]
        height = self.whole.height
        costs = {
            piece: _doubt(0.0 if glyph.is_no_digit else confidence) + WIDE_COST * max(glyph.width / height - 1, 0)
            for (piece, glyph), confidence in zip(self.pieces.items(), confidences, strict=True)
        }
        places = list(costs)
        return [places.index(piece) for piece in cheapest_path(costs)]


def _doubt(confidence: float) -> float:
    return -log(max(confidence, LEAST_CONFIDENCE))


class _Path(NamedTuple):
    cost: float
    pieces: tuple[Piece, ...]


def cheapest_path(costs: Mapping[Piece, float]) -> tuple[Piece, ...]:
    """Give the pieces of the cheapest path from the first cut to the last, from left to right.

    Args:
        costs: of each piece; there has to be a path.
    """
    paths = {0: _Path(0.0, ())}  # the cheapest one to each cut that can be reached
    for left, right in sorted(costs):
        if left in paths:
            cost = paths[left].cost + costs[left, right] + CUT_COST
            if right not in paths or cost < paths[right].cost:
                paths[right] = _Path(cost, (*paths[left].pieces, (left, right)))
    return paths[max(paths)].pieces


def find_cuts(mask: Mask, height: float) -> Cuts:
    """Find where ink may be cut apart from top to bottom: around strokes, and through them where they are thin.

    The cuts are paths through the least ink, found by dynamic programming (Avidan and Shamir, "Seam carving for
    content-aware image resizing", 2007).

    Args:
        mask: (H, W), ink that is connected.
        height: of the row's digits, in pixels.

    Returns:
        (C, H) cuts from left to right, without the ends; there is something as high as a digit on both sides of each.
    """
    ink = mask.astype(np.float32)
    middle = len(ink) // 2
    above, below = _descend(ink[: middle + 1]), _descend(ink[middle:][::-1])
    columns = _choose(above[-1] + below[-1] - ink[middle], height)
    cuts = np.hstack([_climb(above, columns), _climb(below, columns)[:, -2::-1]])
    return cuts[np.array([_parts_digits(mask, cut) for cut in cuts], np.bool_)]


def _descend(ink: NDArray[Any]) -> NDArray[Any]:
    """Give what the cheapest path from the first row to each pixel costs, in pixels of ink: (H, W)."""
    costs = np.pad(ink, ((0, 0), (1, 1)), constant_values=np.inf)  # no path leads over the sides
    for before, row in pairwise(costs):
        row[1:-1] += np.minimum(before[1:-1], np.minimum(before[:-2], before[2:]) + SLANT_COST)
    return costs[:, 1:-1]


def _choose(costs: NDArray[Any], height: float) -> NDArray[np.intp]:
    """Choose columns, the cheapest first, none of them close to another; from left to right."""
    apart_px = max(LEAST_APART * height, LEAST_APART_PX if len(costs) <= height else 0)
    chosen: list[int] = []
    for column in np.argsort(costs, kind="stable").tolist():
        if costs[column] > MOST_CUT_INK * height:
            break
        if all(abs(column - other) >= apart_px for other in chosen):
            chosen.append(column)
    return np.array(sorted(chosen), np.intp)


def _climb(costs: NDArray[Any], columns: NDArray[np.intp]) -> Cuts:
    """Follow the cheapest paths back from (C,) columns of the last row: (C, H), from the first row on."""
    padded = np.pad(costs, ((0, 0), (1, 1)), constant_values=np.inf)
    paths = [columns]
    for row in padded[-2::-1]:
        step = (row[paths[-1] + 1 + STEPS] + SLANT_COST * abs(STEPS)).argmin(0)
        paths.append(paths[-1] + STEPS[step, 0])
    return np.stack(paths[::-1], 1)


def _parts_digits(mask: Mask, cut: NDArray[np.intp]) -> bool:
    is_left = np.arange(mask.shape[1]) < cut[:, None]
    return all(bounding_box(side)[3] >= LEAST_PIECE_HEIGHT * len(mask) for side in (mask & is_left, mask & ~is_left))


def cut_apart(mask: Mask, height: float) -> Iterator[tuple[Piece, Mask]]:
    """Cut ink in every way that may part digits.

    Args:
        mask: (H, W), ink that is connected, or belongs together.
        height: of the row's digits, in pixels.

    Yields:
        The whole, and then each part between two cuts that may be a digit, by its size; (H, W) as the mask is.
    """
    ends = (0, mask.shape[1]), (0, 0)
    edges = np.pad(find_cuts(mask, height), ((1, 1), (0, 0)), constant_values=ends)  # (C + 2, H)
    whole = 0, len(edges) - 1
    yield whole, mask
    columns = np.arange(mask.shape[1])
    for left, right in combinations(range(len(edges)), 2):
        if (left, right) == whole or (edges[right] - edges[left]).min() > WIDEST * height:
            continue
        piece = np.zeros_like(mask)
        near = slice(edges[left].min(), edges[right].max())  # a long run's other columns would take most of the time
        is_between = (columns[near] >= edges[left][:, None]) & (columns[near] < edges[right][:, None])
        piece[:, near] = _without_slivers(mask[:, near] & is_between)
        _, _, wide, high = bounding_box(piece)
        if wide <= WIDEST * height and high >= LEAST_PIECE_HEIGHT * len(mask):
            yield (left, right), piece


def _without_slivers(piece: Mask) -> Mask:
    labels, boxes = connect(piece)
    is_kept = boxes[:, 2:4].max(1) >= SLIVER * boxes[1:, 3].max(initial=0)
    return pixels_of(labels, is_kept)
