"""Lines of paper are taken out, and strokes are left."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from mnistcli.planes import Plane
from mnistcli.rules import without_rules

SIZE_PX = 600, 400  # width and height
LINE, STROKE, FAINT = 100, 220, 40  # contrasts


def strokes() -> Image.Image:
    """Draw a 7, a 4 and a 1, with strokes of 12 pixels."""
    picture = Image.new("L", SIZE_PX)
    pen = ImageDraw.Draw(picture)
    for way in (
        [(100, 100), (180, 100), (130, 250)],
        [(240, 100), (215, 190), (300, 190)],
        [(280, 130), (270, 260)],
        [(360, 100), (350, 250)],
    ):
        pen.line(way, STROKE, 12, joint="curve")
    return picture


def ruled(
    slope: float, gap: int, across: bool, wide: int = 3, bend: float = 0, fan: float = 0, until: float = 1
) -> Image.Image:
    """Draw lines that fall by `slope`, by `fan` more from top to bottom, and rise by `bend` pixels halfway."""
    picture = Image.new("L", SIZE_PX)
    pen = ImageDraw.Draw(picture)
    width, height = SIZE_PX
    for first in range(-100, height + 100, gap):
        columns = range(0, int(until * width) + 1, 20)
        falls = slope + fan * first / height
        way = [(x, first + falls * x - bend * np.sin(np.pi * x / width)) for x in columns]
        pen.line(list(chain(*way)), LINE, wide)
    return ImageChops.lighter(picture, upright(slope, gap, wide)) if across else picture


def upright(slope: float, gap: int, wide: int = 3) -> Image.Image:
    """Draw the lines that cross those."""
    picture = Image.new("L", SIZE_PX)
    width, height = SIZE_PX
    for first in range(-100, width + 100, gap):
        ImageDraw.Draw(picture).line((first, 0, first - slope * height, height), LINE, wide)
    return picture


def together(*pictures: Image.Image) -> Plane:
    plane: Plane = np.max([np.asarray(picture, np.float32) for picture in pictures], axis=0)
    return plane


def wrong_share(cleared: Plane) -> float:
    """Give how many pixels are ink, or are none, that are not in the strokes alone, as a share of their ink."""
    ink = together(strokes()) > FAINT
    return np.count_nonzero((cleared > FAINT) ^ ink) / np.count_nonzero(ink)


@pytest.mark.parametrize("slope", [0, 0.03, -0.09, 0.15])
@pytest.mark.parametrize(("gap", "across"), [(60, False), (60, True), (24, True)])
def test_lines_of_any_slope_are_taken_out(slope: float, gap: int, *, across: bool) -> None:
    assert wrong_share(without_rules(together(strokes(), ruled(slope, gap, across)), FAINT)) < 0.08


def test_bent_lines_are_taken_out() -> None:
    assert wrong_share(without_rules(together(strokes(), ruled(0.02, 60, across=True, bend=8)), FAINT)) < 0.03


def test_lines_seen_from_aside_are_taken_out() -> None:
    assert wrong_share(without_rules(together(strokes(), ruled(-0.03, 60, across=False, fan=0.07)), FAINT)) < 0.03


def test_a_line_alone_is_taken_out() -> None:
    plane = np.zeros(SIZE_PX[::-1], np.float32)
    plane[200:204] = LINE
    assert not without_rules(plane, FAINT).any()


def test_soft_lines_are_taken_out() -> None:
    soft = ruled(0.02, 60, across=True, wide=3).filter(ImageFilter.GaussianBlur(1.5))
    assert wrong_share(without_rules(together(strokes(), soft), FAINT)) < 0.03


@pytest.mark.parametrize("wide", [6, 10, 11])
@pytest.mark.parametrize("falls", [0, 8, 20])
@pytest.mark.parametrize("top", [150, 255])
def test_a_thick_line_of_a_slope_in_between_is_taken_out(top: int, falls: int, wide: int) -> None:
    line = Image.new("L", SIZE_PX)
    ImageDraw.Draw(line).line((0, top, SIZE_PX[0] - 1, top + falls), LINE, wide)
    assert wrong_share(without_rules(together(strokes(), line), FAINT)) < 0.05


def test_lines_that_fade_away_are_taken_out() -> None:
    lines = ruled(0.02, 180, across=False), ruled(0.02, 60, across=False, until=0.7)  # every third goes on
    assert wrong_share(without_rules(together(strokes(), *lines), FAINT)) < 0.03


def within_margins(lines: Image.Image) -> Image.Image:
    """Leave a margin on all sides of lines."""
    kept = Image.new("L", SIZE_PX)
    kept.paste(lines.crop((40, 30, 540, 360)), (40, 30))
    return kept


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("slope", "gap"), [(0, 50), (0, 30), (0.02, 40)])
def test_lines_that_are_printed_with_margins_are_taken_out(slope: float, gap: int, *, across: bool) -> None:
    plane = together(strokes(), within_margins(ruled(slope, gap, across)))
    assert wrong_share(without_rules(plane, FAINT)) < 0.03


def page_of_text(rows: Sequence[int], height: int, size: int, words: int) -> Image.Image:
    """Draw a page 1,000 pixels wide that has a line of so many words, with margins, at each of these rows."""
    page, rng = Image.new("L", (1000, height)), np.random.default_rng(0)
    known, font = ["number", "of", "persons", "address", "and", "total", "amount"], ImageFont.load_default(size)
    for row in rows:
        text = " ".join(known[word] for word in rng.integers(len(known), size=words))
        ImageDraw.Draw(page).text((50, row), text, LINE, font)
    return page


def test_a_box_among_a_few_lines_of_text_is_no_part_of_printed_lines() -> None:
    form = page_of_text([40, 82, 124, 166, 208, 250, 292, 400, 560, 600, 640], height=700, size=24, words=6)
    pen = ImageDraw.Draw(form)
    pen.rectangle((680, 370, 800, 490), outline=STROKE, width=6)
    pen.line([(710, 400), (770, 400), (730, 470)], STROKE, 8)
    plane = together(form)
    assert without_rules(plane, FAINT) is plane


@pytest.mark.parametrize(("posts", "is_form"), [(1, False), (2, True)])
def test_printed_lines_with_posts_between_them_are_a_form_and_kept(posts: int, *, is_form: bool) -> None:
    form = Image.new("L", SIZE_PX)
    for top in range(50, 351, 50):
        ImageDraw.Draw(form).line((60, top, 540, top), LINE, 3)
    for left in range(200, 200 + 100 * posts, 100):
        ImageDraw.Draw(form).line((left, 150, left, 200), LINE, 3)
    plane = together(form)
    assert (without_rules(plane, FAINT) is plane) == is_form


def test_a_page_of_text_is_taken_out_like_lines() -> None:
    text = together(page_of_text(range(250, 1250, 45), height=1300, size=22, words=11))
    digit = np.zeros_like(text)
    digit[50:200, 500:520] = STROKE
    cleared = without_rules(text + digit, FAINT)
    assert (cleared[:220] == digit[:220]).all()
    assert np.count_nonzero(cleared[220:]) < 0.5 * np.count_nonzero(text)


def test_as_many_level_strokes_as_a_digit_has_are_no_printed_lines() -> None:
    plane = np.zeros(SIZE_PX[::-1], np.float32)
    for row in (30, 140, 250, 360):
        plane[row : row + 5, 100:500] = STROKE
    assert without_rules(plane, FAINT) is plane


def test_one_line_that_ends_within_the_picture_is_a_stroke() -> None:
    plane = together(strokes())
    plane[300:303, :400] = plane[300:303, 590:] = LINE
    assert without_rules(plane, FAINT) is plane


def test_a_stroke_along_a_line_is_kept_where_it_is_darker() -> None:
    plane, line = together(ruled(0, 60, across=False)), slice(139, 142)
    assert plane[line, 50].max() == LINE
    plane[line, 200:300] = STROKE
    cleared = without_rules(plane, FAINT)
    assert (cleared[line, 200:300] == STROKE).all()
    assert not cleared[:, :195].any()
    assert not cleared[:, 305:].any()


def test_a_short_stroke_across_a_line_is_kept() -> None:
    plane = together(ruled(0, 60, across=False))
    plane[132:150, 200:204] = LINE
    cleared = without_rules(plane, FAINT)
    assert (cleared[132:150, 200:204] == LINE).all()
    assert np.count_nonzero(cleared) == 18 * 4


@pytest.mark.parametrize(("slope", "gap", "wide"), [(0, 40, 3), (0.05, 40, 3), (0.05, 60, 6)])
def test_no_dots_are_left_where_lines_cross(slope: float, gap: int, wide: int) -> None:
    plane = together(ruled(slope, gap, across=False, wide=wide)) + together(upright(slope, gap, wide))
    assert np.count_nonzero(plane == 2 * LINE) > 500
    assert not (without_rules(plane, FAINT)[:, 3:-3] > FAINT).any()  # a line may cut a corner off


def test_a_level_stroke_between_lines_as_dark_as_it_is_kept() -> None:
    plane = together(ruled(0, 50, across=False, wide=4))
    stroke = slice(123, 129), slice(100, 170)  # 17 pixels from the next line
    assert not plane[stroke].any()
    plane[stroke] = LINE
    cleared = without_rules(plane, FAINT)
    assert (cleared[stroke] == LINE).all()
    assert np.count_nonzero(cleared) == 6 * 70


def tight(*ways: Sequence[tuple[int, int]], wide: int = 3) -> Image.Image:
    """Draw a digit in a picture of its own size, of 180 x 250 pixels or wider."""
    picture = Image.new("L", (max(x for way in ways for x, _ in way) + 1, 250))
    for way in ways:
        ImageDraw.Draw(picture).line(list(way), STROKE, wide)
    return picture


SEVEN = [(0, 1), (178, 4), (60, 249)]
FOUR = [(115, 40), (100, 140), (240, 140)], [(205, 0), (200, 249)], [(399, 0)]
NINE = [(175, 30), (100, 0), (0, 70), (60, 130), (178, 30), (120, 249)]


@pytest.mark.parametrize("digit", [tight(SEVEN), tight(*FOUR)])
def test_a_thin_digit_that_was_cut_out_tightly_is_kept(digit: Image.Image) -> None:
    plane = together(digit)
    assert without_rules(plane, FAINT) is plane


@pytest.mark.parametrize(("wide", "level"), [(12, STROKE), (3, LINE)])
def test_a_line_that_is_thinner_or_fainter_than_a_tight_digit_is_taken_out(wide: int, level: int) -> None:
    digit = tight(NINE, wide=wide)
    line = Image.new("L", digit.size)
    ImageDraw.Draw(line).line((0, 180, 179, 180), level, 3)
    cleared = without_rules(together(digit, line), FAINT)
    assert np.count_nonzero((cleared > FAINT) ^ (np.asarray(digit) > FAINT)) < 40


def test_the_strokes_of_a_row_that_was_cut_out_tightly_are_kept() -> None:
    plane = np.zeros((110, 600), np.float32)
    for left in range(30, 600, 60):
        plane[:, left : left + 6] = STROKE
    assert without_rules(plane, FAINT) is plane


def test_a_line_is_found_beyond_a_row_of_digits_that_hides_it() -> None:
    plane = np.zeros(SIZE_PX[::-1], np.float32)
    plane[100:200, 60:520:40] = STROKE
    alone = plane.copy()
    plane[148:151] = np.maximum(plane[148:151], LINE)
    assert (without_rules(plane, FAINT) == alone).all()


def test_a_thick_bar_from_side_to_side_is_no_line() -> None:
    plane = np.zeros(SIZE_PX[::-1], np.float32)
    plane[100:120] = STROKE
    assert without_rules(plane, FAINT) is plane


def test_small_digits_in_rows_are_kept_though_their_strokes_line_up() -> None:
    squared, ones = ruled(0, 20, across=True, wide=1), Image.new("L", SIZE_PX)
    for left in range(44, 560, 30):
        for top in range(40, 240, 40):
            ImageDraw.Draw(ones).line((left, top, left - 3, top + 23), STROKE, 2)
    cleared = without_rules(together(squared.point(lambda level: level // 2), ones), FAINT)
    assert np.mean(cleared[together(ones) > 0] == STROKE) > 0.95


def test_a_small_picture_has_no_lines() -> None:
    plane = np.zeros((90, 300), np.float32)
    plane[::20] = LINE
    assert without_rules(plane, FAINT) is plane
