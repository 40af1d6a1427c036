"""What lies along a picture's rim, a screenshot's black or a table, is cut off; and digits and paper are not."""

import cv2
import numpy as np
import pytest

from conftest import (
    BLACK,
    PAPER,
    around,
    as_picture,
    assert_found_at,
    draw_ink,
    find_glyph,
    find_glyphs,
    likeness,
    see,
    sheet,
)
from mnistcli.surroundings import cut_bars, cut_canvas, cut_room, cut_table


def test_a_strip_along_the_rim_is_too_thin_to_be_beside_a_bar() -> None:
    picture = np.full((100, 100), PAPER, np.uint8)
    picture[-2:] = BLACK
    assert cut_bars(as_picture(picture)) is None


@pytest.mark.parametrize("sides", [((70, 90), (0, 0)), ((0, 0), (60, 0))])
def test_bars_along_a_side_are_cut_off(sides: tuple[tuple[int, int], ...]) -> None:
    lit = (sheet(6) * np.linspace(0.7, 1, 160)[:, None]).astype(np.uint8)
    rest = cut_bars(as_picture(np.pad(lit, sides, constant_values=BLACK)))
    assert rest is not None
    assert rest.box == pytest.approx((sides[1][0], sides[0][0], 120, 160), abs=6)
    assert likeness(see(np.pad(lit, sides, constant_values=BLACK)), see(lit)) > 0.95


def on_screen(writing: tuple[int, int], px: int = 10) -> np.ndarray:
    """Give a photograph with black above and below it, each with so many lines of writing, so many pixels high."""
    lit = (sheet(5) * np.linspace(0.7, 1, 160)[:, None]).astype(np.uint8)
    screen = np.pad(lit, ((70, 90), (0, 0)), constant_values=BLACK)
    for first, lines in zip((12, 245), writing, strict=True):
        for line in range(lines):
            place = 10, first + px + 2 * px * line
            cv2.putText(screen, "12", place, cv2.FONT_HERSHEY_SIMPLEX, px / 22, PAPER, 1, cv2.LINE_AA)
    return screen


@pytest.mark.parametrize("writing", [(1, 0), (0, 1), (1, 2)])
def test_bars_on_opposite_sides_may_be_written_on(writing: tuple[int, int]) -> None:
    rest = cut_bars(as_picture(on_screen(writing)), may_be_written=True)
    assert rest is not None
    assert rest.box == pytest.approx((0, 70, 120, 160), abs=6)
    assert likeness(see(on_screen(writing)), see(on_screen((0, 0)))) > 0.99


def test_what_is_written_in_large_is_on_no_bar() -> None:
    assert cut_bars(as_picture(on_screen((1, 1), px=36)), may_be_written=True) is None


def test_what_is_written_beside_a_table_is_on_no_bar() -> None:
    assert cut_bars(as_picture(on_screen((1, 0))[:-90]), may_be_written=True) is None


def test_numbers_above_and_below_a_photograph_are_found_where_all_digits_are_looked_for() -> None:
    tops = [glyph.box[1] for row in find_glyphs(as_picture(on_screen((1, 1), px=14))) for glyph in row]
    assert min(tops) < 40
    assert max(tops) > 230


def on_canvas(page: np.ndarray, level: int) -> np.ndarray:
    """Give a photograph of a page, in light from its lower right, on a canvas of one grey level."""
    height, width = page.shape
    light = np.linspace(0.4, 0.7, height)[:, None] + np.linspace(0, 0.3, width)
    return around((page * light + np.random.default_rng(0).normal(0, 2, page.shape)).astype(np.uint8), level)


@pytest.mark.parametrize("level", [0, 100, 150, 190, 255])
def test_a_digit_of_a_photograph_on_a_canvas_is_found_whatever_its_colour(level: int) -> None:
    page = sheet(4)
    for kind in ("PNG", "JPEG"):
        assert likeness(see(on_canvas(page, level), kind=kind), see(page)) > 0.9


@pytest.mark.parametrize("level", [70, 130, 180])
def test_ink_goes_to_the_edge_of_a_sheet_on_a_canvas(level: int) -> None:
    page = sheet(7)[:110]
    without_edge = around(page[:105], PAPER)
    assert likeness(see(around(page, level)), see(without_edge)) > 0.9


