"""All digits of a picture, in reading order."""

import io
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from conftest import draw_ink, draw_sample, find_glyph, find_glyphs, likeness, save
from mnistcli import inked
from mnistcli.glyphs import Grey
from mnistcli.images import Picture, read_picture
from mnistcli.ink import Ink, find_ink
from mnistcli.layout import FindDigits, find_digits
from mnistcli.single import find_digit
from mnistcli.spots import MOST_COMPONENTS

STEP_PX = 130  # from one digit's left side to the next one's


def page(*placed: tuple[Grey, int, int], size: tuple[int, int] = (700, 800)) -> Grey:
    """Put ink on white paper of (height, width), each piece at its left and top."""
    ink = np.zeros(size, np.uint8)
    for piece, left, top in placed:
        window = ink[top : top + piece.shape[0], left : left + piece.shape[1]]
        np.maximum(window, piece, out=window)
    return 255 - ink


def line(digits: str, top: int = 100, fall: int = 0) -> list[tuple[Grey, int, int]]:
    """Place digits side by side, each `fall` pixels lower than the one before it."""
    return [(draw_ink(int(digit)), 60 + STEP_PX * place, top + fall * place) for place, digit in enumerate(digits)]


def as_picture(pixels: Grey) -> Picture:
    return read_picture(save(pixels), "a picture")


@cache
def seen_alone(digit: int) -> Grey:
    """Give what is seen of a digit drawn alone."""
    glyph, _ = find_glyph(as_picture(page((draw_ink(digit), 300, 300))))
    assert glyph is not None
    return glyph.image


def nearest(image: Grey) -> str:
    """Read a glyph by comparing it with each digit drawn alone."""
    return str(int(np.argmax([likeness(image, seen_alone(digit)) for digit in range(10)])))


def read(pixels: Grey) -> list[str]:
    return ["".join(nearest(glyph.image) for glyph in row) for row in find_glyphs(as_picture(pixels))]


def test_a_row_is_read_from_left_to_right() -> None:
    assert read(page(*line("40235"))) == ["40235"]


@pytest.mark.parametrize(("height", "is_whole"), [(600, False), (60, True)])
def test_a_digit_of_a_drawing_is_drawn_from_the_whole_where_it_is_small(height: int, is_whole: bool) -> None:
    digit = draw_ink(8, height)
    alone = as_picture(page((digit, 20, 20), size=(height + 40, height + 40)))
    afar = as_picture(page((digit, 60, 80)))
    (near, _), (found, _) = find_glyph(alone), find_glyph(afar)
    assert near is not None
    assert found is not None
    shifts = [np.roll(found.image, rows, 0) for rows in (-1, 0, 1)]  # the centre of mass may move by a pixel
    assert max(np.corrcoef(near.image.ravel(), shifted.ravel())[0, 1] for shifted in shifts) > 0.95
    assert (find_glyphs(afar)[0][0].image == found.image).all() == is_whole
    assert found.box == pytest.approx((60, 80, digit.shape[1], height), abs=0.02 * height)


@pytest.mark.parametrize("height", [130, 200])  # lower, lines that it touches are a dash with it; higher, not quite
@pytest.mark.parametrize("digit", [3, 9])
def test_a_digit_of_a_drawing_on_lined_paper_is_drawn_from_the_whole(digit: int, height: int) -> None:
    drawn = page((draw_ink(digit, height), 250, 60), size=(1000, 680))
    lined = drawn.copy()
    for row in range(50, 1000, 113):
        lined[row : row + 4] = np.minimum(lined[row : row + 4], 80)
    (alone, _), (found, _) = find_glyph(as_picture(drawn)), find_glyph(as_picture(lined))
    assert alone is not None
    assert found is not None
    assert likeness(found.image, alone.image) > 0.9


def test_boxes_are_in_the_pictures_own_pixels() -> None:
    large = np.full((2000, 3000), 255, np.uint8)
    large[400:1000, 600:700] = large[400:1000, 1500:1600] = 0
    boxes = [glyph.box for row in find_glyphs(as_picture(large)) for glyph in row]
    assert boxes == [pytest.approx((600, 400, 100, 600), abs=6), pytest.approx((1500, 400, 100, 600), abs=6)]


