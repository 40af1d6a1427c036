"""Components are told by their sizes and places: what is a digit, what a part of one, and what is in its row."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from mnistcli.components import Components
from mnistcli.spots import Spot, find_spots, has_more, sort_into_rows

Box = tuple[int, int, int, int]  # left, top, width, height
SIZE = (400, 600)
DIGIT: Box = (100, 100, 50, 80)
NEXT: Box = (200, 105, 50, 80)


def drawn(*boxes: Box, thickness: int = 8) -> Components:
    """Draw a loop along each box, or fill it where it is too small for one."""
    mask = np.zeros(SIZE, np.bool_)
    for left, top, width, height in boxes:
        mask[top : top + height, left : left + width] = True
        mask[top + thickness : top + height - thickness, left + thickness : left + width - thickness] = False
    return Components.of(mask, mask)


def boxes_of(spots: Sequence[Spot]) -> list[Box]:
    return sorted((spot.left, spot.top, spot.width, spot.height) for spot in spots)


def found(*boxes: Box) -> list[Box]:
    return boxes_of(find_spots(drawn(*boxes)))


def spot(left: int, top: int, height: int = 80) -> Spot:
    return Spot((1,), left, top, left + 50, top + height)


def test_a_spot_is_the_box_around_its_components() -> None:
    dot = (120, 130, 10, 10)
    components = drawn(DIGIT, NEXT, dot)
    one, inside, other = sorted((Spot.of(components, label) for label in (1, 2, 3)), key=lambda spot: spot.left)
    assert boxes_of([one, inside, other]) == [DIGIT, dot, NEXT]
    for both in (one.join(other), other.join(one)):
        assert boxes_of([both]) == [(100, 100, 150, 85)]
        assert np.array_equal(both.mask(components), np.isin(components.labels, both.labels)[both.window])
    assert one.mask(components).sum() == one.join(inside).mask(components).sum() - 100


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((170, 172, 6, 6), id="a speck"),
        pytest.param((170, 130, 40, 14), id="a dash"),
        pytest.param((170, 165, 20, 20), id="a comma"),
        pytest.param((170, 160, 10, 38), id="a comma that is nearly half as high"),
        pytest.param((20, 30, 8, 340), id="a margin line"),
        pytest.param((40, 300, 520, 36), id="a bar across"),
        pytest.param((560, 100, 40, 80), id="a digit that the border cuts"),
    ],
)
def test_what_is_much_lower_or_longer_than_digits_or_cut_off_is_none(other: Box) -> None:
    assert found(DIGIT, (240, 105, 50, 80), other) == [DIGIT, (240, 105, 50, 80)]


def test_a_low_nought_is_a_digit() -> None:
    nought = (200, 140, 36, 40)
    assert found(DIGIT, nought) == [DIGIT, nought]
    low = (162, 148, 30, 38)
    assert found(DIGIT, NEXT, low) == [DIGIT, low, NEXT]


@pytest.mark.parametrize(("top", "is_comma"), [(165, True), (188, True), (215, False)])
def test_a_comma_is_not_far_below_the_foot_of_what_is_beside_it(top: int, *, is_comma: bool) -> None:
    mark = (170, top, 12, 34)
    assert (mark not in found(DIGIT, (240, 105, 50, 80), mark)) == is_comma


def test_a_one_beside_a_high_bracket_is_no_comma() -> None:
    one, bracket = (132, 220, 10, 80), (110, 90, 10, 220)
    assert one in found((150, 100, 50, 80), (150, 220, 50, 80), one, bracket)


def test_many_specks_do_not_tell_how_high_a_digit_is() -> None:
    specks: list[Box] = [(10 + 20 * place, 300 + 20 * row, 4, 12) for place in range(15) for row in range(2)]
    assert found(DIGIT, *specks) == [DIGIT]


ROW: list[Box] = [(30, 310, 36, 60), (90, 305, 36, 60), (150, 312, 10, 58), (200, 308, 36, 60)]


def test_a_photograph_with_most_of_the_ink_does_not_tell_how_high_digits_are() -> None:
    photograph = (300, 60, 260, 178)
    assert found(photograph, *ROW) == [*ROW, photograph]
    assert found(photograph, *ROW[:2]) == [photograph]  # so few may be anything


@pytest.mark.parametrize(("thickness", "are_digits"), [(7, True), (24, False)])
def test_what_is_below_a_large_drawing_are_digits_in_its_strokes_and_a_caption_in_others(
    thickness: int, *, are_digits: bool
) -> None:
    drawing = np.zeros(SIZE, np.uint8)
    cv2.ellipse(drawing, (430, 140), (100, 110), 0, 0, 360, 1, thickness)
    mask = (drawing > 0) | (drawn(*ROW).labels > 0)
    found_on_page = boxes_of(find_spots(Components.of(mask, mask)))
    assert [box in found_on_page for box in ROW] == [are_digits] * len(ROW)


@pytest.mark.parametrize("digits", [200, 300, 600])
def test_digits_on_a_page_keep_their_loose_parts(digits: int) -> None:
    mask = np.zeros((1200, 1200), np.bool_)
    for row, column in (divmod(digit, 25) for digit in range(digits)):
        top, left = 45 * row + 5, 45 * column + 5
        mask[top : top + 4, left : left + 10] = mask[top + 7 : top + 30, left : left + 10] = True  # a 5 with its bar
    components = Components.of(mask, mask)
    assert [len(spot.labels) for spot in find_spots(components)] == digits * [2]
    assert not has_more(components)


def test_digits_that_were_cut_out_tightly_may_touch_the_border() -> None:
    tight: list[Box] = [(60, 0, 150, 400), (300, 20, 150, 370)]
    assert found(*tight) == tight


@pytest.mark.parametrize(
    ("part", "is_one"),
    [
        pytest.param((105, 86, 55, 9), True, id="the bar of a 5"),
        pytest.param((140, 86, 55, 9), False, id="a bar that is mostly beside it"),
        pytest.param((160, 86, 55, 9), False, id="a bar beside it"),
        pytest.param((105, 72, 55, 9), False, id="a bar too far above it"),
        pytest.param((102, 185, 50, 78), False, id="a digit below it"),
    ],
)
def test_low_parts_that_are_close_above_each_other_are_of_one_digit(part: Box, *, is_one: bool) -> None:
    joined = Spot((1,), *DIGIT[:2], 150, 180).join(Spot((2,), part[0], part[1], part[0] + part[2], part[1] + part[3]))
    assert (boxes_of([joined])[0] in found(DIGIT, NEXT, (300, 100, 50, 80), part)) == is_one


def test_rows_go_from_top_to_bottom_and_from_left_to_right() -> None:
    upper = [spot(60, 100), spot(130, 100, 60), spot(200, 90)]
    lower = [spot(70, 220), spot(150, 230)]
    shuffled = [lower[1], upper[2], upper[0], lower[0], upper[1]]
    assert sort_into_rows(shuffled) == [upper, lower]


def test_what_reaches_beyond_the_next_one_to_its_right_is_before_it() -> None:
    wide, narrow = Spot((1,), 60, 100, 200, 180), Spot((2,), 150, 120, 170, 180)
    assert sort_into_rows([narrow, wide]) == [[wide, narrow]]


@pytest.mark.parametrize("fall", [-40, 40])
def test_a_row_may_rise_or_fall(fall: int) -> None:
    row = [spot(60 + 70 * place, 250 + fall * place) for place in range(6)]
    assert sort_into_rows(row[::-1]) == [row]


def test_what_is_beside_two_rows_is_in_the_one_that_it_is_more_beside() -> None:
    upper, lower = spot(60, 100), spot(60, 185)
    nearer = spot(150, 150)
    assert sort_into_rows([upper, lower, nearer]) == [[upper], [lower, nearer]]