@pytest.mark.parametrize(("level", "wide"), [(255, 23), (128, 30), (128, 33)])
def test_the_blocks_of_a_jpeg_file_around_a_photograph_are_canvas(level: int, wide: int) -> None:
    light = np.linspace(0.3, 0.75, 100)[:, None, None] + np.linspace(0, 0.2, 100)[:, None]
    tinted = cv2.resize(sheet(2), (100, 100), interpolation=cv2.INTER_AREA)[..., None] * light * (1, 0.9, 0.8)
    photograph = (tinted + np.random.default_rng(0).normal(0, 3, tinted.shape)).clip(0, 255).astype(np.uint8)
    screen = np.pad(photograph, ((wide, wide), (wide, wide), (0, 0)), constant_values=level)
    assert likeness(see(screen, kind="JPEG"), see(photograph)) > 0.9


def test_all_digits_of_a_photograph_on_a_canvas_are_found() -> None:
    ((first, second),) = find_glyphs(as_picture(on_canvas(sheet(4, 2), 150)))
    for glyph, digit in ((first, 4), (second, 2)):
        assert likeness(glyph.image, see(sheet(digit))) > 0.9


@pytest.mark.parametrize(("paper", "canvas", "ink"), [(245, 255, 40), (20, 30, 230)])
@pytest.mark.parametrize("digit", [6, 7])
def test_a_sheet_that_is_nearly_as_light_as_the_canvas_is_wholly_seen(
    paper: int, canvas: int, ink: int, digit: int
) -> None:
    cover = np.pad(draw_ink(digit, 60), ((5, 5), (16, 17))) / 255
    page = (paper + (ink - paper) * cover).round().astype(np.uint8)
    assert likeness(see(around(page, canvas, 40)), see(around(page, paper, 40))) > 0.9


def test_each_of_several_photographs_on_a_canvas_is_seen() -> None:
    few = np.hstack([np.pad(on_canvas(sheet(digit), 60)[80:-80, 80:-80], 15, constant_values=60) for digit in (4, 2)])
    assert cut_canvas(as_picture(around(few, 60))) is None


def drawn() -> np.ndarray:
    return around(sheet(8), PAPER)


def ruled() -> np.ndarray:
    page = drawn() * np.linspace(1, 0.8, 320)[:, None]
    page[60:64] = page[260:264] = 120
    return page.astype(np.uint8)


def shaded() -> np.ndarray:
    return (drawn() * np.linspace(0.3, 1, 320)[:, None]).astype(np.uint8)


def written_beside() -> np.ndarray:
    """Give a picture of light paper on dark, where something is written on the dark."""
    page = np.pad(sheet(2), ((100, 0), (0, 0)), constant_values=BLACK)
    page[30:60, 50:54] = PAPER
    return page


def halves() -> np.ndarray:
    page = np.full((70, 70), PAPER, np.uint8)
    page[35:] = BLACK
    return page


def bold_seven() -> np.ndarray:
    page = np.full((200, 160), PAPER, np.uint8)
    page[20:50] = page[50:, 100:] = BLACK
    return page


def thin_seven() -> np.ndarray:
    page = np.full((200, 150), PAPER, np.uint8)
    page[:12] = page[12:, 90:102] = BLACK
    return page


def upright_one() -> np.ndarray:
    page = np.full((100, 100), PAPER, np.uint8)
    page[:, 35:65] = BLACK
    return page


DIGITS = bold_seven(), thin_seven(), thin_seven()[::-1], upright_one()


def grainy_one() -> np.ndarray:
    """Give the pixels of a bold 1 alone, as they were on paper, on white."""
    page = np.full((200, 200), PAPER, np.uint8)
    page[20:180, 80:120] = np.random.default_rng(0).integers(0, 100, (160, 40))
    return page


def framed() -> np.ndarray:
    page = around(sheet(8), PAPER, 10)
    page[:12] = page[-12:] = page[:, :12] = page[:, -12:] = BLACK
    return around(page, PAPER)


def bold_one() -> np.ndarray:
    page = np.full((200, 200), PAPER, np.uint8)
    page[20:180, 70:130] = BLACK
    return page


def soft_eight(height: int) -> np.ndarray:
    return 255 - np.pad(draw_ink(8, height), 30)


@pytest.mark.parametrize(
    "page", [drawn(), framed(), bold_one(), grainy_one(), soft_eight(60), soft_eight(600), shaded(), *DIGITS]
)
def test_a_drawing_is_no_sheet_on_a_canvas(page: np.ndarray) -> None:
    assert cut_canvas(as_picture(page)) is None


@pytest.mark.parametrize("page", [drawn(), ruled(), shaded(), written_beside(), halves(), *DIGITS])
def test_paper_is_no_bar(page: np.ndarray) -> None:
    assert cut_bars(as_picture(page)) is None