def test_two_rows_are_read_from_top_to_bottom() -> None:
    assert read(page(*line("62", top=380), *line("4825", top=100))) == ["4825", "62"]


def test_a_column_is_rows_of_one() -> None:
    placed = ((draw_ink(digit), 300 + 5 * digit, 40 + 160 * place) for place, digit in enumerate((3, 5, 2)))
    assert read(page(*placed)) == ["3", "5", "2"]


@pytest.mark.parametrize("fall", [-15, 15])
def test_rows_may_rise_or_fall(fall: int) -> None:
    assert read(page(*line("4023", top=120, fall=fall), *line("5284", top=350, fall=fall))) == ["4023", "5284"]


@pytest.mark.parametrize("fall", [0, 40])
def test_rows_on_fine_squares_are_read(fall: int) -> None:
    height, width = (700, 800)
    paper = Image.fromarray(page(*line("40235")))
    for first in range(12 - height, width + height, 25):
        ImageDraw.Draw(paper).line((0, first, width, first + fall), 140, 2)
        ImageDraw.Draw(paper).line((first, 0, first - fall, height), 140, 2)
    squared = np.minimum(np.asarray(paper), page(*line("40235")))
    assert read(squared) == ["40235"]


def concentric(number: int, digit: int, side: int = 700) -> Grey:
    """Draw squares around a digit, one inside the other."""
    drawn = page((draw_ink(digit), side // 2 - 38, side // 2 - 60), size=(side, side))
    for corner in range(20, 20 + 12 * number, 12):
        cv2.rectangle(drawn, (corner, corner), (side - corner, side - corner), 0, 3)
    return drawn


@pytest.mark.parametrize("find", [find_digit, find_digits])
def test_only_so_many_concentric_figures_are_looked_into(find: FindDigits, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Ink | None] = []

    def counted(*arguments: Any, **keywords: Any) -> Ink | None:
        looks.append(find_ink(*arguments, **keywords))
        return looks[-1]

    monkeypatch.setattr(inked, "find_ink", counted)
    numbers = []
    for squares in (9, 14, 18):
        before = len(looks)
        ((run,),) = find(as_picture(concentric(squares, 5)), "auto").rows
        numbers.append(len(looks) - before)
        assert nearest(run.whole.image) == "5"
    fewest, *more = numbers
    assert max(more) <= fewest


def faded(digit: int, share: float) -> Grey:
    return (draw_ink(digit) * share).astype(np.uint8)


def test_a_row_may_be_written_much_fainter_than_another() -> None:
    pencil = [(faded(digit, 0.3), 60 + STEP_PX * place, 320) for place, digit in enumerate((6, 2, 8))]
    assert read(page(*line("4825"), *pencil)) == ["4825", "628"]


def test_what_shines_through_or_is_no_stroke_is_no_fainter_digit() -> None:
    assert read(page(*line("4825"), (faded(3, 0.15), 190, 320))) == ["4825"]
    assert read(page(*line("4825"), (np.full((110, 80), 80, np.uint8), 190, 320))) == ["4825"]


@pytest.mark.parametrize("digit", [3, 8])
def test_a_fainter_digit_in_a_row_is_drawn_as_bold_as_alone(digit: int) -> None:
    (row,) = find_glyphs(as_picture(page(*line("402"), (faded(digit, 0.3), 60 + 3 * STEP_PX, 100))))
    assert likeness(row[-1].image, seen_alone(digit)) > 0.97


def test_a_faint_ring_around_a_digit_is_no_fainter_digit() -> None:
    ringed = page(*line("4825"))
    cv2.ellipse(ringed, (60 + STEP_PX + 37, 160), (55, 85), 0, 0, 360, 255 - 80, 5)
    assert read(ringed) == ["4825"]


def test_digits_may_differ_in_height() -> None:
    assert read(page((draw_ink(4, 150), 60, 60), (draw_ink(0, 80), 220, 120), (draw_ink(2, 120), 350, 80))) == ["402"]


def test_specks_the_rim_and_bars_are_no_digits() -> None:
    picture = page(*line("352"))
    picture[10:14, 500:504] = picture[400:406, 200:206] = 0  # specks
    picture[205:218, 165:178] = 0  # a full stop
    picture[-30:] = 0  # the table's edge
    picture[100:220, -25:] = 0  # a neighbour that was cut off
    picture[600:606, 200:600] = 0  # a bar
    assert read(picture) == ["352"]


@pytest.mark.parametrize(("size", "is_digit"), [(60, False), (110, True)])
def test_round_blots_are_no_digits_where_they_are_lower(size: int, *, is_digit: bool) -> None:
    picture = Image.fromarray(page(*line("352")))
    ImageDraw.Draw(picture).ellipse((500, 120, 500 + size, 120 + size), 0)
    ImageDraw.Draw(picture).ellipse((20, 500, 20 + size, 500 + size), 0)
    assert [len(row) for row in find_glyphs(as_picture(np.asarray(picture)))] == ([4, 1] if is_digit else [3])


def with_pen(drawn: Grey, pen_px: int) -> Grey:
    """Lay a pen of that width below what was written, from corner to corner."""
    picture = Image.fromarray(drawn)
    ImageDraw.Draw(picture).line((60, 660, 740, 420), fill=60, width=pen_px)
    return np.asarray(picture)


def test_a_pen_beside_what_it_wrote_is_no_digit() -> None:
    drawn = page(*line("40235"))
    assert read(with_pen(drawn, 40)) == ["40235"]
    alone, _ = find_glyph(as_picture(page(*line("3", top=200))))
    beside, _ = find_glyph(as_picture(with_pen(page(*line("3", top=200)), 40)))
    assert alone is not None
    assert beside is not None
    assert beside.box == alone.box


def test_a_stroke_among_dirt_is_no_pen() -> None:
    dirty = with_pen(page(), 40).copy()
    dirty[100:104, 100:220] = 60
    assert find_glyphs(as_picture(dirty))[-1][-1].box[2] > 600


@pytest.mark.parametrize("other", [(105, 135, 115, 145), (40, 52, 66, 60)])
def test_a_bold_one_beside_a_dot_or_its_flag_is_no_pen(other: tuple[int, int, int, int]) -> None:
    picture = Image.new("L", (160, 200), 255)
    ImageDraw.Draw(picture).line((90, 40, 75, 140), 0, 16)
    ImageDraw.Draw(picture).ellipse(other, 0)
    glyph, _ = find_glyph(as_picture(np.asarray(picture)))
    assert glyph is not None
    assert glyph.box[3] > 95


def test_a_one_on_a_printed_page_is_no_pen() -> None:
    picture = Image.new("L", (800, 600), 255)
    for row in range(3):
        ImageDraw.Draw(picture).text((40, 40 + 30 * row), "name of the street", 0, ImageFont.load_default(20))
    ImageDraw.Draw(picture).line((600, 400, 590, 470), 0, 10)
    glyph, _ = find_glyph(as_picture(np.asarray(picture)))
    assert glyph is not None
    assert glyph.height > 60


def test_a_bold_digit_among_specks_is_no_stamp() -> None:
    picture = Image.new("L", (120, 140), 255)
    ImageDraw.Draw(picture).rounded_rectangle((40, 40, 75, 95), 8, 0)
    ImageDraw.Draw(picture).rectangle((56, 60, 58, 75), 255)
    for left in (10, 50, 100):
        ImageDraw.Draw(picture).rectangle((left, 10, left + 2, 12), 0)
    ((glyph,),) = find_glyphs(as_picture(np.asarray(picture)))
    assert glyph.box[3] > 50


def test_a_stamp_hides_no_digits() -> None:
    drawn = page(*line("1811"))
    drawn[300:640, 420:760] = 60
    assert read(drawn) == ["1811"]


@pytest.mark.parametrize(("px", "is_digit"), [(180, True), (320, False)])
def test_a_digit_beside_a_stamp_is_the_digit_where_it_is_no_dirt(px: int, *, is_digit: bool) -> None:
    drawn = page((draw_ink(5), 300, 500))
    alone, _ = find_glyph(as_picture(drawn))
    drawn[60 : 60 + px, 460 : 460 + px * 9 // 10] = 60
    found, _ = find_glyph(as_picture(drawn))
    assert alone is not None
    assert found is not None
    assert found.is_no_digit != is_digit
    assert (found.box == alone.box) == is_digit


def test_small_writing_on_punched_paper_is_the_digit() -> None:
    drawn = page((draw_ink(5, height=48), 400, 300), size=(1200, 800))
    alone, _ = find_glyph(as_picture(drawn))
    picture = Image.fromarray(drawn)
    for top in (200, 600, 1000):
        ImageDraw.Draw(picture).ellipse((30, top, 70, top + 40), 0)
    found, _ = find_glyph(as_picture(np.asarray(picture)))
    assert alone is not None
    assert found is not None
    assert found.box == alone.box


def test_a_digit_below_a_heading_whose_letters_touch_is_the_digit() -> None:
    drawn = page((draw_ink(5, height=80), 360, 400))
    alone, _ = find_glyph(as_picture(drawn))
    zigzag = [(60 + 20 * corner, 60 + 50 * (corner % 2)) for corner in range(16)]
    picture = Image.fromarray(drawn)
    ImageDraw.Draw(picture).line(zigzag, 0, 8)
    found, _ = find_glyph(as_picture(np.asarray(picture)))
    assert alone is not None
    assert found is not None
    assert found.box == alone.box


def test_parts_that_do_not_touch_are_one_digit() -> None:
    picture = page(*line("252"))
    picture[122:128] = 255  # cuts the bars and bows from what is below them
    assert read(picture) == ["252"]


def test_a_digit_on_grainy_paper_is_not_one_of_several() -> None:
    ink = 255 - page((draw_ink(5, height=300), 300, 200)).astype(np.float32)
    grainy = np.random.default_rng(1).normal(180, 18, ink.shape) - ink / 4
    glyph, are_several = find_glyph(as_picture(grainy.clip(0, 255).astype(np.uint8)))
    assert glyph is not None
    assert glyph.box[3] > 290
    assert not are_several


@pytest.mark.parametrize("other", [(40, 40, 720, 8), (250, 600, 250, 70), (40, 60, 720, 30)])
def test_a_line_or_a_button_is_not_the_digit(other: tuple[int, int, int, int]) -> None:
    left, top, width, height = other
    drawn = page((draw_ink(5), 360, 250))
    alone, _ = find_glyph(as_picture(drawn))
    drawn[top : top + height, left : left + width] = 90
    found, are_several = find_glyph(as_picture(drawn))
    assert alone is not None
    assert found is not None
    assert found.box == alone.box
    assert not are_several
    assert [[glyph.box for glyph in row] for row in find_glyphs(as_picture(drawn))] == [[alone.box]]


def test_pieces_of_a_broken_stroke_are_one_digit_as_on_a_display_of_segments() -> None:
    picture = Image.new("L", (300, 400), 255)
    for left, top, right, bottom in [
        (115, 93, 185, 106),
        (115, 309, 185, 322),
        (93, 115, 106, 202),
        (93, 213, 106, 300),
        (193, 115, 206, 202),
        (193, 213, 206, 300),
    ]:
        ImageDraw.Draw(picture).rectangle((left, top, right, bottom), 0)
    glyph, _ = find_glyph(as_picture(np.asarray(picture)))
    assert glyph is not None
    assert glyph.box == pytest.approx((93, 93, 114, 230), abs=4)


def test_a_dash_leads_from_no_digit_to_another() -> None:
    drawn = page((draw_ink(5), 200, 100), (draw_ink(3), 360, 100))
    alone, _ = find_glyph(as_picture(drawn))
    assert alone is not None
    drawn[155:165, 285:350] = 0
    found, _ = find_glyph(as_picture(drawn))
    assert found is not None
    assert found.width < 2.5 * alone.width


def test_a_long_line_close_above_a_digit_is_no_part_of_it() -> None:
    drawn = page((draw_ink(5), 360, 250))
    alone, _ = find_glyph(as_picture(drawn))
    drawn[236:242, 200:700] = 0
    found, _ = find_glyph(as_picture(drawn))
    assert alone is not None
    assert found is not None
    assert found.box == alone.box


def test_a_texture_is_no_number_without_end() -> None:
    dots = np.full((800, 800), 255, np.uint8)
    dots[4::8, 4::8] = dots[5::8, 4::8] = dots[4::8, 5::8] = dots[5::8, 5::8] = 0
    assert 0 < sum(map(len, find_glyphs(as_picture(dots)))) <= MOST_COMPONENTS


def small_ones(rows: int) -> Picture:
    """Draw so many rows of 50 sevens, each 12 pixels high."""
    small = np.pad(255 - page((draw_ink(7, 12), 0, 0), size=(12, 8)), 4)
    return as_picture(255 - np.pad(np.tile(small, (rows, 50)), 20))


@pytest.mark.parametrize(("rows", "has_more"), [(25, False), (51, True)])
def test_more_digits_than_a_texture_are_found_or_it_is_told(rows: int, *, has_more: bool) -> None:
    found = find_digits(small_ones(rows))
    assert found.has_more == has_more
    assert sum(map(len, found.rows)) == (MOST_COMPONENTS if has_more else 50 * rows)


def test_a_row_that_was_cut_out_tightly_keeps_the_digits_at_the_rim() -> None:
    picture = page(*line("4025"))
    rows, columns = np.nonzero(picture < 128)
    assert read(picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]) == ["4025"]


def test_a_picture_of_one_digit_shows_what_it_shows_alone() -> None:
    picture = as_picture(page((draw_ink(6), 300, 200)))
    glyph, _ = find_glyph(picture)
    assert glyph is not None
    [[found]] = find_glyphs(picture)
    assert np.array_equal(found.image, glyph.image)
    assert found.box == glyph.box


def test_the_edge_of_a_table_is_not_the_digit() -> None:
    picture = page((draw_ink(2), 300, 300))
    before, _ = find_glyph(as_picture(picture))
    picture[:, :60] = 0
    after, _ = find_glyph(as_picture(picture))
    assert before is not None
    assert after is not None
    assert after.box == pytest.approx(before.box, abs=2)


def test_a_sample_of_the_data_sets_own_making_passes_bit_for_bit() -> None:
    sample = draw_sample(7)
    [[found]] = find_glyphs(as_picture(sample))
    assert np.array_equal(found.image, sample)
    assert not find_glyph(as_picture(sample))[1]


def test_the_box_of_a_sample_is_in_the_pixels_that_the_picture_had() -> None:
    sample = draw_sample(7)
    [[found]] = find_glyphs(Picture(sample[..., None], (112, 112), "a shrunk picture"))
    assert found.box == (0, 0, 112, 112)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_blank_picture_shows_nothing(level: int) -> None:
    blank = as_picture(np.full((200, 300), level, np.uint8))
    assert find_glyphs(blank) == []
    assert not find_glyph(blank)[1]


@pytest.mark.parametrize("level", [200, 250, 255, 262])
@pytest.mark.parametrize("grain", [3, 8])
def test_grainy_paper_shows_nothing_whether_or_not_it_is_clipped_at_white(level: int, grain: int) -> None:
    noise = np.random.default_rng(level).normal(0, grain, (400, 500))
    for quality in (60, 95):
        file = io.BytesIO()
        Image.fromarray((level + noise).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
        blank = read_picture(file, "blank paper")
        assert find_glyphs(blank) == []
        assert find_glyph(blank)[0] is None


@pytest.mark.parametrize("grain", [0, 3, 6])
def test_a_faint_digit_on_paper_that_is_clipped_at_white_is_read(grain: int) -> None:
    faint = 255 - (255 - page(*line("352"))) * 0.16
    noise = np.random.default_rng(grain).normal(0, grain, faint.shape)
    assert read((faint + noise).clip(0, 255).astype(np.uint8)) == ["352"]


def test_a_small_faint_digit_is_no_grain() -> None:
    digit = 240 - np.asarray(Image.fromarray(draw_ink(3)).resize((15, 22))) * 0.06
    small = np.pad(digit, ((5, 6), (8, 9)), constant_values=240).astype(np.uint8)
    assert [len(row) for row in find_glyphs(as_picture(small))] == [1]


def test_light_ink_is_found_only_where_it_is_asked_for() -> None:
    picture = as_picture(255 - page(*line("402")))
    assert [len(row) for row in find_glyphs(picture, "no")] == [3]
    assert [len(row) for row in find_glyphs(picture, "yes")] != [3]


@pytest.mark.parametrize("digit", range(10))
def test_one_digit_does_not_look_like_several(digit: int) -> None:
    picture = page((draw_ink(digit), 300, 200))
    picture[10:14, 500:504] = 0
    assert not find_glyph(as_picture(picture))[1]


@pytest.mark.parametrize("height", [120, 240])  # as high as the others of its row, or twice as high
def test_a_digit_half_as_wide_as_high_is_not_cut(height: int) -> None:
    narrow = np.asarray(Image.fromarray(draw_ink(5, height)).resize((height // 2, height)))
    (row,) = find_digits(as_picture(page(*line("40"), (narrow, 60 + 2 * STEP_PX, 100)))).rows
    assert len(row) == 3
    assert len(row[-1].pieces) == 1


def test_what_is_far_longer_than_a_digit_is_not_cut() -> None:
    picture = np.full((300, 1000), 255, np.uint8)
    for column in range(50, 950):
        top = 140 + round(15 * np.sin(column / 10))
        picture[top : top + 12, column] = 0
    ((run,),) = find_digit(as_picture(picture)).rows
    assert len(run.pieces) == 1


def test_a_run_of_many_digits_that_touch_is_no_bar() -> None:
    digits = [(draw_ink(int(digit)), 60 + 73 * place, 100) for place, digit in enumerate("68035892")]
    ((run,),) = find_digits(as_picture(page(*digits))).rows
    assert run.whole.box == pytest.approx((60, 100, 73 * 7 + 75, 120), abs=6)
    for _, left, _ in digits:
        assert any(glyph.box[::2] == pytest.approx((left, 75), abs=12) for glyph in run.pieces.values())


@pytest.mark.parametrize("count", [5, 6, 7, 8, 10, 15])
def test_many_small_digits_that_touch_are_no_dash(count: int) -> None:
    small = [(draw_ink(int(digit), 72), 60 + 43 * place, 400) for place, digit in enumerate(("68035892" * 2)[:count])]
    first, (run,) = find_digits(as_picture(page(*line("17"), *small))).rows
    assert len(first) == 2
    assert run.whole.box == pytest.approx((60, 400, 43 * (count - 1) + 45, 72), abs=6)
    assert len(run.pieces) > count


@pytest.mark.parametrize("rise", [0, 20, 30, 45])
def test_a_minus_sign_is_left_out_however_aslant(rise: int) -> None:
    picture = Image.fromarray(page(*line("17", top=300)))
    ImageDraw.Draw(picture).line([(400, 400), (550, 400 - rise)], "black", 14)
    assert [len(row) for row in find_digits(as_picture(np.asarray(picture))).rows] == [2]


@pytest.mark.parametrize(("top", "is_comma"), [(385, True), (300, False), (400, True)])
def test_a_stroke_half_as_high_is_a_comma_only_below_the_middle_of_what_is_beside_it(top: int, is_comma: bool) -> None:
    picture = Image.fromarray(page(*line("32", top=300)))
    ImageDraw.Draw(picture).line([(170, top), (155, top + 50)], "black", 14)
    assert len(find_digits(as_picture(np.asarray(picture))).rows[0]) == (2 if is_comma else 3)


@pytest.mark.parametrize("length", [36, 52])
def test_a_comma_may_be_bent(length: int) -> None:
    picture = Image.fromarray(page(*line("32", top=300)))
    bend = [(168, 390), (172, 390 + length // 2), (158, 390 + length)]
    ImageDraw.Draw(picture).line(bend, "black", 12, joint="curve")
    assert read(np.asarray(picture)) == ["32"]


def test_a_forms_faint_ticks_are_no_digits() -> None:
    ticks = [(np.full((100, 6), 90, np.uint8), 155 + STEP_PX * place, 110) for place in range(3)]
    assert read(page(*line("4825"), *ticks)) == ["4825"]


@pytest.mark.parametrize(("height", "are_several"), [(120, True), (100, True), (75, False)])
def test_two_digits_side_by_side_look_like_several_where_they_are_about_as_high(
    height: int, *, are_several: bool
) -> None:
    assert find_glyph(as_picture(page(*line("1"), (draw_ink(7, height), 190, 100))))[1] == are_several


@pytest.mark.parametrize(("columns", "is_pattern"), [(10, False), (13, True)])
def test_one_of_a_pattern_is_no_digit(columns: int, is_pattern: bool) -> None:
    bar = np.full((60, 8), 255, np.uint8)
    bars = [(bar, 60 + 45 * column, 100 + 120 * row) for column in range(columns) for row in range(2)]
    ((run,),), are_several, _ = find_digit(as_picture(page(*bars, size=(500, 700))))
    assert are_several
    assert run.whole.is_no_digit == is_pattern
