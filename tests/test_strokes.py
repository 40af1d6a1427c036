"""Styles and shapes that are put together from strokes."""

import pytest
import torch

from mnistcli.config import TrainConfig
from mnistcli.data import Samples
from mnistcli.strokes import (
    LETTERS,
    OUTLIER_DICE,
    PAIR_DICE,
    STYLE_DICE,
    WRITTEN_DICE,
    Strokes,
    choose_for_styles,
    choose_for_writing,
)


def make_stem() -> torch.Tensor:
    stem = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    stem[..., 4:24, 13:15] = 255
    return stem


def make_strokes(label: int = 1) -> Strokes:
    return Strokes.of(Samples(make_stem(), torch.tensor([label])))


def dice(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, width, generator=torch.Generator().manual_seed(seed))


def test_a_stroke_lies_along_its_segment() -> None:
    laid = make_strokes().lay(torch.tensor([[[[-10.0, -2.0], [8.0, -2.0]]]]), torch.tensor([[0.0, 0.5]]))
    rows, columns = (laid[0, 0] > 127).nonzero().unbind(1)
    assert (columns.min() - 13.5, columns.max() - 13.5) == pytest.approx((-10, 8), abs=1)
    assert rows.float().mean() - 13.5 == pytest.approx(-2, abs=0.6)
    assert len(set(rows.tolist())) <= 3


def test_strokes_of_one_image_do_not_reach_the_next() -> None:
    segments = torch.tensor([[[[-8.0, 0.0], [8.0, 0.0]]], [[[0.0, -8.0], [0.0, 8.0]]]])
    both, rolls = make_strokes().lay(segments, torch.full((2, 2), 0.5)), torch.full((1, 2), 0.5)
    for row in range(2):
        torch.testing.assert_close(both[row : row + 1], make_strokes().lay(segments[row : row + 1], rolls))


def test_ones_get_their_flag_on_the_left_of_the_top_and_other_digits_stay() -> None:
    images, labels = make_stem().repeat(3, 1, 1, 1), torch.tensor([1, 4, 1])
    rolls = dice(3, STYLE_DICE)
    rolls[:, 0] = torch.tensor([0.1, 0.1, 0.9])  # the last is not among the share
    styled = make_strokes().add_styles(images, choose_for_styles(labels, 0.5, rolls), rolls)
    assert torch.equal(styled[1:], images[1:].float())
    added = ((styled[0, 0] > 127) & (images[0, 0] == 0)).nonzero()
    assert len(added) > 5
    assert (added[added[:, 0] < 20][:, 1] < 14).all()


def test_a_flag_may_be_bent_and_a_foot_may_be_below() -> None:
    rolls = torch.full((4, STYLE_DICE), 0.9)
    rolls[:, 6] = torch.tensor([0.4, 0.6, 0.4, 0.6])  # less than a half: bent
    rolls[:, 9] = torch.tensor([0.2, 0.2, 0.4, 0.4])  # less than three tenths: with a foot
    styled = make_strokes().add_styles(make_stem().repeat(4, 1, 1, 1), {1: torch.arange(4)}, rolls)[:, 0] > 127
    bent, straight = (styled[row, :20].any(0).nonzero().min() for row in (2, 3))
    assert bent < straight
    assert torch.equal(styled[:2, :20], styled[2:, :20])
    assert styled[:, 22:, 17:].flatten(1).any(1).tolist() == [True, True, False, False]


def test_sevens_get_a_bar_across_the_stem() -> None:
    styled = make_strokes().add_styles(make_stem(), {7: torch.tensor([0])}, dice(1, STYLE_DICE))
    row = styled[0, 0, 10:21].amax(0) > 127
    assert row[:13].any()
    assert row[15:].any()


def test_some_images_are_written_anew_and_the_others_stay() -> None:
    images, labels = make_stem().repeat(40, 1, 1, 1), torch.full((40,), 7)
    rolls = dice(40, WRITTEN_DICE)
    written = make_strokes().put_written(images, labels, choose_for_writing(0.3, rolls), rolls)
    is_chosen = rolls[:, 0] < 0.3
    assert 4 < is_chosen.sum() < 20
    assert torch.equal(written[~is_chosen], images[~is_chosen].float())
    bars = written[is_chosen][:, 0, :10] > 127  # a stem alone has no bar at its top
    assert (bars.any(1).sum(1) > 6).all()


def test_outliers_are_inked_and_no_two_letters_are_alike() -> None:
    rows = dice(300, OUTLIER_DICE)
    outliers = make_strokes().make_outliers(rows)
    assert outliers.shape == (300, 1, 28, 28)
    assert 0 <= outliers.min() < outliers.max() < 255.01
    inked = (outliers > 127).flatten(1).sum(1)
    assert (inked > 8).all()
    assert (inked < 600).all()
    letters = outliers[rows[:, 0] < LETTERS]
    assert len({letter.numpy().tobytes() for letter in letters}) == len(letters) > 150


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [
        pytest.param(0.4, [13, 14], [4, 23], id="turned"),
        pytest.param(0.6, [0, 27], [9, 18], id="a blob"),
        pytest.param(0.8, [0, 27], [13, 14], id="halves that changed places"),
        pytest.param(0.9, [4, 23], [13, 14], id="two in one place"),
    ],
)
def test_outliers_are_made_of_digits_in_four_ways(kind: float, rows: list[int], columns: list[int]) -> None:
    rolls = torch.zeros(1, OUTLIER_DICE)
    rolls[:, 0] = kind
    is_inked = make_strokes(label=7).make_outliers(rolls, letters=0.0)[0, 0] > 127
    for axis, ends in ((1, rows), (0, columns)):
        assert is_inked.any(axis).nonzero().flatten()[[0, -1]].tolist() == ends


def test_outliers_are_letters_alone_where_they_are_all_to_be() -> None:
    rows = dice(100, OUTLIER_DICE)
    strokes, half = make_strokes(), rows.clone()
    half[:, 0] *= 0.76  # of all kinds, the first
    torch.testing.assert_close(strokes.make_outliers(rows, letters=1.0), strokes.make_outliers(half))


def test_pairs_are_a_smaller_digit_on_either_side() -> None:
    pairs = make_strokes().make_pairs(dice(50, PAIR_DICE))[:, 0]
    stem = make_stem()[0, 0].float()
    for side in (pairs[:, :, :14], pairs[:, :, 14:]):
        assert (side > 60).any(2).any(1).all()
        height = (side > 60).any(2).sum(1)
        assert height.max() < (stem > 60).any(1).sum()
        assert height.min() >= 8
        assert height.max() - height.min() > 3
    assert (pairs[:, :, 13:15].amax((1, 2)) < 60).float().mean() > 0.5


def test_an_image_stands_in_where_there_is_no_one() -> None:
    assert make_strokes(label=5).make_outliers(dice(4, OUTLIER_DICE)).isfinite().all()


def test_none_are_made_of_no_dice() -> None:
    assert make_strokes().make_outliers(dice(0, OUTLIER_DICE)).shape == (0, 1, 28, 28)
    assert TrainConfig().outliers == TrainConfig().styles == TrainConfig().written == 0
