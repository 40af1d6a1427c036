"""From ink to what the network sees: which marks are the digit, how wide its stroke is, its size and its place."""

import numpy as np
import pytest

from conftest import draw_big, find_glyph, likeness, save, see
from mnistcli.glyphs import Stroke, draw, find_marks
from mnistcli.images import read_picture
from mnistcli.ink import Ink


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


def test_specks_and_a_cut_neighbour_are_left_out() -> None:
    picture = np.pad(255 - draw_big(), 60, constant_values=255)
    alone = see(picture)
    picture[10:14, 10:14] = 0
    picture[100:170, -12:] = 0
    assert likeness(see(picture), alone) > 0.98


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
    for shape, is_blot in ((dot, True), (stroke, False), (crossing, False)):
        picture = np.where(shape & (np.abs(rows) < 80), 0, 255).astype(np.uint8)
        glyph, _ = find_glyph(read_picture(save(picture)))
        assert glyph is not None
        assert glyph.is_blot == is_blot


def test_a_faint_line_leads_a_mark_to_the_rim_only_with_full_ink() -> None:
    strength = np.zeros((200, 200), np.float32)
    strength[100] = 0.3
    strength[60:140, 90:100] = 1
    left, top, wide, high = find_marks(Ink(strength, threshold=0.5, faint=0.175)).boxes[1, :4].tolist()
    assert (left, top, wide, high) == pytest.approx((90, 60, 10, 80), abs=8)
    strength[:60, 90:100] = 1
    marks = find_marks(Ink(strength, threshold=0.5, faint=0.175))
    assert marks.boxes[1, :4].tolist() == [0, 0, 200, 140]
