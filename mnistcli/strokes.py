"""What is put together from strokes: styles of digits that the data set hardly has, and shapes that are no digits.

Each stroke is a straight 1 of the training images, laid along a segment, so that it looks like the data set's pen.
All that is random comes in as dice: rows of numbers drawn uniformly from 0..1, a row for each image.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.augment import Distortions
from mnistcli.characters import CHARACTER_DICE, between, pick_digits, pick_others, write
from mnistcli.data import Samples
from mnistcli.idx import SIDE_PX

# How many numbers are in a row of dice, and what they decide, in this order.
# Whether the image changes; the stroke that `lay` lays (2); a flag's angle, its bend's x and y, whether it has a bend,
# its length; a foot's reach, whether there is a foot. For a bar the fourth to sixth are its row, reach and slope
# instead. The last are spare.
STYLE_DICE = 12
WRITTEN_DICE = 1 + CHARACTER_DICE  # whether the image is written anew; what `write` takes
OUTLIER_DICE = 4 + CHARACTER_DICE  # the kind; the digit it is made of, a second digit, how it turns; what `write` takes
PAIR_DICE = 7  # left digit; right digit; size of both; distance; height of the left; size and height of the right

LETTERS = 0.76  # of outliers, how many are written letters and signs
BLOB_PX = 4  # by which a blob is thicker all around than the digit it is made of
ONE_LENGTH_PX, WIDEST_ONE_PX = 20, 6  # a straight 1 is a stroke of this length, and no wider
WIDTH_LEVEL, END_LEVEL = 60, 100  # of 255: what is brighter counts for a 1's width, and for where a digit ends
PEN_WIDTHS = (0.8, 1.25)  # relative to the width of the 1 that is laid
SHORTEST_PX = 2  # of strokes: a point is drawn as a dot
BAR_ROWS, BAR_REACH_PX = (13, 17), (3, 6.5)  # of a 7's bar: the row that it crosses the stem in; half of its width
BAR_SLOPES = (-0.3, 0.2)  # rows per column, down to the right
PAIR_SIZES, RIGHT_SIZES = (0.5, 0.85), (0.85, 1.15)  # of both digits; of the right one, relative to the left one
PAIR_APART_PX, PAIR_HEIGHT_PX = (3.5, 6.5), (-2, 2)  # from the middle: of each digit to its side, and downwards


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Strokes:
    """The images that strokes and other shapes are made of."""

    ones: Tensor  # (K, 1, 28, 28) uint8, straight 1s, made upright
    digits: Samples  # all of them

    @classmethod
    def of(cls, samples: Samples) -> "Strokes":
        """Pick the straight 1s out of images; where there are none, the first image takes their place."""
        ones = samples.images[samples.labels == 1]
        straight = ones[(ones > WIDTH_LEVEL).any(2).sum((1, 2)) <= WIDEST_ONE_PX]  # columns that are inked
        return cls(_straighten(straight if len(straight) else samples.images[:1]), samples)

    def lay(self, segments: Tensor, dice: Tensor) -> Tensor:
        """Lay a stroke along each segment.

        Args:
            segments: (N, K, 2, 2) float32, both ends, x and y in pixels from the image's centre.
            dice: (N, 2), which of the 1s is the stroke, and how wide it comes out.

        Returns:
            (N, 1, 28, 28) float32, 0..255, all strokes of a row in one image.
        """
        count, strokes = segments.shape[:2]
        if count == 0:
            return self.ones.new_empty((0, 1, SIDE_PX, SIDE_PX), dtype=torch.float32)  # torch cannot sample nothing
        ones = self.ones[(dice[:, 0] * len(self.ones)).long()].float().repeat_interleave(strokes, 0)
        wide = between(*PEN_WIDTHS, dice[:, 1]).repeat_interleave(strokes)
        start, end = segments.flatten(0, 1).unbind(1)  # (N * K, 2)
        span = end - start
        span[:, 1] += 1e-3  # upright where it has no length
        distance = span.norm(dim=1)
        cos, sin = (span / distance[:, None]).flip(1).unbind(1)  # of the turn from upright
        middle_x, middle_y = ((start + end) / SIDE_PX).unbind(1)  # half of it, in halves of a side
        long = distance.clamp(min=SHORTEST_PX) / ONE_LENGTH_PX
        across = torch.stack([cos, -sin, sin * middle_y - cos * middle_x], 1) / wide[:, None]
        along = torch.stack([sin, cos, -sin * middle_x - cos * middle_y], 1) / long[:, None]
        places = F.affine_grid(torch.stack([across, along], 1), [len(ones), 1, SIDE_PX, SIDE_PX], align_corners=False)
        laid = F.grid_sample(ones, places, align_corners=False)
        return laid.view(count, strokes, SIDE_PX, SIDE_PX).amax(1, keepdim=True)

    def add_styles(self, images: Tensor, chosen: Mapping[int, Tensor], dice: Tensor) -> Tensor:
        """Give some 1s a flag, and a few of these a foot as well; give some 7s a bar.

        Args:
            images: (N, 1, 28, 28) uint8 or float.
            chosen: for each digit that has a style, which images get it, as `choose_for_styles` gives them.
            dice: (N, STYLE_DICE).

        Returns:
            (N, 1, 28, 28) float32, 0..255.
        """
        styled = images.to(torch.float32, copy=True)
        for digit, rows in chosen.items():
            segments = STYLES[digit](styled[rows, 0], dice[rows])
            styled[rows] = torch.maximum(styled[rows], self.lay(segments, dice[rows, 1:3]))
        return styled

    def put_written(self, images: Tensor, labels: Tensor, chosen: Tensor, dice: Tensor) -> Tensor:
        """Put written digits in the places of some images of the same digits.

        Args:
            images: (N, 1, 28, 28) uint8 or float.
            labels: (N,) int64.
            chosen: (M,) int64, which images are written anew, as `choose_for_writing` gives them.
            dice: (N, WRITTEN_DICE).

        Returns:
            (N, 1, 28, 28) float32, 0..255.
        """
        changed = images.to(torch.float32, copy=True)
        rows = dice[chosen, 1:]
        changed[chosen] = write(pick_digits(labels[chosen], rows), self.ones, rows)
        return changed

    def make_outliers(self, dice: Tensor, letters: float = LETTERS) -> Tensor:
        """Make images of no digit.

        Args:
            dice: (N, OUTLIER_DICE).
            letters: how many of them are written letters and signs, 0..1; the others are made of digits.

        Returns:
            (N, 1, 28, 28) float32, 0..255.
        """
        kind = dice[:, 0].view(-1, 1, 1, 1)
        chosen = (dice[:, 1] * len(self.digits)).long()
        digit, label = self.digits.images[chosen].float(), self.digits.labels[chosen]
        other = self.digits.images[(dice[:, 2] * len(self.digits)).long()].float()
        two = torch.maximum(digit, other)
        looks_alike = ((label == 0) | (label == 1) | (label == 8)).view(-1, 1, 1, 1)  # may be a digit still when turned
        turned = torch.where(looks_alike, two, _turn(digit, dice[:, 3]))
        blob = F.max_pool2d(digit, 2 * BLOB_PX + 1, stride=1, padding=BLOB_PX)
        halves = torch.cat([digit[:, :, SIDE_PX // 2 :].flip(3), other[:, :, : SIDE_PX // 2]], 2)
        written = write(pick_others(dice[:, 4:]), self.ones, dice[:, 4:])
        outliers = two
        # Of what is made of digits, five in twelve are turned (but of 0s, 1s and 8s both digits in one place), three
        # are blobs, two are the lower half of one digit, mirrored, above the upper half of another, and two are both
        # digits in one place.
        for share, outlier in ((10 / 12, halves), (8 / 12, blob), (5 / 12, turned), (0, written)):
            outliers = torch.where(kind < letters + (1 - letters) * share, outlier, outliers)
        return outliers

    def make_pairs(self, dice: Tensor) -> Tensor:
        """Put two digits beside each other, small enough for one image, as if they touched.

        Args:
            dice: (N, PAIR_DICE).

        Returns:
            (N, 1, 28, 28) float32, 0..255.
        """
        size, apart = between(*PAIR_SIZES, dice[:, 2]), between(*PAIR_APART_PX, dice[:, 3])
        right_size = size * between(*RIGHT_SIZES, dice[:, 5])
        left = self._place(dice[:, 0], size, -apart, between(*PAIR_HEIGHT_PX, dice[:, 4]))
        right = self._place(dice[:, 1], right_size, apart, between(*PAIR_HEIGHT_PX, dice[:, 6]))
        return torch.maximum(left, right)

    def _place(self, which: Tensor, size: Tensor, right_px: Tensor, down_px: Tensor) -> Tensor:
        """Give digits, (N, 1, 28, 28), chosen by dice, `size` times as large and moved; all arguments are (N,)."""
        digits = self.digits.images[(which * len(self.digits)).long()].float()
        nothing = torch.zeros_like(size)
        half = size * SIDE_PX / 2
        rows = [
            torch.stack([1 / size, nothing, -right_px / half], 1),
            torch.stack([nothing, 1 / size, -down_px / half], 1),
        ]
        return Distortions(torch.stack(rows, 1), bends=None, thickness=None)(digits)


def _turn(digit: Tensor, dice: Tensor) -> Tensor:
    """Turn digits by a quarter to the left or to the right, a quarter of them each, and mirror the others."""
    choice = dice.view(-1, 1, 1, 1)
    quarter = torch.where(choice < 0.25, digit.transpose(2, 3).flip(2), digit.transpose(2, 3).flip(3))
    return torch.where(choice < 0.5, quarter, digit.flip(3))


def _flag_and_foot(ones: Tensor, dice: Tensor) -> Tensor:
    """Give the segments, (N, 3, 2, 2), of a flag that may be bent and of a foot for (N, 28, 28) ones."""
    top, bottom = _ends(ones)  # (N, 2)
    stem = bottom - top
    length = stem.norm(dim=1, keepdim=True).clamp(min=4)
    angle = between(math.radians(18), math.radians(52), dice[:, 3])
    cos, sin = angle.cos(), angle.sin()
    x, y = (stem / length).unbind(1)
    down_left = torch.stack([x * cos - y * sin, x * sin + y * cos], 1)
    bend = top + torch.stack([-between(0, 3.5, dice[:, 4]), between(0, 1, dice[:, 5])], 1) * (dice[:, 6:7] < 0.5)
    tip = bend + down_left * length * between(0.2, 0.75, dice[:, 7:8])
    reach = between(3, 7, dice[:, 8]) * (dice[:, 9] < 0.3)
    side = torch.stack([reach, torch.zeros_like(reach)], 1)
    ends = [(top, bend), (bend, tip), (bottom - side, bottom + side)]
    return torch.stack([torch.stack(pair, 1) for pair in ends], 1)


def _ends(ones: Tensor) -> tuple[Tensor, Tensor]:
    """Find where the ink of (N, 28, 28) images begins and ends, (N, 2) each, x and y in pixels from the centre."""
    is_inked = (ones > END_LEVEL).any(2).float()
    first, last = is_inked.argmax(1), SIDE_PX - 1 - is_inked.flip(1).argmax(1)
    return tuple(torch.stack([_middle_of_row(ones, row), row + 0.5 - SIDE_PX / 2], 1) for row in (first, last))  # type: ignore[return-value]


def _middle_of_row(images: Tensor, row: Tensor) -> Tensor:
    """Give where the ink of a row, one for each of (N, 28, 28) images, has its centre, in pixels from the image's."""
    return _row_middles(images).gather(1, row[:, None])[:, 0]