def on_table(page: np.ndarray, angle: float = 0) -> np.ndarray:
    """Lay a page that goes on at its bottom on a grainy table, turned by an angle."""
    high, wide = page.shape
    table = np.random.default_rng(0).normal(60, 5, (high + 150, wide + 240))
    turn = cv2.getRotationMatrix2D((wide / 2, high / 2), angle, 1)
    turn[:, 2] += 160, 110
    goes_on = np.pad(page, ((0, 300), (0, 0)), constant_values=PAPER)
    size = table.shape[::-1]
    cover = cv2.warpAffine(np.ones(goes_on.shape), turn, size)
    laid = cv2.warpAffine(goes_on.astype(np.float64), turn, size)
    return (laid + table * (1 - cover)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("angle", [0, 3, -5])
@pytest.mark.parametrize("digit", [1, 2, 5])
def test_a_table_around_a_sheet_that_goes_on_is_cut_off(digit: int, angle: float) -> None:
    page = on_table(sheet(digit), angle)
    rest = cut_table(as_picture(page))
    assert rest is not None
    left, top, wide, high = rest.box
    assert top + high == page.shape[0]
    assert (left, top, wide) == pytest.approx((160, 110, 120), abs=25)


@pytest.mark.parametrize("digit", [1, 2, 5])
def test_a_digit_on_a_sheet_that_goes_on_is_found(digit: int) -> None:
    page = around(sheet(digit), PAPER, 150)
    assert_found_at(160, 110, on_table(page), page)


@pytest.mark.parametrize("digit", [1, 2, 5])
def test_a_digit_on_a_sheet_beside_other_light_things_is_found(digit: int) -> None:
    page = around(sheet(digit), PAPER, 150)
    table = on_table(page)
    table[20:80, 60:500:40] = table[20:80, 61:500:40] = 200  # as the letters of a keyboard
    table[200:260, 30:80] = PAPER
    rest = cut_table(as_picture(table))
    assert rest is not None
    assert not rest.is_sure
    assert_found_at(160, 110, table, page)


def test_all_digits_on_a_sheet_that_goes_on_are_found() -> None:
    (row,) = find_glyphs(as_picture(on_table(around(sheet(4, 0, 2), PAPER, 150))))
    assert [glyph.box[1] for glyph in row] == pytest.approx([290] * 3, abs=20)


def softly_shaded() -> np.ndarray:
    """Give a page that half lies in a soft shadow."""
    rows = np.arange(320)[:, None]
    return (drawn() * (0.4 + 0.6 / (1 + np.exp((rows - 250) / 8)))).astype(np.uint8)


def marked_table() -> np.ndarray:
    """Give a sheet on a table that something small is written on."""
    page = on_table(sheet(2))
    page[60:90, 50:53] = PAPER
    return page


@pytest.mark.parametrize(
    "page", [drawn(), ruled(), shaded(), softly_shaded(), written_beside(), marked_table(), *DIGITS[:3]]
)
def test_paper_is_no_table_for_sure(page: np.ndarray) -> None:
    rest = cut_table(as_picture(page))
    assert rest is None or not rest.is_sure


@pytest.mark.parametrize("angle", [12, 24])
def test_the_corners_of_a_sheet_that_lies_askew_are_no_strokes(angle: float) -> None:
    assert cut_table(as_picture(on_table(around(sheet(2), PAPER, 60), angle))) is not None


@pytest.mark.parametrize(("digit", "edge"), [(2, 124), (2, 136), (6, 136), (8, 124)])
def test_a_digit_across_a_shadows_edge_is_seen_whole(digit: int, edge: int) -> None:
    page = around(sheet(digit), PAPER)
    light = np.where(np.arange(page.shape[1]) < edge, 1, 0.5)
    assert cut_table(as_picture((page * light).astype(np.uint8))) is None
    assert likeness(see((page * light).astype(np.uint8)), see(page)) > 0.95


def test_a_bold_one_is_no_sheet() -> None:
    assert likeness(see(upright_one()), see(np.pad(upright_one(), 40, constant_values=PAPER))) > 0.8


def test_all_digits_beside_a_bar_are_found() -> None:
    lit = sheet(4, 0, 2) * np.linspace(0.7, 1, 160)[:, None]
    with_bars = np.pad(lit, ((90, 90), (0, 0)), constant_values=BLACK).astype(np.uint8)
    (row,) = find_glyphs(as_picture(with_bars))
    assert [glyph.box[1] for glyph in row] == pytest.approx([120] * 3, abs=20)


def in_room(page: np.ndarray, contrast: float = 60, thumb_px: int = 0) -> np.ndarray:
    """Hold a page in front of a room, with light and dark things out of focus, perhaps by a thumb at its bottom."""
    high, wide = page.shape
    things = np.random.default_rng(3).normal(0, 1, ((high + 160) // 20, (wide + 160) // 20))
    room = 120 + contrast * cv2.resize(things, (wide + 160, high + 160), interpolation=cv2.INTER_CUBIC)
    room[80 : 80 + high, 80 : 80 + wide] = page
    bottom, middle = 80 + high, 80 + wide // 2
    room[bottom - thumb_px :, middle - thumb_px // 2 : middle + thumb_px // 2] = 150
    return room.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("thumb_px", [0, 24])
@pytest.mark.parametrize("contrast", [10, 60])
@pytest.mark.parametrize("digit", [2, 3, 5])
def test_a_digit_on_a_sheet_that_is_held_up_in_a_room_is_found(digit: int, contrast: float, thumb_px: int) -> None:
    assert_found_at(80, 80, in_room(sheet(digit), contrast, thumb_px), sheet(digit))


def test_all_digits_on_a_sheet_that_is_held_up_in_a_room_are_found() -> None:
    (row,) = find_glyphs(as_picture(in_room(sheet(4, 0, 2), 40, thumb_px=24)))
    assert [glyph.box[1] for glyph in row] == pytest.approx([110] * 3, abs=20)


def test_what_is_written_beside_a_smooth_panel_is_in_no_room() -> None:
    page = (np.pad(sheet(3), ((80, 80), (80, 200)), constant_values=150) * np.linspace(0.9, 1, 400)).astype(np.uint8)
    page[100:200, 300:312] = BLACK
    panel = cut_room(as_picture(page))
    assert panel is not None
    assert not panel.is_sure


def two_sheets() -> np.ndarray:
    between = in_room(sheet(3))[80:240, :60]
    return in_room(np.hstack([sheet(3), between, sheet(5)]))


@pytest.mark.parametrize("page", [two_sheets(), in_room(sheet(3), thumb_px=36)])
def test_a_sheet_beside_another_one_or_partly_covered_may_not_hold_all(page: np.ndarray) -> None:
    room = cut_room(as_picture(page))
    assert room is not None
    assert not room.is_sure


def test_what_is_long_and_narrow_is_no_sheet_in_a_room() -> None:
    assert cut_room(as_picture(in_room(np.full((100, 400), PAPER, np.uint8)))) is None


def test_the_inside_of_a_nought_with_corners_is_no_sheet() -> None:
    page = np.full((360, 480), PAPER) * np.linspace(1, 0.75, 480)
    corners = np.array([(154, 60), (344, 48), (332, 300), (141, 310)], np.int32)
    drawn = cv2.polylines(page, [corners], isClosed=True, color=BLACK, thickness=24, lineType=cv2.LINE_AA)
    grain = np.random.default_rng(1).normal(0, 3, page.shape)
    found, _ = find_glyph(as_picture((drawn + grain).clip(0, 255).astype(np.uint8)))
    assert found is not None
    assert found.box == pytest.approx((130, 36, 225, 286), abs=12)


def test_a_digit_beside_a_smooth_panel_is_the_digit() -> None:
    page = np.pad(sheet(8), ((80, 80), (160, 240)), constant_values=PAPER)
    page[80:220, 330:430] = 140
    page[120:160, 370:378] = BLACK
    lit = (page * np.linspace(0.9, 1, page.shape[1])).astype(np.uint8)
    assert likeness(see(lit), see(sheet(8))) > 0.95


def boxed() -> np.ndarray:
    """Give a digit in a box, on a page that has light from one side."""
    page = (around(sheet(8), PAPER) * np.linspace(1, 0.8, 320)[:, None]).astype(np.uint8)
    return cv2.rectangle(page, (60, 60), (220, 260), BLACK, 4)


def spotlit() -> np.ndarray:
    """Give a digit in the round spot of a lamp."""
    page = (around(sheet(8), PAPER) * np.linspace(0.5, 0.4, 320)[:, None]).astype(np.uint8)
    spot = cv2.ellipse(np.zeros_like(page), (140, 160), (120, 140), 0, 0, 360, 1, cv2.FILLED)
    return np.where(spot, around(sheet(8), PAPER), page)


@pytest.mark.parametrize(
    "page", [drawn(), ruled(), shaded(), softly_shaded(), on_screen((1, 1)), boxed(), spotlit(), *DIGITS]
)
def test_paper_is_no_room(page: np.ndarray) -> None:
    assert cut_room(as_picture(page)) is None
