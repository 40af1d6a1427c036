"""Written characters, digits and others: their strokes, their size, their place."""

import pytest
import torch

from mnistcli.characters import (
    CHARACTER_DICE,
    CHARACTERS,
    DIGITS,
    FIRSTS,
    LIFTED,
    POINTS,
    SHARES,
    WRITTEN_SIZE_PX,
    _bend,
    pick_digits,
    pick_others,
    write,
)


def make_pen() -> torch.Tensor:
    pen = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    pen[..., 4:24, 13:15] = 255
    return pen


def write_plainly(number: int) -> torch.Tensor:
    """Write one character as the table has it, at its size: dice of one half bend nothing."""
    dice = torch.full((1, CHARACTER_DICE), 0.5)
    dice[:, 1] = 0  # straight from point to point, but for digits
    return write(torch.tensor([number]), make_pen(), dice)[0, 0]


@pytest.mark.parametrize("number", range(len(CHARACTERS) + len(DIGITS)))
def test_the_pen_goes_through_all_points_of_a_character(number: int) -> None:
    image = write_plainly(number)
    near = torch.nn.functional.max_pool2d(image[None], 3, stride=1, padding=1)[0]
    points = POINTS[number]
    scale = WRITTEN_SIZE_PX / (points.amax(0) - points.amin(0)).max()
    inked = (image > 60).nonzero().flip(1) + 0.5  # x, y
    middle = (inked.amax(0) + inked.amin(0)) / 2 - scale * (points.amax(0) + points.amin(0)) / 2
    places = (scale * points + middle).long().clamp(0, 27)
    assert (near[places[:, 1], places[:, 0]] > 100).all()


def test_the_pen_is_lifted_between_strokes() -> None:
    cross = next(number for number, (_, points) in enumerate(CHARACTERS) if points == "0,-8 0,8|-8,0 8,0")
    assert LIFTED[cross].tolist()[:4] == [False, True, False, True]
    inked = write_plainly(cross) > 100
    assert inked.sum(0).gt(0).sum() >= 16
    assert not inked[:10, :10].any()  # where the way from the first stroke's end to the second's begin would lie
    assert not inked[18:, :10].any()


def test_characters_have_a_digits_size_and_place_and_are_all_different() -> None:
    dice = torch.rand(200, CHARACTER_DICE, generator=torch.Generator().manual_seed(0))
    which = torch.arange(200) % len(POINTS)
    images = write(which, make_pen(), dice)[:, 0]
    assert images.shape == (200, 28, 28)
    assert images.isfinite().all()
    assert len({image.numpy().tobytes() for image in images}) == 200
    inked = images > 60
    sides = torch.maximum(inked.any(2).sum(1), inked.any(1).sum(1))
    assert ((sides >= 17) & (sides <= 24)).float().mean() > 0.97
    places = torch.arange(28) + 0.5 - 14
    for axis in (1, 2):
        middle = (images.sum(axis) * places).sum(1) / images.sum((1, 2))
        assert middle.abs().mean() < 0.6
    torch.testing.assert_close(write(which[:3], make_pen(), dice[:3])[:, 0], images[:3])  # each by its own dice alone


def test_writing_computes_no_running_maximum_which_mps_may_lack() -> None:
    dice = torch.full((2, CHARACTER_DICE), 0.5)
    with torch.profiler.profile() as done:
        write(torch.tensor([0, len(CHARACTERS)]), make_pen(), dice)
    operators = {event.key for event in done.key_averages()}
    assert "aten::gather" in operators
    assert "aten::cummax" not in operators


def test_a_corner_stays_one() -> None:
    dice = torch.rand(len(POINTS), CHARACTER_DICE, generator=torch.Generator().manual_seed(0))
    moved = _bend(POINTS, FIRSTS, dice)
    is_corner = (POINTS[:, 1:] == POINTS[:, :-1]).all(2)
    assert ((moved[:, 1:] == moved[:, :-1]).all(2) == is_corner).all()


def test_digits_are_never_straight_from_point_to_point(monkeypatch: pytest.MonkeyPatch) -> None:
    two = next(number for number, (digit, _) in enumerate(DIGITS) if digit == 2) + len(CHARACTERS)
    roundish = write_plainly(two)
    monkeypatch.setattr("mnistcli.characters.LEAST_ROUND", 0.0)
    assert not torch.equal(write_plainly(two), roundish)


def test_others_come_as_often_as_the_table_says() -> None:
    dice = torch.zeros(len(CHARACTERS), CHARACTER_DICE)
    dice[:, 0] = SHARES.cumsum(0) - SHARES / 2
    assert pick_others(dice).tolist() == list(range(len(CHARACTERS)))


def test_a_digit_is_written_in_all_its_ways_and_no_other_digit_is() -> None:
    dice = torch.rand(2000, CHARACTER_DICE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(2000) % 10
    places = pick_digits(labels, dice) - len(CHARACTERS)
    assert [DIGITS[place][0] for place in places] == labels.tolist()
    assert set(places.tolist()) == set(range(len(DIGITS)))


def test_nothing_is_written_of_no_dice() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert write(none, make_pen(), torch.zeros(0, CHARACTER_DICE)).shape == (0, 1, 28, 28)