def _row_middles(images: Tensor) -> Tensor:
    """Give where the ink of each row of (N, 28, 28) images has its centre, (N, 28), in pixels from the image's."""
    places = torch.arange(SIDE_PX, device=images.device) + 0.5 - SIDE_PX / 2
    return (images * places).sum(2) / images.sum(2).clamp(min=1)


def _straighten(ones: Tensor) -> Tensor:
    """Shift the rows of (N, 1, 28, 28) uint8 images so that their ink stands upright in the middle."""
    images = ones.float()
    still = torch.eye(2, 3, device=ones.device).expand(len(ones), 2, 3)
    places = F.affine_grid(still, list(ones.shape), align_corners=False)
    places[..., 0] += _row_middles(images[:, 0])[..., None] / (SIDE_PX / 2)
    return F.grid_sample(images, places, mode="nearest", align_corners=False).byte()


def _bar(sevens: Tensor, dice: Tensor) -> Tensor:
    """Give the segment, (N, 1, 2, 2), of a bar across the stem of (N, 28, 28) 7s."""
    row = between(*BAR_ROWS, dice[:, 3]).long()
    middle = torch.stack([_middle_of_row(sevens, row), row + 0.5 - SIDE_PX / 2], 1)
    reach = between(*BAR_REACH_PX, dice[:, 4])
    side = torch.stack([reach, reach * between(*BAR_SLOPES, dice[:, 5])], 1)
    return torch.stack([middle - side, middle + side], 1)[:, None]


STYLES = {1: _flag_and_foot, 7: _bar}


def choose_for_styles(labels: Tensor, share: float, dice: Tensor) -> dict[int, Tensor]:
    """Choose the images that get their digit's style.

    Args:
        labels: (N,) int64.
        share: of the images of a digit that has a style, how many get it, 0..1.
        dice: (N, STYLE_DICE).

    Returns:
        For each of these digits, (M,) int64, the numbers of its images that were chosen, in rising order.
    """
    return {digit: ((labels == digit) & (dice[:, 0] < share)).nonzero()[:, 0] for digit in STYLES}


def choose_for_writing(share: float, dice: Tensor) -> Tensor:
    """Choose a share, 0..1, of N images, by (N, WRITTEN_DICE) dice: (M,) int64, their numbers in rising order."""
    return (dice[:, 0] < share).nonzero()[:, 0]
