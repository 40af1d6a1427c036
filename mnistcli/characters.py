"""Characters, digits and others, as a hand writes them: bent at random, and with the data set's own pen.

Digits are written as well as other characters: if only the others were, a network could tell them by the pen.

A pen is a straight 1 of the training images; each stroke is a copy of it, bent along the way that the pen goes.
All that is random comes in as dice: rows of numbers drawn uniformly from 0..1, a row for each character.
"""

import math
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.augment import harden
from mnistcli.idx import SIDE_PX

# Characters that are no digits: how often each comes, in proportion to the others, and the points that the pen goes
# through, x and y from the middle, about 8 at the letter's edge. At a point that is given twice the pen turns a corner;
# at | it is lifted. Those most like digits come most often: a network learns soon that an H is no digit, and late that
# a z is not.
CHARACTERS = (
    (4, "-6,-8 -6,-3 -3,0 1,-1 4,-7 4,-7 4,0 2,7 -2,9 -6,7"),  # y
    (3, "-5,-8 -5,-3 -2,-1 2,-3 5,-8 5,-8 4,0 2,7 -2,9 -5,5 0,2 6,0"),
    (3, "-5,-7 -6,-3 -4,0 0,0 4,-4 5,-8 5,-8 5,-2 4,4 1,9"),
    (2, "-6,-5 -4,-8 -3,-4 -2,0 1,0 4,-4 5,-8 5,-8 3,2 0,8 -4,8 -3,4 6,-1"),
    (2, "-6,-8 -4,-4 -1,-2 3,-5 5,-9 5,-9 2,0 -1,5 -4,9"),
    (4, "-6,-8 -3,-4 0,0|6,-8 3,-3 0,0 -2,4 -5,9"),
    (3, "-5,-9 -3,-5 0,-1|5,-9 3,-5 0,-1 0,4 0,9"),
    (2, "-5,-8 -2,-3 0,1 0,1 3,-4 5,-9 5,-9 0,1 -3,9"),
    (3, "-7,-7 0,-7 7,-7 7,-7 0,0 -7,7 -7,7 0,7 7,7"),  # z
    (3, "-7,-6 0,-7 6,-7 6,-7 0,0 -6,6 -6,6 0,5 8,7"),
    (3, "-6,-7 2,-7 6,-6 5,-5 0,1 -5,6 -6,7 -4,7 0,7 7,7"),
    (3, "-7,-4 -6,-7 0,-7 6,-7 6,-7 -2,3 -6,7 -6,7 0,6 5,7 8,5"),
    (2, "-5,-7 5,-7 5,-7 -1,0 -6,5 -5,7 -3,5 1,6 7,7"),
    (2, "-5,-6 -3,-8 0,-7 5,-8 5,-8 0,-1 -5,6 -5,6 -2,4 2,7 7,5"),
    (2, "-6,-7 6,-7 6,-7 -6,7 -6,7 6,7|-4,0 4,0"),
    (3, "-6,-5 -3,-8 0,-7 5,-8 5,-8 -4,6 -4,6 0,4 3,7 7,5|-4,0 5,-1"),
    (2, "-9,-7 -5,7 -5,7 0,-4 0,-4 5,7 5,7 9,-7"),  # w
    (2, "-8,-6 -8,3 -5,7 -1,4 0,-3 1,4 5,7 8,3 8,-6"),
    (2, "-7,-8 0,0 7,8|7,-8 0,0 -7,8"),  # x
    (1, "-8,-5 -4,-8 0,0 4,8 8,5|7,-8 0,0 -7,8"),
    (5, "0,-8 0,8|-8,0 8,0"),  # plus
    (1, "0,-8 0,8|-8,3 8,3"),
    (1, "-7,-7 -6,4 -2,7 3,6 6,0 6,-7 6,-7 6,7"),  # u
    (1, "-7,-8 0,8 0,8 7,-8"),  # v
    (1, "-6,7 -6,-7 -6,-7 -6,0 -2,-6 3,-7 6,-3 6,7"),  # n
    (1, "-8,7 -8,-5 -8,-5 -5,-6 -1,-5 -1,7 -1,-4 3,-7 7,-4 7,7"),  # m
    (1, "-5,-9 -5,8 -5,2 0,-2 4,0 5,8"),  # h
    (1, "-5,-9 -5,9|5,-4 -4,2 -4,2 5,9"),  # k
    (1, "-4,-7 -4,8 -4,-1 0,-6 5,-7"),  # r
    (1, "0,-9 0,6 2,8 5,7|-5,-4 5,-4"),  # t
    (1, "5,-8 1,-9 -1,-5 -1,9|-6,-1 4,-1"),  # f
    (1, "-6,1 5,0 5,-5 0,-7 -5,-4 -6,2 -3,7 3,7 7,4"),  # e
    (1, "-7,8 0,-8 0,-8 7,8|-4,2 4,2"),  # A
    (1, "-6,-8 -6,8|6,-8 6,8|-6,0 6,0"),  # H
    (1, "-7,8 -7,-8 -7,-8 7,8 7,8 7,-8"),  # N
    (1, "6,-8 -6,-8 -6,-8 -6,8 -6,8 6,8|-6,0 4,0"),  # E
    (1, "-7,-8 7,-8|0,-8 0,8"),  # T
    (1, "-6,0 -2,7 -2,7 7,-8"),  # a tick
    (1, "0,-8 0,8|-7,-4 7,4|-7,4 7,-4"),  # a star
    (1, "8,-8 -3,-6 -7,0 -3,6 8,8 -3,6 2,-4 8,0"),  # a scrawl
)
# Digits, from 0 to 9: which one, and the points of one of the ways that people have for it, which come equally often.
DIGITS = (
    (0, "1,-8 -4,-6 -6,0 -4,6 0,8 4,6 6,0 4,-6 0,-8"),
    (0, "3,-8 -3,-6 -6,1 -3,7 2,8 6,3 6,-3 3,-7 -2,-8"),
    (1, "0,-8 0,8"),
    (1, "-4,-4 0,-8 0,-8 0,8"),
    (1, "-5,1 1,-8 1,-8 0,8"),
    (1, "-6,3 1,-8 1,-8 1,8"),
    (1, "-6,7 1,-8 1,-8 2,8"),
    (1, "-4,-4 0,-8 0,-8 0,8|-5,8 5,8"),
    (1, "-6,1 1,-8 1,-8 0,8|-6,8 6,8"),
    (2, "-5,-5 -3,-8 2,-8 5,-5 3,0 -1,4 -6,8 -6,8 0,8 6,8"),
    (2, "-5,-4 -2,-8 3,-8 5,-4 2,2 -4,7 -6,6 -3,4 2,7 7,7"),
    (2, "-5,-6 -1,-8 3,-7 4,-3 2,2 -2,6 -6,8 -6,8 -1,7 3,8 7,6"),
    (3, "-5,-7 0,-8 4,-6 3,-2 -1,0 -1,0 4,2 5,5 1,8 -5,7"),
    (3, "-5,-8 5,-8 5,-8 -1,-1 -1,-1 4,1 5,5 1,8 -5,6"),
    (4, "-2,-8 -6,2 -6,2 6,2|2,-3 2,8"),
    (4, "-5,-8 -5,0 -5,0 5,0|4,-8 4,8"),
    (4, "3,8 3,-8 3,-8 -6,3 -6,3 7,3"),
    (4, "-1,-8 -4,1 -4,1 4,0|3,-3 1,8"),
    (4, "-6,-7 -6,-2 -3,1 2,0 5,-2|5,-8 4,0 3,8"),
    (5, "5,-8 -4,-8 -4,-8 -5,-1 0,-3 5,1 4,6 -1,8 -6,6"),
    (5, "-4,-8 -5,-1 0,-3 5,1 4,6 -1,8 -6,6|-4,-8 5,-8"),
    (6, "4,-8 -2,-4 -5,2 -4,7 0,8 5,6 5,2 1,0 -4,4"),
    (6, "1,-8 -3,-2 -5,4 -2,8 3,7 4,3 0,1 -4,5"),
    (7, "-6,-8 6,-8 6,-8 1,0 -1,8"),
    (7, "-6,-5 -6,-8 6,-8 6,-8 0,8"),
    (7, "-6,-8 6,-8 6,-8 0,8|-4,0 5,0"),
    (7, "-6,-4 -5,-7 -1,-8 2,-6 6,-8 6,-8 0,8|-4,1 4,-1"),
    (8, "4,-5 0,-8 -4,-5 0,-1 5,4 0,8 -5,4 0,-1 4,-5"),
    (8, "5,-7 -2,-8 -4,-5 0,-1 5,4 1,8 -4,5 -1,0 5,-7"),
    (9, "5,-5 1,-8 -4,-6 -4,-2 0,-1 4,-3 5,-6 5,-6 4,2 2,8"),
    (9, "5,-6 0,-8 -5,-4 -2,0 3,-1 5,-6 5,-6 5,3 2,8 -4,7"),
    (9, "4,-6 0,-8 -4,-5 -3,-1 1,-1 4,-5 4,-5 1,8"),
    (9, "3,-6 -1,-8 -4,-6 -4,-3 0,-2 4,-4 4,-8 5,-1 3,6 -1,8 -5,6"),
    (9, "4,-4 2,-8 -3,-8 -5,-4 -2,-1 2,-2 5,-6 5,-6 4,1 1,8 -5,7 -5,4"),
)
PEN_LENGTH_PX, PEN_REACH_PX = 18, 3.2  # of a straight 1; how far from its middle line there is ink
LEAST_ROUND = 0.5  # of digits, as dice for how round: a 2 with a sharp corner at its top would be a z
ROUND_GAIN = 1.2  # times these dice, up to 1: a third of the digits and a sixth of the others are as round as can be
PEN_WIDTHS = (0.6, 1.1)  # relative to the width of the handwritten 1 used as pen
GAINS = (1.1, 2.1)  # how many times as steep the edges of bent strokes are made
WRITTEN_SIZE_PX = 17.5  # the longer side of the pen's way; with the pen's width that makes 20, as in the data set
PIECES = 4  # straight pieces between two points
MOVE, PUSH = 3.0, (1.0, 3.0)  # how far points are moved, each alone and with those around it, in the table's units
WAVES = 4  # waves that points are pushed by
SWING = 0.5  # the range of a wave's turning, half of it either way, in radians per unit of the table
FAR_PX = 1e3  # from every pixel: where the pieces are put that are not drawn
ROUNDING = 1e-3  # shares of a stroke may be wrong by this


