"""Digits that touch: where they may be cut apart, and which pieces are digits."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mnistcli
from conftest import draw_digit
from mnistcli.glyphs import Grey
from mnistcli.idx import SIDE_PX
from mnistcli.images import Glyph
from mnistcli.planes import Mask, connect
from mnistcli.touching import WHOLE, Run, cheapest_path, cut_apart, find_cuts

HEIGHT_PX = 100


def disc() -> Mask:
    rows, columns = np.ogrid[:HEIGHT_PX, :HEIGHT_PX]
    disc: Mask = np.hypot(rows - 49.5, columns - 49.5) < 50
    return disc


def ring() -> Mask:
    rows, columns = np.ogrid[:HEIGHT_PX, :HEIGHT_PX]
    return disc() & (np.hypot(rows - 49.5, columns - 49.5) > 42)


def glyph(left: int = 0, width: int = 10, *, is_no_digit: bool = False) -> Glyph:
    return Glyph(np.zeros((SIDE_PX, SIDE_PX), np.uint8), (left, 0, width, 20), is_no_digit)


def test_two_rings_are_cut_apart_where_they_touch() -> None:
    two = np.hstack([ring(), ring()])
    cuts = find_cuts(two, HEIGHT_PX)
    between = [cut for cut in cuts if abs(cut[HEIGHT_PX // 2] - HEIGHT_PX) < 5]
    assert len(between) == 1
    left = np.arange(2 * HEIGHT_PX) < between[0][:, None]
    assert (two & left).sum() == pytest.approx(ring().sum(), rel=0.05)


def test_a_cut_leans_where_digits_do() -> None:
    slanted = np.zeros((HEIGHT_PX, 260), np.bool_)
    for row in range(HEIGHT_PX):
        for left in (10, 100):
            slanted[row, left + HEIGHT_PX - row : left + HEIGHT_PX - row + 12] = True
    slanted[48:54, 70:160] = True  # joins them
    cuts = find_cuts(slanted, HEIGHT_PX)[2:-2]
    assert len(cuts) > 0
    for cut in cuts:
        assert cut[0] > cut[-1] + 20
        assert (
            1200 < (slanted & (np.arange(260) < cut[:, None])).sum() < 1200 + 6 * 90
        )  # a stroke, and of what joins both


def test_cuts_go_from_left_to_right_with_a_digits_height_on_both_sides() -> None:
    nothing = np.zeros((HEIGHT_PX, 40), np.bool_)
    low = np.hstack([nothing, ring(), ring(), nothing])
    low[60:66, :45] = low[60:66, -45:] = True  # a dash on either side
    middles = find_cuts(low, HEIGHT_PX)[:, HEIGHT_PX // 2]
    assert len(middles) > 2
    assert (np.diff(middles) > 0).all()
    assert middles.min() > 40
    assert middles.max() < 40 + 2 * HEIGHT_PX


def test_thick_ink_is_not_cut() -> None:
    assert len(find_cuts(np.ones((HEIGHT_PX, 2 * HEIGHT_PX), np.bool_), HEIGHT_PX)) == 0
    assert list(dict(cut_apart(np.ones((HEIGHT_PX, 300), np.bool_), HEIGHT_PX))) == [WHOLE]


def test_a_small_digit_is_not_cut_at_every_column_but_those_that_touch_may_be() -> None:
    eight = Image.fromarray(255 - touching("8"))
    small = np.asarray(eight.crop(eight.getbbox()).resize((9, 12), Image.Resampling.BOX)) > 127
    apart, close = (np.diff(find_cuts(mask, 12)[:, 6]).min() for mask in (small, np.hstack([small, small])))
    assert apart == 2
    assert close == 1
    assert len(list(cut_apart(small, 12))) < 20


def test_pieces_are_what_lies_between_cuts_without_a_neighbours_slivers() -> None:
    two = np.hstack([ring(), ring()])
    (_, whole), *others = cut_apart(two, HEIGHT_PX)
    assert np.array_equal(whole, two)
    assert any(piece.sum() == pytest.approx(ring().sum(), rel=0.05) for _, piece in others)
    number = touching("352") < 128
    number = number[number.any(1)]
    for mask in (two, number):
        for _, piece in islice(cut_apart(mask, len(mask)), 1, None):
            assert not (piece & ~mask).any()
            _, boxes = connect(piece)
            assert boxes[1:, 2:4].max(1).min() >= 0.25 * boxes[1:, 3].max()


def test_the_cheapest_way_leads_from_end_to_end() -> None:
    costs = {(0, 3): 2.0, (0, 1): 0.1, (1, 2): 0.1, (2, 3): 0.1, (0, 2): 3.0, (1, 3): 0.05}
    assert cheapest_path(costs) == ((0, 1), (1, 3))
    assert cheapest_path({(0, 1): 5.0}) == ((0, 1),)
    assert cheapest_path({(0, 2): 0.2, (0, 1): 0.19, (1, 2): 0.0}) == ((0, 2),)  # where it is a close call, uncut


def test_the_surest_digits_are_chosen_and_no_blots() -> None:
    pieces = {(0, 2): glyph(), (0, 1): glyph(), (1, 2): glyph(10)}
    assert Run(pieces).surest([0.3, 0.99, 0.98]) == [1, 2]
    assert Run(pieces).surest([0.99, 0.6, 0.9]) == [0]
    assert Run(pieces | {(0, 1): glyph(is_no_digit=True)}).surest([0.3, 0.99, 0.98]) == [0]
    assert Run.of(glyph()).surest([0.1]) == [0]


@pytest.mark.parametrize(("width", "surest"), [(20, [0]), (40, [1, 2])])
def test_what_is_as_sure_is_two_digits_where_it_is_wider_than_high(width: int, surest: list[int]) -> None:
    pieces = {(0, 2): glyph(width=width), (0, 1): glyph(), (1, 2): glyph(10)}
    assert Run(pieces).surest([0.9, 0.9, 0.9]) == surest


def test_a_run_moves_with_all_its_pieces() -> None:
    moved = Run({(0, 2): glyph(), (0, 1): glyph(), (1, 2): glyph(10)}).moved((100, 50, 300, 300))
    assert moved.whole.box == (100, 50, 10, 20)
    assert [piece.box[0] for piece in moved.pieces.values()] == [100, 100, 110]


def touching(digits: str) -> Grey:
    """Draw digits, each pushed to the left until it touches the one before it: dark on light."""
    page = np.zeros((200, 120 * len(digits) + 80), np.uint8)
    right = 40
    for place, digit in enumerate(digits):
        small = draw_digit(int(digit), seed=place)
        small = small.crop(small.getbbox())
        ink = np.asarray(small.resize((120 * small.width // small.height, 120), Image.Resampling.BICUBIC))
        high, wide = ink.shape
        while place and not (np.minimum(page[40 : 40 + high, right : right + wide], ink) > 128).any():
            right -= 1
        window = page[40 : 40 + high, right : right + wide]
        np.maximum(window, ink, out=window)
        right += wide
    return 255 - page


def see(tmp_path: Path, digits: str) -> Path:
    path = tmp_path / f"{digits}.png"
    Image.fromarray(touching(digits)).save(path)
    return path


@pytest.mark.parametrize("digits", ["45", "20", "51", "352"])
def test_digits_that_touch_are_read_one_by_one(tmp_path: Path, digits: str) -> None:
    [answer] = mnistcli.predict_multi([see(tmp_path, digits)], checkpoint="bundled", min_confidence=0)
    assert answer.text == digits
    boxes = [digit.glyph.box for digit in answer.digits if digit.glyph]
    assert boxes == sorted(boxes)


def test_digits_that_touch_look_like_several_in_a_picture_of_one(tmp_path: Path) -> None:
    two, one = mnistcli.predict([see(tmp_path, "45"), see(tmp_path, "2")], checkpoint="bundled")
    assert two.is_one_of_several
    assert not one.is_one_of_several
