"""Digits on sheets of paper, in frames and in rings that are seen whole; and what only looks like one."""

import cv2
import numpy as np
import pytest

from conftest import BLACK, PAPER, around, as_picture, assert_found_at, find_glyph, find_glyphs, likeness, see, sheet
from mnistcli.components import find_components
from mnistcli.config import Invert
from mnistcli.images import Picture
from mnistcli.ink import find_ink
from mnistcli.planes import border_pixels
from mnistcli.sheets import Crop, look_inside


def inside_of(pixels: np.ndarray) -> Crop | None:
    ink = find_ink(pixels[..., None])
    assert ink is not None
    return look_inside(as_picture(pixels), find_components(ink))


@pytest.mark.parametrize("level", [0, 90, 255])
@pytest.mark.parametrize("digit", [1, 4, 8])
def test_a_digit_on_a_sheet_is_found_whatever_lies_around(digit: int, level: int) -> None:
    assert_found_at(80, 80, around(sheet(digit), level), sheet(digit), least=0.95)


@pytest.mark.parametrize("ink", [BLACK, 170])
@pytest.mark.parametrize("angle", [7, -12, 30, 45])
def test_a_sheet_may_be_tilted(angle: int, ink: int) -> None:
    page = np.maximum(sheet(5), ink)
    turn = cv2.getRotationMatrix2D((60, 80), angle, 1)
    alone = cv2.warpAffine(page, turn, (120, 160), borderValue=PAPER)
    turn[:, 2] += 60
    assert likeness(see(cv2.warpAffine(page, turn, (240, 280), borderValue=60)), see(alone)) > 0.9


def test_a_sheet_may_be_tilted_and_hold_a_bold_digit() -> None:
    page = np.full((170, 120), PAPER, np.uint8)
    cv2.polylines(page, [np.array([(90, 30), (35, 30), (35, 80), (85, 85), (85, 135), (35, 140)])], False, 60, 22)
    turn = cv2.getRotationMatrix2D((60, 85), 8, 1)
    alone = cv2.warpAffine(page, turn, (120, 170), borderValue=PAPER)
    turn[:, 2] += 40
    assert likeness(see(cv2.warpAffine(page, turn, (200, 250), borderValue=60)), see(alone)) > 0.9


def test_a_sheet_may_be_seen_from_aside() -> None:
    corners = np.array([(0, 0), (120, 0), (120, 160), (0, 160)], np.float32)
    seen = np.array([(75, 70), (185, 55), (170, 225), (55, 200)], np.float32)
    aside = cv2.getPerspectiveTransform(corners, seen)
    on_desk, alone = (cv2.warpPerspective(sheet(5), aside, (240, 280), borderValue=level) for level in (60, PAPER))
    assert likeness(see(on_desk), see(alone)) > 0.9


@pytest.mark.parametrize("angle", [12, 45])
def test_a_tilted_sheet_goes_on_where_the_desk_was(angle: int) -> None:
    turn = cv2.getRotationMatrix2D((60, 80), angle, 1)
    turn[:, 2] += 60
    inside = inside_of(cv2.warpAffine(sheet(5), turn, (240, 280), borderValue=60))
    assert inside is not None
    assert (abs(border_pixels(inside.picture.pixels).astype(int) - PAPER) < 20).all()


def test_a_sheet_may_lie_on_another() -> None:
    assert likeness(see(around(around(sheet(3), 255), 40)), see(sheet(3))) > 0.95


@pytest.mark.parametrize("thickness", [2, 8, 14])
def test_a_frame_with_paper_around_it_is_no_ink(thickness: int) -> None:
    framed = np.pad(np.pad(sheet(7), thickness, constant_values=BLACK), 50, constant_values=PAPER)
    assert likeness(see(framed), see(sheet(7))) > 0.9