def _read() -> tuple[Tensor, Tensor]:
    """Read both tables, digits last: all points, (C, P, 2) float32, and after which the pen is lifted, (C, P) bool."""
    strokes = [[stroke.split() for stroke in written.split("|")] for _, written in (*CHARACTERS, *DIGITS)]
    points = [
        [[float(number) for number in point.split(",")] for stroke in each for point in stroke] for each in strokes
    ]
    lifts = [[place == len(stroke) for stroke in each for place in range(1, len(stroke) + 1)] for each in strokes]
    longest = max(map(len, points))
    padded = [row + [row[-1]] * (longest - len(row)) for row in points]
    lifted = [row + [True] * (longest - len(row)) for row in lifts]
    return torch.tensor(padded), torch.tensor(lifted)


def _first_of_equals(points: Tensor) -> Tensor:
    """Give for each of (C, P, 2) points the number of the first of its equal neighbours, (C, P) int64."""
    is_same = F.pad((points[:, 1:] == points[:, :-1]).all(2), (1, 0))
    numbers = torch.arange(points.shape[1]).expand_as(is_same)
    return numbers.masked_fill(is_same, 0).cummax(1).values  # on the CPU, for MPS may have no cummax


POINTS, LIFTED = _read()
FIRSTS = _first_of_equals(POINTS)  # which both points of a corner move with
OFTEN = torch.tensor([float(number) for number, _ in CHARACTERS])
SHARES = OFTEN / OFTEN.sum()
WAYS = torch.bincount(torch.tensor([digit for digit, _ in DIGITS]))  # (10,), in which each digit is written
# How many numbers are in a row of dice, and what they decide, in this order.
PLAIN_DICE = 7  # which character, how round, how wide, how much it sways; the pen, its width and hardness
WAVE_DICE = 5  # of each wave: its turning along x and along y, its phase, its push along x and along y
CHARACTER_DICE = PLAIN_DICE + WAVE_DICE * WAVES + 2 * POINTS.shape[1]  # these; and how each point moves, x and y


