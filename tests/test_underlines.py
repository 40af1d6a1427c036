"""Lines below digits are no part of them."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import draw_digits, find_glyph, find_glyphs, likeness
from mnistcli.components import find_components
from mnistcli.images import Picture
from mnistcli.ink import find_ink
from mnistcli.underlines import without_underlines

INK, SIZE_PX = 255, (220, 420)  # height and width
BOTTOM = 150  # of the digits


def number(digits: str, left: int = 60) -> NDArray[np.uint8]:
    """Draw digits side by side, 90 pixels high and 100 from one to the next, light on dark."""
    page = np.zeros(SIZE_PX, np.uint8)
    for place, image in enumerate(draw_digits(np.array([*map(int, digits)], np.uint8), seed=3)):
        ink = image[np.ix_(image.any(1), image.any(0))]
        page[BOTTOM - 90 : BOTTOM, left + 100 * place :][:, :60] = cv2.resize(ink, (60, 90)) // 128 * INK
    return page


def underlined(page: NDArray[np.uint8], start: int, end: int, row: int, wide: int = 5, falls: int = 6) -> Picture:
    drawn = page.copy()
    cv2.line(drawn, (start, row), (end, row + falls), INK, wide)
    return as_picture(drawn)


def as_picture(page: NDArray[np.uint8]) -> Picture:
    return Picture(255 - page[..., None], page.shape[::-1], "a picture")


def images(picture: Picture) -> list[list[NDArray[np.uint8]]]:
    return [[glyph.image for glyph in row] for row in find_glyphs(picture)]


@pytest.mark.parametrize("row", [BOTTOM - 2, BOTTOM + 15])
@pytest.mark.parametrize("falls", [-2, 0, 6])
def test_a_number_may_be_underlined(row: int, falls: int) -> None:
    alone = images(as_picture(number("147")))
    found = images(underlined(number("147"), 40, 350, row, falls=falls))
    assert [len(digits) for digits in found] == [3]
    assert all(likeness(*pair) > 0.8 for pair in zip(*found, *alone, strict=True))


def test_a_comb_that_a_digit_touches_is_no_line_with_ones_on_it() -> None:
    page = number("147")
    for column in range(40, 361, 100):
        cv2.line(page, (column, BOTTOM - 30), (column, BOTTOM + 4), INK, 5)
    ink = find_ink(underlined(page, 40, 340, BOTTOM + 2, falls=0).pixels)
    assert ink is not None
    components = find_components(ink)
    assert without_underlines(ink, components) is components


def test_small_digits_that_touch_are_no_line_below_a_larger_one() -> None:
    page = number("3", left=180)
    for place, image in enumerate(draw_digits(np.array([*map(int, "52083926")], np.uint8), seed=3)):
        ink = image[np.ix_(image.any(1), image.any(0))]
        page[BOTTOM + 25 : BOTTOM + 65, 90 + 28 * place :][:, :32] |= cv2.resize(ink, (32, 40)) // 128 * INK
    ink = find_ink(as_picture(page).pixels)
    assert ink is not None
    components = find_components(ink)
    assert without_underlines(ink, components) is components


@pytest.mark.parametrize("digit", "1069")
def test_a_digit_may_be_underlined_without_touching(digit: str) -> None:
    page = number(digit, left=180)
    glyph, are_several = find_glyph(underlined(page, 165, 260, BOTTOM + 12))
    alone, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert alone is not None
    assert likeness(glyph.image, alone.image) > 0.95
    assert not are_several
    assert len(images(underlined(page, 165, 260, BOTTOM + 12))[0]) == 1


@pytest.mark.parametrize("digit", "1479")
@pytest.mark.parametrize("row", [BOTTOM + 5, BOTTOM + 12])
def test_two_lines_below_a_digit_are_none_of_it_however_short(digit: str, row: int) -> None:
    page = number(digit, left=180)
    for start, end, lower in ((178, 242, row), (184, 238, row + 12)):
        cv2.line(page, (start, lower), (end, lower + 2), INK, 5)
    glyph, _ = find_glyph(as_picture(page))
    alone, _ = find_glyph(as_picture(number(digit, left=180)))
    assert glyph is not None
    assert alone is not None
    assert likeness(glyph.image, alone.image) > 0.95


@pytest.mark.parametrize(("start", "end"), [(170, 285), (180, 260), (150, 240)])
def test_the_foot_of_a_digit_is_kept(start: int, end: int) -> None:
    glyph, _ = find_glyph(underlined(number("7", left=180), start, end, BOTTOM - 3))
    assert glyph is not None
    assert glyph.box[2] == pytest.approx(end - start + 5, abs=4)


@pytest.mark.parametrize("digit", "14079")
def test_a_line_that_is_much_longer_than_the_digit_on_it_is_none_of_it(digit: str) -> None:
    page = number(digit, left=180)
    glyph, _ = find_glyph(underlined(page, 130, 300, BOTTOM - 1))
    alone, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert alone is not None
    assert likeness(glyph.image, alone.image) > 0.7


def test_a_long_line_close_below_a_digit_is_no_foot() -> None:
    glyph, _ = find_glyph(underlined(number("7", left=180), 162, 262, BOTTOM + 5, falls=0))
    assert glyph is not None
    assert glyph.box[2] < 70


def test_a_foot_may_be_drawn_apart() -> None:
    glyph, _ = find_glyph(underlined(number("7", left=180), 172, 262, BOTTOM + 5, falls=0))
    assert glyph is not None
    assert glyph.box[2] > 90


@pytest.mark.parametrize("fours", [1, 2])
def test_the_bar_of_a_four_is_kept(fours: int) -> None:
    page = np.zeros(SIZE_PX, np.uint8)
    for left in range(100, 100 + 110 * fours, 110):
        for way in ([(60, 40), (0, 145), (112, 145)], [(80, 90), (80, 185)]):
            cv2.polylines(page, [np.array([(left + x, y) for x, y in way])], False, INK, 8)
    (glyphs,) = find_glyphs(as_picture(page))
    assert len(glyphs) == 1  # all that is connected
    assert glyphs[0].box[3] == pytest.approx(155, abs=4)


def test_a_bar_that_is_apart_stays_with_what_is_below_it() -> None:
    page = np.pad(number("1", left=180), ((0, 100), (0, 0)))
    cv2.line(page, (170, BOTTOM + 24), (248, BOTTOM + 24), INK, 8)
    cv2.line(page, (245, BOTTOM + 38), (195, BOTTOM + 130), INK, 8)
    _, (seven,) = find_glyphs(as_picture(page))
    assert seven.box[2] > 80


def test_a_bar_above_a_digit_is_kept() -> None:
    page = number("9", left=180)
    glyph, _ = find_glyph(underlined(page, 165, 260, BOTTOM - 98, falls=0))
    assert glyph is not None
    assert glyph.box[2] > 90
