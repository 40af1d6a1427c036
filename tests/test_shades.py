"""Strokes are told from the shades that they were taken for ink with."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import as_picture, draw_ink, find_glyph, find_glyphs, likeness
from mnistcli.images import Picture

HEIGHT, WIDTH, STEP_PX = 560, 640, 150


def cover(*placed: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """Give how much of each place is inked, (560, 640), 0..1, by digits: each with its left, top and height."""
    page = np.zeros((HEIGHT, WIDTH))
    for digit, left, top, height in placed:
        ink = draw_ink(digit, height)
        page[top : top + height, left : left + ink.shape[1]] = ink / 255
    return page


@pytest.mark.parametrize("height", [60, 100, 120])
@pytest.mark.parametrize("left", [240, 270])
def test_a_digit_half_in_a_band_of_shadow_is_whole(height: int, left: int) -> None:
    drawn = 255 * (1 - cover((6, 300, 200, height)))
    alone, _ = find_glyph(as_picture(drawn.astype(np.uint8)))
    light = cv2.line(np.ones(drawn.shape), (left + 60, -100), (left + 100, 800), 0.65, 100)
    shaded = drawn * cv2.GaussianBlur(light, (0, 0), 6) - np.random.default_rng(0).normal(15, 2, drawn.shape)
    found, _ = find_glyph(as_picture(shaded.clip(0, 255).astype(np.uint8)))
    assert alone is not None
    assert found is not None
    assert likeness(found.image, alone.image) > 0.6


@pytest.mark.parametrize("marked", [0, 1, 2])
@pytest.mark.parametrize("colour", [(1.0, 0.95, 0.5), (0.7, 1.0, 0.7), (1.0, 0.75, 0.85)])
def test_numbers_of_which_one_is_marked_are_read_as_without_the_mark(
    colour: tuple[float, float, float], marked: int
) -> None:
    rows = ("352", "694", "827")
    ink = cover(
        *(
            (int(digit), 90 + STEP_PX * column, 60 + STEP_PX * row, 90)
            for row, digits in enumerate(rows)
            for column, digit in enumerate(digits)
        )
    )
    paper = np.full((HEIGHT, WIDTH, 3), 235.0)
    plain, stripe = paper.copy(), paper
    stripe[45 + STEP_PX * marked :][:120, 60:480] *= colour
    pictures = [(page * (1 - 0.85 * ink[..., None])).astype(np.uint8) for page in (stripe, plain)]
    found, alone = (
        [glyph.box for row in find_glyphs(Picture(pixels, (WIDTH, HEIGHT), "a page")) for glyph in row]
        for pixels in pictures
    )
    assert len(alone) == 9
    assert found == [pytest.approx(box, abs=2) for box in alone]


def test_a_ring_around_a_lighter_disc_is_no_digit_on_a_mark() -> None:
    sign = np.full((HEIGHT, WIDTH, 3), (172.0, 163.0, 150.0))
    for radius, colour in ((220, (200, 20, 35)), (170, (235, 235, 235))):
        cv2.circle(sign, (320, 280), radius, colour, -1, cv2.LINE_AA)
    sign = sign * (1 - cover((7, 270, 200, 160))[..., None]) + np.random.default_rng(0).normal(0, 6, sign.shape)
    blurred = cv2.GaussianBlur(sign, (0, 0), 1).clip(0, 255).astype(np.uint8)
    glyph, _ = find_glyph(Picture(blurred, (WIDTH, HEIGHT), "a traffic sign"))
    assert glyph is not None
    assert glyph.box == pytest.approx((270, 200, 100, 160), abs=4)