class _Way(NamedTuple):
    """Where a pen goes: in each of N images, by K short straight pieces."""

    middle: Tensor  # (N, K, 2), of each piece, in pixels from the image's centre
    direction: Tensor  # (N, K, 2), of length 1
    half: Tensor  # (N, K), half of each piece's length, in pixels; 0 where the pen is lifted
    done: Tensor  # (N, K), how much of the stroke is written at the piece's middle, 0..1
    is_first: Tensor  # (N, K) bool, whether the piece is its stroke's first
    is_last: Tensor  # (N, K) bool

    def at(self, nearest: Tensor) -> "_Way":
        """Give for each of M places an image what is true of the piece nearest to it, by its number, (N, M) int64."""
        return _Way(
            *(whole.gather(1, nearest[..., None].expand(-1, -1, 2) if whole.dim() == 3 else nearest) for whole in self)
        )


class _Tables(NamedTuple):
    """The tables on a device, moved there once, for a step that moves them would wait for the device."""

    points: Tensor  # (C, P, 2) float32
    lifted: Tensor  # (C, P) bool
    firsts: Tensor  # (C, P) int64
    shares: Tensor  # of the characters that are no digits, how often each is written; their sum is 1
    ways: Tensor  # (10,) int64, in which each digit is written


@cache
def _tables(device: torch.device) -> _Tables:
    return _Tables(*(table.to(device) for table in (POINTS, LIFTED, FIRSTS, SHARES, WAYS)))