def ring(page: np.ndarray, opening: int = 0) -> np.ndarray:
    """Draw a ring around what is on a page, open by some degrees."""
    paper = around(page, PAPER)
    height, width = paper.shape
    return cv2.ellipse(paper, (width // 2, height // 2), (width // 2 - 60, 90), 0, 20, 380 - opening, BLACK, 5)


@pytest.mark.parametrize("opening", [0, 12])
@pytest.mark.parametrize("digit", [1, 7, 0])
def test_a_ring_around_a_digit_is_no_ink(digit: int, opening: int) -> None:
    assert likeness(see(ring(sheet(digit), opening)), see(sheet(digit))) > 0.9


@pytest.mark.parametrize("digit_px", [80, 60])
def test_a_digit_may_be_small_in_its_ring(digit_px: int) -> None:
    page, wide = np.full((320, 320), PAPER, np.uint8), digit_px * 7 // 10
    ink = sheet(4)[44:116, 35:85]
    page[160 - digit_px // 2 : 160 + digit_px // 2, 160 - wide // 2 : 160 - wide // 2 + wide] = cv2.resize(
        ink, (wide, digit_px)
    )
    ringed = cv2.circle(page.copy(), (160, 160), 140, BLACK, 6)
    (alone,), (found,) = find_glyphs(as_picture(page))[0], find_glyphs(as_picture(ringed))[0]
    assert likeness(found.image, alone.image) > 0.9
    assert likeness(see(ringed), alone.image) > 0.9


@pytest.mark.parametrize(("shift", "thickness"), [(0, 55), (12, 14)])
def test_a_nought_may_have_a_dot_or_a_short_slash_in_it(shift: int, thickness: int) -> None:
    nought = cv2.circle(np.full((320, 320), PAPER, np.uint8), (160, 160), 140, BLACK, 6)
    marked = cv2.line(nought.copy(), (160 - shift, 160 + 2 * shift), (160 + shift, 160 - 2 * shift), BLACK, thickness)
    for glyph in (find_glyph(as_picture(marked))[0], find_glyphs(as_picture(marked))[0][0]):
        assert glyph is not None
        assert glyph.box[3] > 250


def test_a_ring_around_a_number_is_no_ink() -> None:
    narrow = sheet(2, 7)[:, 25:-25]
    assert len(find_glyphs(as_picture(ring(narrow)))[0]) == 2


@pytest.mark.parametrize("opening", [0, 60])
def test_a_nought_with_a_dot_is_no_ring_nor_is_half_a_circle(opening: int) -> None:
    dotted = ring(np.full((160, 120), PAPER, np.uint8), opening)
    cv2.circle(dotted, (140, 160), 60 if opening else 20, BLACK, 5 if opening else -1)
    assert inside_of(dotted) is None


@pytest.mark.parametrize("wide", [50, 80])
def test_a_nought_may_have_a_slash_in_it(wide: int) -> None:
    nought = cv2.ellipse(np.full((260, 260), PAPER, np.uint8), (130, 130), (wide, 80), 0, 0, 360, BLACK, 6)
    slashed = cv2.line(nought.copy(), (110, 160), (150, 100), BLACK, 6)
    assert inside_of(slashed) is None


def test_all_digits_on_a_sheet_are_found() -> None:
    rows = find_glyphs(as_picture(around(sheet(4, 0, 2), BLACK)))
    alone = find_glyphs(as_picture(sheet(4, 0, 2)))
    assert [len(row) for row in rows] == [3]
    for glyph, other in zip(rows[0], alone[0], strict=True):
        assert likeness(glyph.image, other.image) > 0.9
        left, top, *size = other.box
        assert glyph.box == pytest.approx((left + 80, top + 80, *size), abs=4)


def test_digits_beside_a_frame_are_found_with_it() -> None:
    framed = np.pad(np.pad(sheet(5), 6, constant_values=BLACK), 40, constant_values=PAPER)
    beside = np.concatenate([framed, np.pad(sheet(2, 3), ((46, 46), (0, 40)), constant_values=PAPER)], axis=1)
    (row,) = find_glyphs(as_picture(beside))
    assert sum(glyph.box[0] > framed.shape[1] for glyph in row) == 2


def test_a_digit_nearly_as_high_as_its_frame_is_not_one_of_several_but_two_in_frames_are() -> None:
    digit = sheet(8)
    rows = np.flatnonzero((digit < PAPER).any(1))
    framed = np.pad(digit[rows[0] - 12 : rows[-1] + 13], 3, constant_values=BLACK)
    alone = np.pad(framed, 60, constant_values=PAPER)
    glyph, are_several = find_glyph(as_picture(alone))
    assert glyph is not None
    assert likeness(glyph.image, see(digit)) > 0.9
    assert not are_several
    assert find_glyph(as_picture(np.concatenate([alone, alone], axis=1)))[1]


def test_a_framed_digit_beside_one_without_a_frame_is_one_of_several() -> None:
    digit = sheet(8)
    rows, columns = (np.flatnonzero(np.any(digit < PAPER, axis=axis)) for axis in (1, 0))
    cropped = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    framed = np.pad(np.pad(cropped, 25, constant_values=PAPER), 3, constant_values=BLACK)
    bare = np.pad(cropped, ((28, 28), (25, 0)), constant_values=PAPER)
    both = np.pad(np.concatenate([framed, bare], axis=1), 60, constant_values=PAPER)
    assert find_glyph(as_picture(both))[1]


def test_dirt_on_a_card_is_no_digit() -> None:
    page = around(np.full((160, 120), PAPER, np.uint8), BLACK)
    page[150:160, 130:134] = BLACK
    for glyph in (find_glyph(as_picture(page))[0], find_glyphs(as_picture(page))[0][0]):
        assert glyph is not None
        assert glyph.box == pytest.approx((80, 80, 120, 160), abs=2)


@pytest.mark.parametrize("level", [PAPER, 60])
def test_a_digit_may_be_small_on_its_sheet_or_in_its_frame(level: int) -> None:
    page = np.pad(sheet(5), ((450, 450), (350, 350)), constant_values=PAPER)
    lying = around(np.pad(page, 4, constant_values=BLACK), level)
    alone, _ = find_glyph(as_picture(sheet(5)))
    assert alone is not None
    for glyph in (find_glyph(as_picture(lying))[0], find_glyphs(as_picture(lying))[0][0]):
        assert glyph is not None
        assert likeness(glyph.image, alone.image) > 0.9


def test_a_digit_may_be_a_few_pixels_high_on_a_small_sheet() -> None:
    page = np.pad(sheet(5), 80, constant_values=PAPER)
    small = cv2.resize(page, (page.shape[1] // 5, page.shape[0] // 5), interpolation=cv2.INTER_AREA)
    lying = around(small, 60, 16)
    for glyph in (find_glyph(as_picture(lying))[0], find_glyphs(as_picture(lying))[0][0]):
        assert glyph is not None
        assert likeness(glyph.image, see(sheet(5))) > 0.8


def test_boxes_are_in_the_pictures_own_pixels_and_colours_do_not_matter() -> None:
    page = np.stack([around(sheet(5), level) for level in (60, 40, 20)], axis=2)
    glyph, _ = find_glyph(Picture(page, (page.shape[1] * 4, page.shape[0] * 4), "a picture"))
    alone, _ = find_glyph(as_picture(around(sheet(5), 60)))
    assert glyph is not None
    assert alone is not None
    assert glyph.box == pytest.approx([4 * px for px in alone.box], abs=16)


@pytest.mark.parametrize(("invert", "is_seen"), [("yes", True), ("no", False)])
def test_a_sheet_is_looked_into_for_the_ink_that_is_asked_for(invert: Invert, is_seen: bool) -> None:
    glyph, _ = find_glyph(as_picture(around(sheet(5), 60)), invert)
    assert glyph is not None
    assert (likeness(glyph.image, see(sheet(5))) > 0.9) == is_seen


def test_digits_on_several_cards_are_found_card_by_card_and_row_by_row() -> None:
    half = np.vstack([sheet(6), np.full((160, 120), PAPER, np.uint8)])
    cards = [around(card, BLACK, 20) for card in (half, np.vstack([sheet(4), sheet(2)]))]
    rows = find_glyphs(as_picture(np.concatenate(cards, axis=1)))
    assert [len(row) for row in rows] == [2, 1]
    for glyph, digit in zip([*rows[0], *rows[1]], (6, 4, 2), strict=True):
        assert likeness(glyph.image, see(sheet(digit))) > 0.9


def test_several_cards_may_lie_askew() -> None:
    cards = around(np.concatenate([around(sheet(digit), BLACK, 40) for digit in (6, 4)], axis=1), BLACK)
    turn = cv2.getRotationMatrix2D((cards.shape[1] / 2, cards.shape[0] / 2), 12, 1)
    (row,) = find_glyphs(as_picture(cv2.warpAffine(cards, turn, cards.shape[::-1], borderValue=BLACK)))
    for glyph, digit in zip(row, (6, 4), strict=True):
        assert likeness(glyph.image, see(sheet(digit))) > 0.5


def test_digits_below_high_cards_are_not_left_out_without_a_word() -> None:
    cards = [around(255 - around(sheet(digit), PAPER, 100), 255, 20) for digit in (6, 9)]
    below = np.pad(sheet(2, 3), ((0, 20), (0, 0)), constant_values=PAPER)
    page = np.concatenate(cards, axis=1)
    page = np.vstack([np.where(page == 255, PAPER, page), np.full((180, page.shape[1]), PAPER, np.uint8)])
    page[-180:, 100:340] = below
    rows = find_glyphs(as_picture(page))
    assert rows  # and yet nothing is named
    assert all(glyph.is_no_digit for row in rows for glyph in row)


def test_digits_beside_marked_ones_are_found_with_them() -> None:
    page = np.concatenate([sheet(4, 8), sheet(2), sheet(5, 7), sheet(9), sheet(3)], axis=1)
    for marked in (page[20:140, 245:355], page[20:140, 605:715]):
        marked[marked > BLACK] = 110
    assert sum(map(len, find_glyphs(as_picture(around(page, PAPER))))) == 7


def test_blank_cards_stay_what_they_are() -> None:
    card = around(np.full((160, 120), PAPER, np.uint8), BLACK, 20)
    (row,) = find_glyphs(as_picture(np.concatenate([card, card], axis=1)))
    assert [glyph.box for glyph in row] == [(20, 20, 120, 160), (180, 20, 120, 160)]


def badge(digit: int, level: int = 90, ink: int = BLACK, page: int = PAPER) -> np.ndarray:
    """Draw a digit on a disc: (300, 300)."""
    drawn = np.full((300, 300), page, np.uint8)
    cv2.circle(drawn, (150, 150), 120, level, cv2.FILLED)
    drawn[70:230, 90:210][sheet(digit) == BLACK] = ink
    return drawn


@pytest.mark.parametrize(
    ("level", "ink", "page"),
    [(90, BLACK, PAPER), (BLACK, PAPER, PAPER), (150, PAPER, PAPER), (PAPER, BLACK, BLACK), (140, BLACK, 70)],
)
@pytest.mark.parametrize("digit", [0, 3, 4, 7])
def test_a_digit_on_a_disc_is_found(digit: int, level: int, ink: int, page: int) -> None:
    assert likeness(see(badge(digit, level, ink, page)), see(sheet(digit))) > 0.85


def test_a_digit_on_each_of_several_discs_is_found() -> None:
    discs = [badge(digit, level, ink) for digit, level, ink in ((3, 90, BLACK), (0, BLACK, PAPER), (7, 80, PAPER))]
    (row,) = find_glyphs(as_picture(np.concatenate(discs, axis=1)))
    for glyph, digit in zip(row, (3, 0, 7), strict=True):
        assert likeness(glyph.image, see(sheet(digit))) > 0.85


@pytest.mark.parametrize("hole", [(0, 0), (70, 25), (60, 40)])
def test_a_round_bold_nought_or_a_dot_is_no_badge(hole: tuple[int, int]) -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    cv2.circle(page, (150, 150), 120, BLACK, cv2.FILLED)
    if hole[0]:
        cv2.ellipse(page, (150, 150), hole[::-1], 20, 0, 360, PAPER, cv2.FILLED)
    glyph, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert glyph.box == pytest.approx((30, 30, 241, 241), abs=4)


def test_a_hole_with_a_dent_makes_no_badge_of_a_bold_nought() -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    cv2.circle(page, (150, 150), 120, BLACK, cv2.FILLED)
    cv2.ellipse(page, (150, 150), (40, 70), 0, 0, 360, PAPER, cv2.FILLED)
    cv2.circle(page, (115, 150), 30, BLACK, cv2.FILLED)
    glyph, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert glyph.box == pytest.approx((30, 30, 241, 241), abs=4)


@pytest.mark.parametrize("line", [((120, 130), (140, 142)), ((215, 100), (215, 190))])  # short; far from the middle
def test_a_scratch_on_a_disc_is_no_digit(line: tuple[tuple[int, int], tuple[int, int]]) -> None:
    coin = np.full((300, 300), PAPER, np.uint8)
    cv2.circle(coin, (150, 150), 120, 90, cv2.FILLED)
    cv2.line(coin, *line, BLACK, 8)
    for glyph in (find_glyph(as_picture(coin))[0], find_glyphs(as_picture(coin))[0][0]):
        assert glyph is not None
        assert glyph.is_no_digit


def test_a_bold_digit_that_is_nearly_round_is_no_badge() -> None:
    page = np.full((300, 300), PAPER, np.uint8)
    for row, high in ((100, 75), (195, 80)):  # an 8 whose loops hardly part, with a dent in the upper hole
        cv2.ellipse(page, (150, row), (100, high), 0, 0, 360, BLACK, cv2.FILLED)
    cv2.ellipse(page, (150, 95), (50, 25), 0, 0, 360, PAPER, cv2.FILLED)
    cv2.circle(page, (150, 70), 22, BLACK, cv2.FILLED)
    cv2.ellipse(page, (150, 200), (40, 20), 0, 0, 360, PAPER, cv2.FILLED)
    glyph, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert glyph.box == pytest.approx((50, 25, 201, 251), abs=4)


def bold_nought() -> np.ndarray:
    rows, columns = abs(np.mgrid[-1:1:260j, -1:1:200j])
    is_inked = ((columns / 0.7) ** 3 + (rows / 0.8) ** 3 < 1) & ((columns / 0.08) ** 2 + (rows / 0.4) ** 2 > 1)
    return np.where(is_inked, BLACK, PAPER).astype(np.uint8)


def test_a_bold_nought_is_no_sheet() -> None:
    page = bold_nought()
    glyph, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert glyph.box == pytest.approx((30, 26, 140, 208), abs=4)


def test_a_frame_that_something_is_joined_to_is_not_looked_into() -> None:
    page = np.pad(np.pad(sheet(4), 8, constant_values=BLACK), 50, constant_values=PAPER)
    assert inside_of(page) is not None
    page[50:150, 106:114] = BLACK
    assert inside_of(page) is None


def test_a_card_without_a_digit_stays_what_it_is() -> None:
    glyph, _ = find_glyph(as_picture(around(np.full((160, 120), PAPER, np.uint8), BLACK)))
    assert glyph is not None
    assert glyph.is_no_digit
