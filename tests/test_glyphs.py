"""From ink to what the network sees: how wide a digit's stroke is, its size and its place."""

import numpy as np
import pytest

from conftest import draw_big, find_glyph, likeness, save, see
from mnistcli.glyphs import (
    DRAWN_PX,
    INK_SIZE_PX,
    THINNEST_PX,
    WIDEST_PX,
    Stroke,
    correct_width,
    cut,
    draw,
    place,
    shrink,
    without_hairs,
)
from mnistcli.images import read_picture
from mnistcli.ink import Ink
from mnistcli.planes import Plane


def bar(width: int, length: int = 100) -> Plane:
    """Draw an upright stroke of a width and a length, with paper around it: (H, W) float32."""
    return np.pad(np.ones((length, width), np.float32), 20)


def middle(image: Plane) -> tuple[float, float]:
    """Give the row and the column of the centre of mass."""
    mass = image / image.sum()
    return mass.sum(1) @ np.arange(len(mass)), mass.sum(0) @ np.arange(mass.shape[1])


def test_a_big_picture_is_fitted_and_centred() -> None:
    image = see(draw_big())
    rows, columns = np.nonzero(image >= 64)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)
    mass = image / image.sum()
    assert (mass.sum(1) @ np.arange(28), mass.sum(0) @ np.arange(28)) == pytest.approx((14, 14), abs=0.5)


def test_the_shape_is_kept() -> None:
    bar = np.full((400, 300), 255, np.uint8)
    bar[50:350, 100:200] = 0
    rows, columns = np.nonzero(see(bar) >= 128)
    assert (np.ptp(rows) + 1) / (np.ptp(columns) + 1) > 2.5


def test_what_is_left_of_a_ruled_line_does_not_change_the_stroke() -> None:
    picture = np.pad(255 - draw_big(), 60, constant_values=255).repeat(3, 0).repeat(3, 1)
    alone = see(picture)
    row = int((picture < 128).sum(1).argmax())
    columns = np.flatnonzero(picture[row] < 128)
    for line in (row - 20, row, row + 20):
        picture[line : line + 2, columns[0] - 40 : columns[-1] + 40] = 0
    assert likeness(see(picture), alone) > 0.97


def test_thin_and_thick_strokes_come_out_with_the_data_sets_weight() -> None:
    inked = []
    for width in (2, 12, 120):
        picture = np.full((600, 600), 255, np.uint8)
        picture[100:500, 300 - width // 2 : 300 + (width + 1) // 2] = 0
        picture[500 - width : 500, 300:450] = 0
        inked.append(int((see(picture) >= 128).sum()))
    assert inked[0] == pytest.approx(inked[1], abs=4)
    assert 40 < inked[1] < inked[2] < 140  # 120 of 400 would be 6 pixels of 20


def test_a_stroke_that_thinning_would_take_away_is_drawn() -> None:
    trace = np.zeros((87, 9), np.float32)
    trace[3:-3, 4] = 0.3  # a few places that are sure, in a long faint one
    trace[40:43, 4] = 1
    assert draw(Stroke(trace)).any()


def test_a_blot_is_told_from_a_digit() -> None:
    rows, columns = np.mgrid[-100:100, -100:100]
    crossing = ((np.abs(rows) < 30) | (np.abs(columns) < 30)) & (np.abs(columns) < 80)
    dot, stroke = np.hypot(rows, columns) < 40, np.abs(columns) < 15
    bold_nine = (np.hypot(rows + 38, columns) < 42) | ((np.abs(columns - 20) < 22) & (rows > -38))
    for shape, is_no_digit in ((dot, True), (stroke, False), (crossing, False), (bold_nine, False)):
        picture = np.where(shape & (np.abs(rows) < 80), 0, 255).astype(np.uint8)
        glyph, _ = find_glyph(read_picture(save(picture)))
        assert glyph is not None
        assert glyph.is_no_digit == is_no_digit


@pytest.mark.parametrize("width", [4, 7, 12, 20, 25])
def test_a_strokes_width_is_that_of_the_pen(width: int) -> None:
    rows, columns = np.mgrid[-80:80, -80:80]
    along, across = 0.8 * columns + 0.6 * rows, 0.8 * rows - 0.6 * columns
    aslant = ((np.abs(along) < 60) & (np.abs(across) < width / 2)).astype(np.float32)
    for covered in (bar(width), aslant):
        assert Stroke(covered).width == pytest.approx(width, abs=1.5)


def test_what_is_long_but_thin_does_not_make_a_stroke_thinner() -> None:
    haired = bar(20)
    haired[100, :] = haired[60, :] = 1
    haired = np.pad(haired, ((0, 0), (100, 100)), mode="edge")
    assert Stroke(haired).width == Stroke(bar(20)).width
    assert np.array_equal(without_hairs(Stroke(haired)).covered[:, 100:-100], without_hairs(Stroke(bar(20))).covered)


@pytest.mark.parametrize("length", [4, 100, 900])
def test_ink_is_cut_out_at_a_size_at_which_its_width_can_be_corrected(length: int) -> None:
    strength = np.zeros((1000, 60), np.float32)
    strength[30 : 30 + length, 20:24] = 1
    covered = cut(Ink(strength, threshold=0.5, faint=0.2), strength > 0).covered
    assert max(covered.shape) == np.clip(length + 6, *DRAWN_PX)  # three pixels of paper on each side


@pytest.mark.parametrize(("width", "corrected_px"), [(3, THINNEST_PX), (6, THINNEST_PX), (40, WIDEST_PX)])
def test_thin_strokes_are_thickened_and_wide_ones_thinned(width: int, corrected_px: float) -> None:
    corrected = Stroke(correct_width(Stroke(bar(width))))
    assert corrected.width == pytest.approx(corrected_px * 100 / INK_SIZE_PX, abs=1.5)


@pytest.mark.parametrize("width", [10, 15, 25])
def test_a_stroke_as_wide_as_the_data_sets_stays(width: int) -> None:
    assert np.array_equal(correct_width(Stroke(bar(width))), bar(width))


@pytest.mark.parametrize(("shape", "small"), [((80, 30), (20, 8)), ((50, 200), (5, 20)), ((9, 4), (20, 9))])
def test_ink_shrinks_to_a_longer_side_of_20_in_its_shape(shape: tuple[int, int], small: tuple[int, int]) -> None:
    shrunk = shrink(np.pad(np.ones(shape, np.float32), 7))
    assert shrunk.shape == small
    assert (shrunk == 255).all()


@pytest.mark.parametrize("seed", range(5))
def test_ink_is_placed_with_its_centre_of_mass_at_the_centre(seed: int) -> None:
    random = np.random.default_rng(seed)
    ink = (random.random((20, random.integers(1, 21))) * np.linspace(50, 250, 20)[:, None]).astype(np.float32)
    image = place(ink)
    assert image.shape == (28, 28)
    assert middle(image) == pytest.approx((14, 14), abs=0.51)
    assert sorted(image[image > 0]) == sorted(np.round(ink[ink >= 0.5]))


def test_ink_that_lies_at_one_end_is_not_pushed_out() -> None:
    ink = np.ones((20, 20), np.float32)
    ink[0] = 200
    image = np.zeros((28, 28), np.uint8)
    image[8:, 4:24] = ink
    assert np.array_equal(place(ink), image)
    assert np.array_equal(place(ink.T), image.T)