def between(low: float | Tensor, high: float, dice: Tensor) -> Tensor:
    """Give the numbers from `low` to `high` that dice, 0..1, stand for."""
    return low + (high - low) * dice


def pick_others(dice: Tensor) -> Tensor:
    """Give the numbers of characters that are no digits, (N,) int64, for (N, CHARACTER_DICE) dice."""
    shares = _tables(dice.device).shares
    return torch.searchsorted(shares.cumsum(0), dice[:, 0].contiguous()).clamp(max=len(shares) - 1)


def pick_digits(labels: Tensor, dice: Tensor) -> Tensor:
    """Give the numbers of characters that are these digits, both (N,) int64, for (N, CHARACTER_DICE) dice."""
    ways = _tables(labels.device).ways
    return len(CHARACTERS) + (ways.cumsum(0) - ways)[labels] + (dice[:, 0] * ways[labels]).long()


def write(which: Tensor, pens: Tensor, dice: Tensor) -> Tensor:
    """Write characters.

    Args:
        which: (N,) int64, their numbers, as `pick_others` and `pick_digits` give them by the first of the dice.
        pens: (K, 1, 28, 28) uint8, straight 1s, made upright.
        dice: (N, CHARACTER_DICE) float32.

    Returns:
        (N, 1, 28, 28) float32, 0..255, of the size and at the place that the data set's digits have.
    """
    if len(dice) == 0:
        return pens.new_empty((0, 1, SIDE_PX, SIDE_PX), dtype=torch.float32)  # torch cannot sample nothing
    tables = _tables(dice.device)
    points, lifted, firsts = tables.points[which], tables.lifted[which], tables.firsts[which]
    least_round = torch.where(which < len(CHARACTERS), 0.0, LEAST_ROUND)
    roundness = (ROUND_GAIN * between(least_round, 1, dice[:, 1])).clamp(max=1)
    way = _follow(_bend(points, firsts, dice), lifted, roundness)
    width = between(*PEN_WIDTHS, dice[:, 5])
    return _ink(way, pens[(dice[:, 4] * len(pens)).long()].float(), width, hardness=dice[:, 6])


