"""Ink is told from paper, whatever the paper, its light, its colours and its lines."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

import papers
from conftest import (
    as_picture,
    draw_big,
    draw_digit,
    draw_digits,
    draw_ink,
    find_glyph,
    find_glyphs,
    likeness,
    save,
    see,
)
from mnistcli.config import Invert
from mnistcli.glyphs import Grey
from mnistcli.images import read_picture
from mnistcli.ink import Ink, _find_drawn, find_ink
from mnistcli.planes import Mask, Pixels, bounding_box

BAR, OTHER_BAR = np.s_[30:90, 40:50], np.s_[30:80, 80:90]


def painted(paper: Sequence[int], ink: Sequence[int], other: Sequence[int] | None = None) -> Pixels:
    """Paint one or two bars on flat paper, in grey or RGB: (120, 140, C)."""
    picture = np.full((120, 140, len(paper)), paper, np.uint8)
    picture[BAR] = ink
    picture[OTHER_BAR] = paper if other is None else other
    return picture


def inked(bar: tuple[slice, slice]) -> Mask:
    mask = np.zeros((120, 140), np.bool_)
    mask[bar] = True
    return mask


def ink_of(picture: Pixels, invert: Invert = "auto") -> Ink:
    ink = find_ink(picture, invert)
    assert ink is not None
    assert 0 < ink.faint < ink.threshold < 1
    return ink


def likeness_on(paper: str, digit: Grey, seed: int, size_px: int = papers.DIGIT_PX, invert: Invert = "auto") -> float:
    """Compare what is seen of a digit on a made paper with what is seen of it on white."""
    pictures = (papers.draw(name, digit, np.random.default_rng(seed), size_px) for name in ("plain", paper))
    white, other = (see(picture, invert) for picture in pictures)
    return likeness(other, white)


@pytest.mark.parametrize("paper", [0, 30, 128, 200])
def test_ink_is_told_from_paper_by_the_picture(paper: int) -> None:
    cover = draw_big() / 255
    for ink in (0, 90, 255):
        if abs(ink - paper) > 20:
            picture = (paper + cover * (ink - paper)).astype(np.uint8)
            assert likeness(see(picture), see(draw_big())) > 0.97


@pytest.mark.parametrize("digit", [0, 6, 8, 9])
def test_the_holes_of_a_digit_beside_a_books_dark_fold_are_no_ink(digit: int) -> None:
    small = draw_digit(digit, seed=digit)
    page = np.zeros((300, 400))
    page[60:240, 150:330] = np.asarray(small.resize((180, 180), Image.Resampling.BICUBIC)) / 255
    light = 1 - 0.8 * np.exp(-np.arange(400) / 40)  # from the fold, along the left side, to the right
    folded, flat = (235 * lit * (1 - 0.75 * page) for lit in (light, 1))
    assert likeness(see(folded.astype(np.uint8)), see(flat.astype(np.uint8))) > 0.97


@pytest.mark.parametrize(
    ("corner", "radius", "edge"),
    [
        pytest.param((0, 0), 75, 4, id="small, with a soft edge, over the digit"),
        pytest.param((200, 280), 160, 1, id="large, with a sharp edge"),
    ],
)
def test_a_shadow_in_a_corner_is_no_ink(corner: tuple[int, int], radius: int, edge: float) -> None:
    page = (225 - 0.75 * draw_big()) * np.linspace(0.95, 1, 200)
    shadow = cv2.circle(np.zeros(page.shape, np.float32), corner, radius, 0.5, cv2.FILLED)
    shaded = page * (1 - cv2.GaussianBlur(shadow, (0, 0), edge))
    assert likeness(see(shaded.astype(np.uint8)), see(page.astype(np.uint8))) > 0.97


def test_lines_that_take_a_third_of_the_paper_do_not_hide_the_ink() -> None:
    cover = draw_big()[..., None] / 255
    height, width, _ = cover.shape
    paper = np.full((height, width, 3), (250, 250, 245), np.float64)
    for line in range(0, max(height, width), 20):
        paper[:, line : line + 4] = paper[line : line + 4] = 110, 150, 225
    noise = np.random.default_rng(0).normal(0, 3, paper.shape)
    lit = paper * np.linspace(0.8, 1, width)[:, None] + noise  # from one side, so that the paper is no constant
    picture = (lit * (1 - 0.7 * cover)).clip(0, 255).astype(np.uint8)
    assert likeness(see(picture), see(draw_big())) > 0.9


def test_colour_on_colour_of_the_same_grey_is_seen() -> None:
    cover = draw_big()[..., None] / 255
    paper, ink = np.array([100, 180, 100]), np.array([230, 110, 120])
    assert likeness(see((paper * (1 - cover) + ink * cover).astype(np.uint8)), see(draw_big())) > 0.97


def test_what_is_lighter_than_the_paper_is_no_dark_ink() -> None:
    paper = 128 - draw_big() // 2
    striped = paper.copy()
    striped[60:70, :110][paper[60:70, :110] == 128] = 255
    assert likeness(see(striped), see(paper)) > 0.95


def on_patch(paper: tuple[int, int, int], patch: tuple[int, int, int], how: str, blur: float = 0) -> np.ndarray:
    """Draw a 7, nearly black, on a patch that is a bar, a narrow one or a round spot: (360, 420, 3) uint8."""
    ground = np.full((360, 420, 3), paper, np.float32)
    shape = np.zeros((360, 420), np.float32)
    if how == "spot":
        cv2.circle(shape, (250, 180), 80, 1, -1)
    else:
        shape[150 if how == "narrow bar" else 130 : 210, 60:360] = 1
    soft = cv2.GaussianBlur(shape, (0, 0), blur) if blur else shape
    ground += soft[..., None] * (np.array(patch, np.float32) - paper)
    seven = np.zeros((360, 420), np.uint8)
    cv2.polylines(seven, [np.array([(150, 110), (270, 110), (200, 260)])], False, 255, 8, cv2.LINE_AA)
    ground *= 1 - 0.9 * (seven[..., None] / 255)
    light = np.linspace(0.85, 1, 420)[:, None] if how == "spot" else 1.0  # of a photograph
    return (ground * light).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("paper", "patch", "how", "blur"),
    [
        ((245, 240, 230), (220, 225, 60), "bar", 0),  # a text marker's
        ((240, 240, 240), (120, 220, 100), "bar", 2),
        ((240, 240, 240), (120, 220, 100), "narrow bar", 2),
        ((120, 115, 110), (255, 255, 255), "spot", 6),  # a lamp's
        ((225, 220, 215), (130, 128, 125), "spot", 4),  # a shadow
    ],
)
def test_a_patch_below_a_digit_is_no_ink(
    paper: tuple[int, int, int], patch: tuple[int, int, int], how: str, blur: float
) -> None:
    assert likeness(see(on_patch(paper, patch, how, blur)), see(on_patch(paper, paper, how))) > 0.9


def test_a_bold_digit_is_no_patch() -> None:
    bold = np.full((200, 160), 230, np.uint8)
    cv2.polylines(bold, [np.array([(40, 40), (120, 40), (70, 170)])], False, 30, 36)
    glyph, _ = find_glyph(read_picture(save(bold)))
    assert glyph is not None
    assert glyph.box[2:] == pytest.approx((117, 166), abs=4)


def test_a_bold_digit_above_a_thin_darker_line_is_no_patch() -> None:
    light = np.linspace(0.85, 1, 420)[:, None]  # of a photograph
    bold = np.full((360, 420, 3), 225, np.float32)
    cv2.polylines(bold, [np.array([(150, 60), (260, 60), (190, 250)])], False, (120, 120, 125), 36, cv2.LINE_AA)
    underlined = bold.copy()
    cv2.line(underlined, (60, 320), (370, 322), (20, 20, 25), 5, cv2.LINE_AA)
    assert likeness(see((underlined * light).astype(np.uint8)), see((bold * light).astype(np.uint8))) > 0.95


def test_invert_overrides_the_judgement() -> None:
    picture = draw_big()
    assert np.array_equal(see(picture, "no"), see(255 - picture, "yes"))
    inverted, _ = find_glyph(read_picture(save(picture)), "yes")
    assert inverted is None or likeness(inverted.image, see(picture)) < 0.5


@pytest.mark.parametrize("paper", [(255, 255, 254), (254, 255, 255), (250, 249, 249)])
def test_dark_ink_on_paper_that_is_not_quite_grey_is_seen(paper: tuple[int, int, int]) -> None:
    picture = Image.new("RGB", (100, 100), paper)
    ImageDraw.Draw(picture).rectangle((45, 20, 54, 79), "black")
    assert np.array_equal(see(picture, "yes"), see(picture))


def test_a_blot_that_fills_a_picture_is_no_frame() -> None:
    picture = Image.new("L", (60, 60), "white")
    ImageDraw.Draw(picture).ellipse((1, 1, 58, 58), "black")
    glyph, _ = find_glyph(read_picture(save(picture)))
    assert glyph is not None
    assert glyph.is_no_digit
    assert glyph.image[14, 14] == 255  # the blot is the ink


def test_a_frame_is_no_ink() -> None:
    picture = np.pad(255 - draw_big(), 20, constant_values=255)
    picture[:4] = picture[-4:] = 0
    picture[:, :4] = picture[:, -4:] = 0
    assert likeness(see(picture), see(255 - draw_big())) > 0.97


@pytest.mark.parametrize("size", [28, 100])
@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("invert", ["auto", "yes", "no"])
def test_a_blank_picture_shows_nothing(invert: Invert, level: int, size: int) -> None:
    assert find_glyph(read_picture(save(np.full((size, size), level, np.uint8))), invert)[0] is None


def test_grainy_paper_without_ink_shows_nothing() -> None:
    paper = np.random.default_rng(0).normal(200, 4, (300, 300)).clip(0, 255).astype(np.uint8)
    assert find_glyph(read_picture(save(paper)))[0] is None


@pytest.mark.parametrize("paper", ["ruled", "squared"])
@pytest.mark.parametrize("seed", range(2))
def test_paper_with_lines_and_without_ink_shows_nothing(seed: int, paper: str) -> None:
    empty = np.zeros(papers.PAGE_PX, np.float32)
    page = papers.photograph(paper, empty, np.random.default_rng(seed))
    assert find_glyph(read_picture(save(page)))[0] is None


@pytest.mark.parametrize("paper", papers.PAPERS)
def test_a_digit_on_made_paper_looks_as_it_does_on_white(paper: str) -> None:
    digit = np.asarray(draw_digit(4, seed=1))
    assert likeness_on(paper, digit, seed=5) > (0.8 if paper in ("askew", "finely_squared", "on_a_desk") else 0.9)


@pytest.mark.parametrize("invert", ["auto", "yes"])
@pytest.mark.parametrize("paper", ["wooden", "crumpled", "askew", "finely_squared"])
def test_a_small_digit_is_told_from_what_is_all_over_its_paper(paper: str, invert: Invert) -> None:
    digit = np.asarray(draw_digit(6, seed=1))
    assert likeness_on(paper, digit, 0, 140, invert) > (0.8 if paper in ("askew", "finely_squared") else 0.9)


@pytest.mark.parametrize("seed", [34, 108])
def test_squares_that_are_not_level_are_left_out(seed: int) -> None:
    digit = np.asarray(draw_digit(seed % 10, seed=seed))
    assert likeness_on("askew", digit, seed) > 0.8


def test_squares_are_left_out_though_fainter_lines_divide_them() -> None:
    digit = np.asarray(draw_digit(4, seed=124))
    assert likeness_on("divided", digit, 124, 140) > 0.8


@pytest.mark.parametrize("seed", [22, 23])
def test_fine_squares_that_stand_out_less_in_the_shade_are_left_out(seed: int) -> None:
    random, digits = np.random.default_rng(seed), draw_digits(np.array([4, 7, 2], np.uint8), seed=seed)
    page = papers.photograph("finely_squared", papers.row_of(list(digits), random), random)
    assert [len(row) for row in find_glyphs(read_picture(save(page)))] == [3]


@pytest.mark.parametrize(("ink", "lines", "grain"), [(45, 28, 4), (45, 36, 5), (60, 20, 6)])
def test_squares_on_grainy_paper_are_left_out_though_ink_is_faint(ink: int, lines: int, grain: int) -> None:
    page = 232 - draw_big(size=(500, 400))[:400, :340] / 255 * ink
    squared = page + np.random.default_rng(0).normal(0, grain, page.shape)
    for first in (10, 11):
        squared[first::26] -= lines
        squared[:, first::26] -= lines
    assert likeness(see(squared.clip(0, 255).astype(np.uint8)), see(page.astype(np.uint8))) > 0.9


@pytest.mark.parametrize("seed", [37, 57, 97])
def test_a_stroke_that_runs_into_a_shadow_is_told_from_it(seed: int) -> None:
    digit = np.asarray(draw_digit(7, seed=seed))
    assert likeness_on("shaded", digit, seed) > 0.7  # a pixel aside, as the centre of mass may move, leaves no more


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((255,), (0,)),
        ((0,), (255,)),
        ((200,), (185,)),
        ((128,), (90,)),
        ((240, 240, 235), (30, 40, 120)),
        ((100, 180, 100), (190, 95, 95)),  # nearly of the same grey
    ],
)
def test_ink_has_a_strength_of_1_and_paper_one_of_0(paper: Sequence[int], ink: Sequence[int]) -> None:
    assert np.allclose(ink_of(painted(paper, ink)).strength, inked(BAR), atol=1e-3)


def test_half_as_much_ink_is_half_as_strong() -> None:
    strength = ink_of(painted((220,), (20,), (120,))).strength
    assert np.allclose(strength[BAR], 1, atol=1e-3)
    assert np.allclose(strength[OTHER_BAR], 0.5, atol=1e-3)


@pytest.mark.parametrize(("invert", "bar"), [("auto", BAR), ("yes", BAR), ("no", OTHER_BAR)])
@pytest.mark.parametrize(
    ("paper", "dark", "light"), [((130,), (40,), (220,)), ((120, 130, 140), (120, 20, 10), (120, 240, 250))]
)
def test_ink_is_on_the_side_that_is_asked_for(
    paper: Sequence[int], dark: Sequence[int], light: Sequence[int], invert: Invert, bar: tuple[slice, slice]
) -> None:
    ink = ink_of(painted(paper, dark, light), invert)  # the dark bar is the longer one
    assert np.array_equal(ink.strength > ink.threshold, inked(bar))


def test_what_differs_from_paper_in_another_colour_than_ink_is_none() -> None:
    ink = ink_of(painted((200, 200, 200), (40, 40, 40), (230, 170, 200)))  # as grey as the paper
    assert np.allclose(ink.strength, inked(BAR), atol=1e-3)


@pytest.mark.parametrize("light", [np.linspace(0.6, 1, 140), 1 - 0.4 * np.linspace(-1, 1, 140) ** 2])
def test_paper_in_uneven_light_is_paper(light: np.ndarray) -> None:
    ink = ink_of((painted((230,), (40,)) * light[:, None]).astype(np.uint8))
    assert np.allclose(ink.strength, inked(BAR), atol=0.05)


@pytest.mark.parametrize("grain", [3, 6, 10])  # standard deviations of grey levels
def test_grain_is_no_ink(grain: float) -> None:
    noise = np.random.default_rng(0).normal(0, grain, (120, 140, 1))
    ink = ink_of((painted((210,), (120,)) + noise).clip(0, 255).astype(np.uint8))
    assert np.array_equal(ink.strength > ink.threshold, inked(BAR))
    assert np.mean((ink.strength > ink.faint) != inked(BAR)) < 0.03


@pytest.mark.parametrize("invert", ["auto", "yes", "no"])
@pytest.mark.parametrize("ink", [(200,), (192,), (208,), (200, 200, 200), (194, 206, 200)])
def test_what_hardly_differs_from_paper_is_no_ink(ink: Sequence[int], invert: Invert) -> None:
    assert find_ink(painted((200,) * len(ink), ink), invert) is None


@pytest.mark.parametrize("paper", [255, 0, 140])
@pytest.mark.parametrize("digit", range(10))
def test_a_drawings_levels_tell_its_ink_as_what_works_for_all_pictures_does(digit: int, paper: int) -> None:
    ink = 0 if paper else 230
    drawing = (paper + draw_big(digit, (140, 110)) / 255.0 * (ink - paper)).round().astype(np.uint8)[..., None]
    assert _find_drawn(drawing) is not None
    counted = ink_of(drawing)
    measured = find_ink(drawing, on_patches=True)  # looks at what it finds as of a photograph; there is no patch
    assert measured is not None
    assert np.array_equal(counted.strength, measured.strength)
    assert (counted.threshold, counted.faint) == (measured.threshold, measured.faint)


@pytest.mark.parametrize("invert", ["auto", "yes"])
def test_lines_with_margins_are_taken_out_of_a_drawing_too(invert: Invert) -> None:
    drawing = np.full((400, 400), 255, np.uint8)
    for row in range(40, 380, 30):
        drawing[row : row + 2, 25:375] = 150
    digit = np.zeros((400, 400), np.bool_)
    digit[130:250, 180:255] = draw_ink(5) > 127
    drawing[digit] = 0
    glyph, _ = find_glyph(as_picture(drawing), invert)
    assert glyph is not None
    assert glyph.box == pytest.approx(bounding_box(digit), abs=3)


@pytest.mark.parametrize("invert", ["yes", "no"])
@pytest.mark.parametrize("contrast", [15, 20, 30])
@pytest.mark.parametrize("digit", [0, 1])
def test_faint_ink_of_a_drawing_is_the_same_where_its_side_is_told(digit: int, contrast: int, invert: Invert) -> None:
    paper, ink = (255, 255 - contrast) if invert == "yes" else (0, contrast)
    drawing = np.full((280, 280, 1), paper, np.uint8)
    drawing[40:240, 70:195, 0][draw_ink(digit, 200) > 127] = ink
    judged, told = find_ink(drawing), find_ink(drawing, invert)
    assert judged is not None
    assert told is not None
    assert np.array_equal(judged.strength > judged.threshold, told.strength > told.threshold)


def test_grey_is_the_same_ink_in_colour() -> None:
    light = np.linspace(250, 190, 200)  # from one side to the other
    grey = (light * (1 - 0.9 * draw_big() / 255)).round().astype(np.uint8)[..., None]
    one, other = ink_of(grey), ink_of(grey.repeat(3, axis=2))
    assert (one.threshold, one.faint) == pytest.approx((other.threshold, other.faint), rel=0.01)
    assert np.abs(one.strength - other.strength).max() < 0.01
