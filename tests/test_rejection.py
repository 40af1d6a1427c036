"""What tells digits from what is none, and what it is fitted to."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import draw_digits, make_samples
from mnistcli import rejection
from mnistcli.config import TrainConfig
from mnistcli.data import Samples
from mnistcli.errors import DivergedError
from mnistcli.ranks import Ranks
from mnistcli.rejection import (
    BATCH,
    LETTER_SHARE,
    MOST_DIGITS,
    PAIRS,
    SHAPES,
    count_examples,
    fit_rejector,
    make_examples,
)
from mnistcli.strokes import Strokes

CPU = torch.device("cpu")
ROBUST = TrainConfig(styles=0.5, written=0.5, shift_px=2, elastic_px=0.6, thickness=0.6, outliers=0.25)


def make_features(count: int) -> tuple[Tensor, Tensor]:
    """Give features of as many digits and letters together, whose logit is 2, -1 and 0 times them and 0.5."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, 3, generator=generator)
    shares = torch.sigmoid(features @ torch.tensor([2.0, -1.0, 0.0]) + 0.5)
    is_letter = torch.rand(count, generator=generator) < shares
    return features[~is_letter], features[is_letter]


def test_the_regression_finds_what_the_labels_were_drawn_by() -> None:
    rejector = fit_rejector(*make_features(40_000))
    assert rejector.weights == pytest.approx((2, -1, 0), abs=0.08)
    assert rejector.bias == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(
        rejector.digit_probabilities(torch.tensor([[1.0, 0, 0], [0, 1, 0]])),
        torch.tensor([0.076, 0.622]).double(),
        atol=0.02,
        rtol=0,
    )


def test_the_unit_of_a_feature_does_not_matter() -> None:
    digits, letters = make_features(1000)
    unit = torch.tensor([1000.0, 1, 0.001])
    shares = fit_rejector(digits, letters).digit_probabilities(letters)
    torch.testing.assert_close(
        fit_rejector(digits * unit, letters * unit).digit_probabilities(letters * unit), shares, atol=1e-3, rtol=0
    )


def test_features_that_are_no_numbers_are_told() -> None:
    digits, letters = make_features(100)
    letters[0, 0] = torch.nan
    with pytest.raises(DivergedError, match="smaller `lr`"):
        fit_rejector(digits, letters)


def test_large_features_that_are_always_the_same_tell_nothing() -> None:
    digits, letters = (F.pad(features, (0, 84), value=1e6) for features in make_features(1000))
    plain = fit_rejector(*make_features(1000)).digit_probabilities(letters[:, :3])
    torch.testing.assert_close(fit_rejector(digits, letters).digit_probabilities(letters), plain, atol=1e-3, rtol=0)


def test_few_examples_and_features_that_are_always_the_same_are_told_apart() -> None:
    digits = torch.tensor([[1.0, 0, 7], [2, 0, 7]])
    letters = torch.tensor([[-1.0, 0, 7]])
    rejector = fit_rejector(digits, letters)
    assert (rejector.digit_probabilities(digits) > 0.99).all()
    assert (rejector.digit_probabilities(letters) < 0.01).all()


def test_examples_are_digits_of_each_image_and_shapes_the_same_each_time() -> None:
    held_out = make_samples(BATCH // 2 + 10)
    batches = list(make_examples(held_out, ROBUST))
    whole = [BATCH, int(SHAPES * BATCH)]
    assert [len(images) for batch in batches for images in batch] == [*whole, *whole, 40, int(SHAPES * 40)]
    for batch, again in zip(batches, make_examples(held_out, ROBUST), strict=True):
        for images, same in zip(batch, again, strict=True):
            assert images.min() >= 0
            assert images.max() <= 255
            assert torch.equal(images, same)
    assert not torch.equal(batches[0][1], batches[1][1])


@pytest.mark.parametrize(("held_out", "digits"), [(10, 40), (BATCH, 4 * BATCH), (30_000, MOST_DIGITS)])
def test_there_are_no_more_examples_than_tell_something_new(held_out: int, digits: int) -> None:
    assert count_examples(make_samples(held_out)) == math.ceil(digits / BATCH)


def test_as_many_batches_of_examples_are_made_as_were_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "MOST_DIGITS", 300)
    for images in (10, 70, 100):
        held_out = make_samples(images)
        batches = list(make_examples(held_out, ROBUST))
        assert len(batches) == count_examples(held_out)
        assert sum(len(digits) for digits, _ in batches) == min(4 * images, 300)


def test_digits_stay_what_they_are() -> None:
    labels = np.arange(20, dtype=np.uint8) % 10
    held_out = Samples(torch.from_numpy(draw_digits(labels, seed=0))[:, None], torch.from_numpy(labels).long())
    ((digits, shapes),) = make_examples(held_out, TrainConfig(outliers=0.25))  # no distortion but the texture

    def likeness(images: Tensor) -> float:
        originals = held_out.images.repeat(4, 1, 1, 1)[: len(images)].float()
        return float(F.cosine_similarity(images.flatten(1), originals.flatten(1)).mean())

    assert likeness(digits) > 0.9 > 0.7 > likeness(shapes)


@pytest.mark.parametrize("left_out", ["styles", "written"])
def test_digits_are_as_various_as_in_training(left_out: str) -> None:
    held_out = make_samples(60)
    ((digits, shapes),) = make_examples(held_out, ROBUST)
    ((others, other_shapes),) = make_examples(held_out, ROBUST.model_copy(update={left_out: 0.0}))
    assert not torch.equal(digits, others)
    assert torch.equal(shapes, other_shapes)


def test_digits_and_shapes_are_distorted_as_in_training() -> None:
    held_out = make_samples(60)
    (near, near_shapes), (far, far_shapes) = (  # by the same draws, of which the reach alone differs
        next(make_examples(held_out, TrainConfig(outliers=0.25, shift_px=reach))) for reach in (1e-6, 5.0)
    )
    assert (near - far).abs().amax((1, 2, 3)).gt(1).all()
    assert (near_shapes - far_shapes).abs().amax((1, 2, 3)).gt(1).all()


def test_some_shapes_are_pairs_and_most_others_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = make_samples(BATCH)
    asked: list[float] = []
    monkeypatch.setattr(Strokes, "make_pairs", lambda _, dice: torch.full((len(dice), 1, 28, 28), 255.0))
    make = Strokes.make_outliers

    def note(self: Strokes, dice: Tensor, letters: float) -> Tensor:
        asked.append(letters)
        return make(self, dice, letters)

    monkeypatch.setattr(Strokes, "make_outliers", note)
    shapes = torch.cat([shapes for _, shapes in make_examples(held_out, TrainConfig(outliers=0.25))])
    full = (shapes.amin((1, 2, 3)) > 200).float().mean().item()
    assert full == pytest.approx(PAIRS, abs=0.03)
    assert set(asked) == {LETTER_SHARE}


def test_ranks_make_their_shares_of_the_same_examples() -> None:
    held_out = make_samples(5)
    ((digits, shapes),) = make_examples(held_out, ROBUST)
    for rank in range(3):
        ((mine, others),) = make_examples(held_out, ROBUST, Ranks(CPU, rank, 3))
        torch.testing.assert_close(mine, digits[rank::3])
        torch.testing.assert_close(others, shapes[rank::3])
    ((none, _),) = make_examples(held_out, ROBUST, Ranks(CPU, 20, 21))
    assert len(none) == 0