def _bend(points: Tensor, firsts: Tensor, dice: Tensor) -> Tensor:
    """Move the points of (N, P, 2) characters, each alone and all with their neighbours, and bring them to size.

    A point moves as the one does whose number `firsts`, (N, P) int64, gives.
    """
    waves = dice[:, PLAIN_DICE : PLAIN_DICE + WAVE_DICE * WAVES].view(-1, WAVES, WAVE_DICE)
    moves = dice[:, PLAIN_DICE + WAVE_DICE * WAVES :].view(points.shape) - 0.5
    angles = points @ (SWING * (waves[:, :, :2] - 0.5)).mT + 2 * math.pi * waves[:, None, :, 2]  # (N, P, WAVES)
    sway = between(*PUSH, dice[:, 3])
    moved = (
        points
        + MOVE * moves.gather(1, firsts[..., None].expand_as(points))
        + angles.sin() @ (waves[:, :, 3:] - 0.5) * sway[:, None, None]
    )
    wide = (dice[:, 2] - 0.5).exp()
    moved = moved * torch.stack([wide, torch.ones_like(wide)], 1)[:, None]
    size = (moved.amax(1) - moved.amin(1)).amax(1)
    return moved * (WRITTEN_SIZE_PX / size)[:, None, None]


def _follow(points: Tensor, lifted: Tensor, roundness: Tensor) -> _Way:
    """Go through the points of (N, P, 2) characters, and put the way's centre of mass in the middle of the image.

    The pen is lifted after the points that `lifted`, (N, P) bool, marks; `_curve` explains `roundness`, (N,).
    """
    is_drawn = ~lifted[:, :-1]  # (N, P - 1), from each point to the next
    knots = _curve(points, is_drawn, roundness)  # (N, P - 1, PIECES + 1, 2)
    start, span = knots[:, :, :-1].flatten(1, 2), knots.diff(dim=2).flatten(1, 2)  # (N, K, 2)
    length = span.norm(dim=2) * is_drawn.repeat_interleave(PIECES, 1)  # (N, K)
    done, half_share = _progress_in_stroke(length, lifted)
    middle = start + span / 2  # (N, K, 2)
    middle = middle - (middle * length[..., None]).sum(1, keepdim=True) / length.sum(1)[:, None, None]  # of mass
    return _Way(
        middle.masked_fill((length == 0)[..., None], FAR_PX),
        F.normalize(span, dim=2),
        length / 2,
        done,
        is_first=done - half_share < ROUNDING,
        is_last=done + half_share > 1 - ROUNDING,
    )


