"""Ink is connected as far as it belongs together, and the digit is picked from what is around it."""

import numpy as np
import pytest

from conftest import draw_big, likeness, see
from mnistcli.components import Components, find_components, pick_digit
from mnistcli.ink import Ink
from mnistcli.planes import Mask

DIGIT = (100, 60, 60, 100)  # left, top, width, height


def test_a_faint_line_leads_a_component_to_the_border_only_with_full_ink() -> None:
    strength = np.zeros((200, 200), np.float32)
    strength[100] = 0.3
    strength[60:140, 90:100] = 1
    left, top, wide, high = find_components(Ink(strength, threshold=0.5, faint=0.175)).boxes[1, :4].tolist()
    assert (left, top, wide, high) == pytest.approx((90, 60, 10, 80), abs=8)
    strength[:60, 90:100] = 1
    components = find_components(Ink(strength, threshold=0.5, faint=0.175))
    assert components.boxes[1, :4].tolist() == [0, 0, 200, 140]


def test_faint_ink_joins_full_ink_and_is_none_alone() -> None:
    strength = np.zeros((60, 100), np.float32)
    strength[20:40, 10:20] = strength[20:40, 60:70] = 1
    strength[30, 20:60] = 0.3  # from one to the other
    strength[50, 20:60] = 0.3  # beside both
    components = find_components(Ink(strength, threshold=0.5, faint=0.175))
    assert sorted(components.full_ink_px.tolist()) == [0, 0, 400]  # of paper, of what is faint alone, of both pieces
    joined = int(components.full_ink_px.argmax())
    assert components.boxes[joined, :4].tolist() == [10, 20, 60, 20]
    assert np.array_equal(components.mask(joined), strength[20:40, 10:70] > 0)
    parted = find_components(Ink(strength, threshold=0.5, faint=0.4))
    assert parted.full_ink_px.tolist() == [0, 200, 200]


@pytest.mark.parametrize(
    ("faint", "strokes", "is_left"),
    [
        pytest.param((30, 100), (60,), False, id="on both sides"),
        pytest.param((50, 75), (60,), True, id="hardly more than the stroke"),
        pytest.param((60, 130), (60,), True, id="on one side, as what was written less firmly"),
        pytest.param((30, 130), (50, 90), True, id="with two strokes"),
    ],
)
def test_faint_ink_that_one_stroke_crosses_is_left_out(
    faint: tuple[int, int], strokes: tuple[int, ...], *, is_left: bool
) -> None:
    strength = np.zeros((200, 200), np.float32)
    strength[60:120, slice(*faint)] = 0.3
    for stroke in strokes:
        strength[40:140, stroke : stroke + 10] = 1
    left, top, wide, high = find_components(Ink(strength, threshold=0.5, faint=0.175)).boxes[1, :4].tolist()
    expected = (faint[0], 40, faint[1] - faint[0], 100) if is_left else (60, 40, 10, 100)
    assert (left, top, wide, high) == pytest.approx(expected, abs=8)


def drawn(*boxes: tuple[int, int, int, int]) -> Mask:
    """Draw a loop along each box, or fill it where it is too small for one."""
    mask = np.zeros((220, 300), np.bool_)
    for left, top, width, height in boxes:
        mask[top : top + height, left : left + width] = True
        mask[top + 8 : top + height - 8, left + 8 : left + width - 8] = False
    return mask


@pytest.mark.parametrize(
    ("other", "is_part"),
    [
        pytest.param((105, 40, 60, 9), True, id="the bar of a 5"),
        pytest.param((105, 25, 60, 9), False, id="a bar too far above it"),
        pytest.param((165, 130, 15, 15), True, id="a short stroke"),
        pytest.param((165, 130, 9, 9), False, id="a speck"),
    ],
)
def test_what_is_close_to_a_digit_and_no_speck_is_a_part_of_it(
    other: tuple[int, int, int, int], *, is_part: bool
) -> None:
    mask = drawn(DIGIT, other)
    assert len(pick_digit(Components.of(mask, mask))) == (2 if is_part else 1)


def test_a_button_is_not_the_digit_though_letters_are_left_out_of_it() -> None:
    mask = drawn(DIGIT)
    mask[5:42, 60:190] = True
    for left in range(75, 175, 12):
        mask[13:34, left : left + 4] = False
    components = Components.of(mask, mask)
    (label,) = pick_digit(components)
    assert components.boxes[label, :4].tolist() == list(DIGIT)


def test_specks_and_a_cut_neighbour_are_left_out() -> None:
    picture = np.pad(255 - draw_big(), 60, constant_values=255)
    alone = see(picture)
    picture[10:14, 10:14] = 0
    picture[100:170, -12:] = 0
    assert likeness(see(picture), alone) > 0.98
