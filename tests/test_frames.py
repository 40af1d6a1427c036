"""Frames and rings around some of a picture's digits: they are taken off, and digits that look like them are not."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from conftest import as_picture, draw_digit, find_glyph, find_glyphs, likeness
from mnistcli import frames
from mnistcli.images import Glyph
from mnistcli.rules import without_rules

DIGIT_PX, CELL_PX = 100, 130
PAPER, INK = 225, 30


def number(digits: Sequence[int], digit_px: int = DIGIT_PX) -> np.ndarray:
    """Draw digits in a row, dark on light, each in a cell of its own: (290, 130 a digit + 160) uint8."""
    page = np.zeros((CELL_PX + 160, CELL_PX * len(digits) + 160), np.uint8)
    before, after = CELL_PX // 2 - digit_px // 2, CELL_PX // 2 + digit_px // 2
    for place, digit in enumerate(digits):
        ink = draw_digit(digit, seed=digit)
        big = np.asarray(ink.resize((digit_px, digit_px), Image.Resampling.BICUBIC))
        left = 80 + CELL_PX * place
        page[80 + before : 80 + after, left + before : left + after] = big
    return np.where(page > 127, INK, PAPER).astype(np.uint8)


def boxed(page: np.ndarray, cells: Sequence[int], thickness: int = 3, gap: int = 0) -> np.ndarray:
    """Draw a box around each of some cells; those side by side share a line, or have twice a gap between them."""
    drawn = page.copy()
    for cell in cells:
        left, side = 80 + CELL_PX * cell, CELL_PX - gap
        cv2.rectangle(drawn, (left + gap, 80 + gap), (left + side, 80 + side), INK, thickness)
    return drawn


def circled(page: np.ndarray, cells: Sequence[int]) -> np.ndarray:
    drawn = page.copy()
    for cell in cells:
        cv2.ellipse(drawn, (80 + CELL_PX * cell + CELL_PX // 2, 80 + CELL_PX // 2), (60, 75), 0, 0, 360, INK, 4)
    return drawn


def row_of(page: np.ndarray) -> list[Glyph]:
    (row,) = find_glyphs(as_picture(page))
    return row


def are_the_same(page: np.ndarray, alone: np.ndarray, least: float = 0.95) -> bool:
    pairs = zip(row_of(page), row_of(alone), strict=True)
    return all(likeness(found.image, expected.image) > least for found, expected in pairs)


@pytest.mark.parametrize("thickness", [2, 7])
@pytest.mark.parametrize("cells", [(0, 1, 2, 3), (0, 2), (1, 2, 3), (3,)])
def test_boxes_around_digits_are_no_ink(cells: Sequence[int], thickness: int) -> None:
    page = number([4, 0, 1, 7])
    assert are_the_same(boxed(page, cells, thickness), page)


def test_a_box_that_was_left_empty_is_a_box_beside_ones_with_digits() -> None:
    page = np.pad(number([4, 1, 7]), ((0, 0), (0, 3 * CELL_PX)), constant_values=PAPER)
    assert are_the_same(boxed(page, (0, 2, 4)), page)
    nought = page.copy()
    cv2.rectangle(nought, (630, 80), (630 + 78, 80 + CELL_PX), INK, 8)  # as high as a box, but not as wide
    assert len(row_of(boxed(nought, (0, 2)))) == 4


def test_a_tables_lines_are_no_ink() -> None:
    rows = [number(digits) for digits in ([3, 5, 1], [2, 8, 6])]
    tables = [np.vstack([row[80:-79] for row in drawn]) for drawn in (rows, [boxed(row, range(3)) for row in rows])]
    pages = [np.pad(table, ((80, 80), (0, 0)), constant_values=PAPER) for table in tables]
    found, alone = ([glyph.box for row in find_glyphs(as_picture(page)) for glyph in row] for page in pages[::-1])
    assert len(alone) == 6
    assert found == [pytest.approx(box, abs=2) for box in alone]


def test_rows_of_boxes_on_a_scan_are_no_lined_paper() -> None:
    rows = [number(digits) for digits in ([3, 5, 1, 4], [2, 8, 6, 0], [9, 7, 4, 3])]
    form = [boxed(row, range(count), thickness=2) for row, count in zip(rows, (4, 3, 4), strict=True)]
    pages = [np.vstack([row[40:-40] for row in each]) for each in (form, rows)]
    scans = [(page - np.random.default_rng(0).normal(0, 3, page.shape)).astype(np.uint8) for page in pages]
    found, alone = ([glyph.box for row in find_glyphs(as_picture(scan)) for glyph in row] for scan in scans)
    assert len(alone) == 12
    assert found == [pytest.approx(box, abs=3) for box in alone]


@pytest.mark.parametrize("digits", [(4, 3, 2), (1, 7, 1), (0, 5, 9)])
def test_rings_around_digits_are_no_ink(digits: Sequence[int]) -> None:
    page = number(digits)
    assert are_the_same(circled(page, range(3)), page)
    assert are_the_same(circled(page, [1]), page)


def test_a_ring_may_have_a_tail() -> None:
    page = np.pad(number([4, 3, 2]), ((0, 80), (60, 60)), constant_values=PAPER)
    around = np.linspace(2.1, 7.7, 60)  # radians, with a gap for the tail
    ring = np.stack([335 + 240 * np.cos(around), 145 + 110 * np.sin(around)], 1)
    tailed = [np.vstack([ring, (190, 315)]).astype(np.int32)]
    assert are_the_same(cv2.polylines(page.copy(), tailed, True, INK, 7), page)


def test_a_digit_may_cross_the_lines_of_its_box() -> None:
    page = number([4, 2, 7], digit_px=126)
    page[:-8] = page[8:]  # over the upper line
    assert are_the_same(boxed(page, range(3)), page, least=0.9)


def test_strokes_are_looked_for_only_in_boxes_that_some_may_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    page, looks = number([4, 2, 7]), []

    def counted(*arguments: Any) -> Any:
        looks.append(arguments)
        return without_rules(*arguments)

    monkeypatch.setattr(frames, "without_rules", counted)
    assert are_the_same(boxed(page, range(3), gap=10), page)
    assert not looks
    crossed = number([4, 2, 7], digit_px=126)
    crossed[:-8] = crossed[8:]
    row_of(boxed(crossed, range(3)))
    assert looks


@pytest.mark.parametrize("thickness", [3, 6])
@pytest.mark.parametrize("shift", [-22, 16])
def test_a_digit_may_touch_its_box(shift: int, thickness: int) -> None:
    page = number([2, 4, 7])
    cell = slice(80 + CELL_PX, 80 + 2 * CELL_PX)
    page[:, cell] = np.roll(page[:, cell], shift, axis=0)
    assert are_the_same(boxed(page, range(3), thickness, gap=10), page, least=0.8)


@pytest.mark.parametrize("shift", [-32, 26])
def test_a_digit_may_touch_the_lines_of_a_grid_that_others_are_in(shift: int) -> None:
    rows = [number(digits) for digits in ([3, 5, 1], [2, 4, 6], [2, 8, 7])]
    cell = slice(80 + CELL_PX, 80 + 2 * CELL_PX)
    rows[1][:, cell] = np.roll(rows[1][:, cell], shift, axis=0)
    tables = [np.vstack([row[80:-79] for row in drawn]) for drawn in (rows, [boxed(row, range(3)) for row in rows])]
    pages = [np.pad(table, ((80, 80), (0, 0)), constant_values=PAPER) for table in tables]
    alone, found = ([glyph for row in find_glyphs(as_picture(page)) for glyph in row] for page in pages)
    assert len(alone) == 9
    assert all(likeness(*(glyph.image for glyph in pair)) > 0.8 for pair in zip(alone, found, strict=True))


@pytest.mark.parametrize("angle", [1, 3])
def test_the_lines_of_a_grid_that_is_askew_are_no_strokes(angle: int) -> None:
    rows = [boxed(number(digits), range(4))[80:-79] for digits in ([3, 5, 1, 8], [2, 4, 6, 0], [2, 8, 7, 9])]
    table = np.pad(np.vstack(rows), ((80, 80), (0, 0)), constant_values=PAPER)
    turn = cv2.getRotationMatrix2D((table.shape[1] / 2, table.shape[0] / 2), angle, 1)
    turned = cv2.warpAffine(table, turn, table.shape[::-1], borderValue=PAPER)
    assert [len(row) for row in find_glyphs(as_picture(turned))] == [4, 4, 4]


@pytest.mark.parametrize("grey", [150, 180])
def test_faint_boxes_around_digits_are_no_ink(grey: int) -> None:
    page = number([4, 0, 1, 7])
    lines = boxed(np.full_like(page, PAPER), range(4), gap=10) < PAPER
    assert are_the_same(np.where(lines & (page == PAPER), grey, page), page, least=0.9)


def test_a_digit_with_loops_may_touch_the_box_that_it_is_alone_in() -> None:
    page = number([4, 8, 5])
    cell = slice(80 + CELL_PX, 80 + 2 * CELL_PX)
    page[:, cell] = np.roll(page[:, cell], 16, axis=0)
    assert len(row_of(boxed(page, range(3), gap=10))) == 3


def test_a_digit_may_touch_the_box_that_it_is_alone_in() -> None:
    page = np.roll(number([4]), 16, axis=0)
    touching = boxed(page, [0], gap=10)
    assert are_the_same(touching, page, least=0.8)
    glyph, _ = find_glyph(as_picture(touching))
    assert glyph is not None
    assert likeness(glyph.image, row_of(page)[0].image) > 0.8


@pytest.mark.parametrize("tilt", [0, 2])
def test_the_cells_of_an_empty_box_are_no_digits(tilt: int) -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    cv2.rectangle(page, (80, 80), (220, 220), INK, 4)
    halved = cv2.line(page.copy(), (150, 80), (150, 220), INK, 4)
    for drawn in (page, halved, cv2.line(halved.copy(), (80, 150), (220, 150), INK, 4)):
        turn = cv2.getRotationMatrix2D((150, 150), tilt, 1)
        turned = cv2.warpAffine(drawn, turn, (300, 300), borderValue=PAPER)
        assert find_glyphs(as_picture(turned)) == []


def test_one_of_several_boxes_has_the_digit_of_a_picture() -> None:
    page = number([2, 5])
    glyph, are_several = find_glyph(as_picture(boxed(page, [0, 1])))
    assert glyph is not None
    assert max(likeness(glyph.image, alone.image) for alone in row_of(page)) > 0.95
    assert are_several


def in_corner(digit: int) -> np.ndarray:
    """Draw a digit where the first of three by three cells of 130 pixels is, 80 from the rim: (550, 550) uint8."""
    return np.pad(number([digit]), ((0, 260), (0, 260)), constant_values=PAPER)


def gridded(page: np.ndarray, *, beyond: int) -> np.ndarray:
    """Draw the lines of these cells, which go on beyond the outermost ones by so many pixels."""
    drawn = page.copy()
    for place in range(80, 80 + 3 * CELL_PX + 1, CELL_PX):
        for start, end in (
            ((place, 80 - beyond), (place, 470 + beyond)),
            ((80 - beyond, place), (470 + beyond, place)),
        ):
            cv2.line(drawn, start, end, INK, 3)
    return drawn


@pytest.mark.parametrize("beyond", [0, 30])
@pytest.mark.parametrize("digit", [1, 3, 8])
def test_one_digit_in_a_grid_is_the_digit(digit: int, beyond: int) -> None:
    alone, _ = find_glyph(as_picture(in_corner(digit)))
    found, are_several = find_glyph(as_picture(gridded(in_corner(digit), beyond=beyond)))
    assert alone is not None
    assert found is not None
    assert likeness(found.image, alone.image) > 0.95
    assert not are_several


NOUGHTS_AND_CROSSES = [
    [(210, 70), (210, 480)],
    [(340, 80), (336, 470)],
    [(70, 212), (480, 206)],
    [(80, 340), (470, 342)],
]
AXES_AND_STEPS = [
    [(76, 90), (76, 474), (480, 474)],
    [(76, 340), (212, 338), (210, 208), (338, 210), (340, 84), (470, 80)],
]


@pytest.mark.parametrize("lines", [NOUGHTS_AND_CROSSES, AXES_AND_STEPS])
def test_lines_among_digits_are_no_ink(lines: list[list[tuple[int, int]]]) -> None:
    rows = [number(row, digit_px=60)[80:-80] for row in ((3, 5, 1), (2, 8, 6), (7, 4, 9))]
    page = np.pad(np.vstack(rows), ((80, 80), (0, 0)), constant_values=PAPER)
    drawn = page.copy()
    cv2.polylines(drawn, [np.array(line) for line in lines], isClosed=False, color=INK, thickness=5)
    found, alone = ([glyph.box for row in find_glyphs(as_picture(each)) for glyph in row] for each in (drawn, page))
    assert len(alone) == 9
    assert found == [pytest.approx(box, abs=2) for box in alone]


@pytest.mark.parametrize("sides", [2, 3])
def test_what_is_seen_of_a_sheets_edges_is_no_ink(sides: int) -> None:
    page = np.pad(number([6]), 60, constant_values=PAPER)
    height, width = page.shape
    corners = [(width - 50, 40), (width - 40, height - 45), (45, height - 35), (35, 50)][: sides + 1]
    edged = page.copy()
    cv2.polylines(edged, [np.array(corners)], False, INK, 6)
    alone, found = (find_glyph(as_picture(drawn))[0] for drawn in (page, edged))
    assert alone is not None
    assert found is not None
    assert likeness(found.image, alone.image) > 0.95
    assert are_the_same(edged, page)


def test_a_thin_digit_around_a_tick_is_no_open_frame() -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    cv2.polylines(page, [np.array([(60, 50), (240, 50), (110, 260)])], False, INK, 4)
    ticked = page.copy()
    cv2.line(ticked, (90, 120), (110, 150), INK, 4)
    assert max(glyph.box[3] for glyph in row_of(ticked)) == row_of(page)[0].box[3]


def test_chalk_with_gaps_in_it_and_dust_beside_it_is_no_grid() -> None:
    page = np.full((260, 220), PAPER, np.uint8)
    cv2.polylines(page, [np.array([(40, 40), (170, 40), (70, 220)])], False, INK, 24)
    dusty = page.copy()
    for place in range(50, 160, 20):
        dusty[36:43, place : place + 5] = PAPER
    cv2.circle(dusty, (60, 120), 4, INK, -1)
    assert [glyph.box for glyph in row_of(dusty)] == [glyph.box for glyph in row_of(page)]


def test_a_4_whose_strokes_do_not_touch_is_no_open_frame() -> None:
    page = np.full((260, 220), PAPER, np.uint8)
    cv2.polylines(page, [np.array([(60, 40), (60, 130), (160, 130)])], False, INK, 6)
    touching = page.copy()
    cv2.line(touching, (130, 60), (130, 220), INK, 6)
    cv2.line(page, (130, 50), (130, 118), INK, 6)  # all of it inside the other stroke's box
    cv2.line(page, (130, 142), (130, 220), INK, 6)
    broken, whole = (find_glyph(as_picture(drawn))[0] for drawn in (page, touching))
    assert broken is not None
    assert whole is not None
    assert broken.box == whole.box


@pytest.mark.parametrize("tilt", [0, 25])
def test_a_nought_with_a_slash_or_a_dot_beside_digits_is_no_ring(tilt: int) -> None:
    page = number([3, 5])
    wide = np.pad(page, ((0, 0), (0, 200)), constant_values=PAPER)
    cv2.ellipse(wide, (440, 145), (42, 60), tilt, 0, 360, INK, 8)
    cv2.line(wide, (425, 165), (455, 125), INK, 7)
    assert row_of(wide)[-1].box[3] > 110


@pytest.mark.parametrize("is_boxy", [False, True])
def test_a_nought_with_specks_in_it_is_no_frame(*, is_boxy: bool) -> None:
    page = np.full((260, 220), PAPER, np.uint8)
    if is_boxy:
        cv2.rectangle(page, (70, 50), (150, 210), INK, 10)
    else:
        cv2.ellipse(page, (110, 130), (55, 78), 0, 0, 360, INK, 10)
    for middle in ((95, 100), (125, 160)):
        cv2.circle(page, middle, 8, INK, -1)
    glyph, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert glyph.box[3] > 150


def test_a_boxy_nought_is_no_frame() -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    cv2.rectangle(page, (100, 70), (190, 230), INK, 12)
    glyph, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert glyph.box == pytest.approx((94, 64, 103, 173), abs=2)


@pytest.mark.parametrize("height", [130, 160])
@pytest.mark.parametrize("thickness", [3, 12])
def test_a_square_around_nothing_is_no_nought(height: int, thickness: int) -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    cv2.rectangle(page, (80, 70), (220, 70 + height), INK, thickness)
    assert find_glyph(as_picture(page))[0] is None
    assert find_glyphs(as_picture(page)) == []