def _curve(points: Tensor, is_drawn: Tensor, roundness: Tensor) -> Tensor:
    """Give the ends of the pieces, (N, P - 1, PIECES + 1, 2), between each of (N, P, 2) points and the next.

    Where `roundness`, (N,), is 0, they lie on straight lines, and where it is 1, on the curve that passes each point in
    the direction from the point before it to the one after it (Catmull and Rom, "A class of local interpolating
    splines", 1974). Where nothing is drawn, `is_drawn` (N, P - 1), a stroke ends, and the curve knows no point beyond.
    """
    begin, end = points[:, :-1], points[:, 1:]  # (N, P - 1, 2)
    before = torch.where(F.pad(is_drawn, (1, -1))[..., None], points.roll(1, 1)[:, :-1], begin)
    after = torch.where(F.pad(is_drawn, (-1, 1))[..., None], points.roll(-1, 1)[:, 1:], end)
    begin_speed, end_speed = (end - before) / 2, (after - begin) / 2  # (N, P - 1, 2)
    knots = []
    for time in torch.linspace(0, 1, PIECES + 1).tolist():
        line = torch.lerp(begin, end, time)
        # Hermite's cubic less that line: how the speeds at both ends bend it, and how far it goes ahead or lags behind.
        bow = (1 - time) ** 2 * time * begin_speed - time**2 * (1 - time) * end_speed
        lead = (3 * time**2 - 2 * time**3 - time) * (end - begin)
        knots.append(line + roundness[:, None, None] * (bow + lead))
    return torch.stack(knots, 2)


def _progress_in_stroke(length: Tensor, lifted: Tensor) -> tuple[Tensor, Tensor]:
    """Give how much of its stroke is written at the middle of each piece, and half of each piece's share in it.

    Both are (N, K) for pieces of these lengths, (N, K), of characters whose pen is lifted after some of (N, P) points.
    """
    stroke = F.pad(lifted[:, :-2].cumsum(1), (1, 0)).repeat_interleave(PIECES, 1)  # (N, K), its number
    stroke_lengths = length.new_zeros(lifted.shape).scatter_add(1, stroke, length)  # (N, P), by number; many are 0
    earlier = (stroke_lengths.cumsum(1) - stroke_lengths).gather(1, stroke)  # (N, K), all strokes before this one
    whole = stroke_lengths.gather(1, stroke).clamp(min=1)  # (N, K)
    return (length.cumsum(1) - length / 2 - earlier) / whole, length / 2 / whole


def _ink(way: _Way, pens: Tensor, width: Tensor, hardness: Tensor) -> Tensor:
    """Bend (N, 1, 28, 28) pens along the ways, `width`, (N,), times as wide; give (N, 1, 28, 28) images."""
    numbers = torch.arange(SIDE_PX, device=pens.device) + 0.5 - SIDE_PX / 2
    pixels = torch.cartesian_prod(numbers, numbers).flip(1)  # (784, 2), row by row
    near = way.at(torch.cdist(pixels.expand(len(pens), -1, -1), way.middle).argmin(2))
    away = pixels - near.middle  # (N, 784, 2)
    ahead = (away * near.direction).sum(2)
    # A piece ends where the next one begins; before its first and after its last piece, a stroke ends as the pen does.
    ahead = torch.where(near.is_first, ahead, ahead.maximum(-near.half))
    ahead = torch.where(near.is_last, ahead, ahead.minimum(near.half))
    beyond = torch.where(near.is_first & (ahead < 0) | near.is_last & (ahead > 0), ahead, 0)
    across = away - ahead[..., None] * near.direction
    is_left = near.direction[..., 0] * across[..., 1] < near.direction[..., 1] * across[..., 0]
    aside = torch.where(is_left, 1.0, -1.0) * across.norm(dim=2) / width[:, None]
    down = PEN_LENGTH_PX * (near.done - 0.5) + beyond
    # Farther from the way than a pen reaches, a pixel would get ink from another place of the pen, beyond a corner.
    aside = torch.where(aside.abs() > PEN_REACH_PX, SIDE_PX, aside)
    places = torch.stack([aside, down], 2).view(-1, SIDE_PX, SIDE_PX, 2) / (SIDE_PX / 2)
    # Bending has blurred the ink, which is made as full as the data set's, or harder: softness must tell nothing.
    return harden(F.grid_sample(pens, places, align_corners=False), gain=between(*GAINS, hardness))
