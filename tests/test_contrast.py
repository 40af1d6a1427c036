"""Ink begins a bit below half of its contrast, and well above the noise of its paper, whatever that is like."""

import numpy as np
import pytest

from mnistcli.contrast import FAINT_SHARE, MIN_CONTRAST, NOISES, Layer, Source, find_threshold, histogram
from mnistcli.planes import Mask, Plane

SIZE = (240, 300)
STROKE = np.s_[40:200, 100:150]
PAPER = np.full((*SIZE, 1), 255, np.float32)


def grain(deviation: float, seed: int = 0) -> Plane:
    return np.random.default_rng(seed).normal(0, deviation, SIZE).astype(np.float32)


def stroke() -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    mask[STROKE] = True
    return mask


def layer_of(difference: Plane) -> Layer:
    found = Layer.of(PAPER, difference)
    assert found is not None
    return found


@pytest.mark.parametrize("contrast", [12, 30, 90, 255])
def test_ink_on_clean_paper_is_found_whole_however_faint(contrast: float) -> None:
    found = layer_of(np.where(stroke(), contrast, 0).astype(np.float32))
    assert np.array_equal(found.mask, stroke())
    assert found.ink_contrast == contrast
    assert found.threshold == pytest.approx(max(0.45 * contrast, MIN_CONTRAST), abs=1)


def test_what_hardly_differs_and_what_is_hardly_there_are_no_ink() -> None:
    assert Layer.of(PAPER, np.where(stroke(), MIN_CONTRAST, 0).astype(np.float32)) is None
    speck = np.zeros(SIZE, np.float32)
    speck[50, 50:53] = 255
    assert Layer.of(PAPER, speck) is None
    speck[50, 53] = 255
    assert layer_of(speck).mask.sum() == 4


@pytest.mark.parametrize("contrast", [60, 160])
def test_noise_is_that_of_the_paper_beside_its_ink(contrast: float) -> None:
    difference = np.where(stroke(), contrast, 0).astype(np.float32) + grain(6)
    found = layer_of(np.abs(difference))
    assert found.noise == pytest.approx(6, abs=1.5)  # levels are whole numbers
    assert found.threshold > NOISES * found.noise
    assert found.faint == pytest.approx(max(FAINT_SHARE * found.threshold, NOISES * found.noise))


def test_paper_that_is_estimated_wrong_is_not_taken_for_noise() -> None:
    ink = np.zeros(SIZE)
    ink[STROKE] = np.linspace(60, 180, 50)
    paper = np.where(np.arange(SIZE[1]) < 220, -40, 0)
    found = layer_of((np.where(stroke(), ink, paper) + grain(3)).astype(np.float32))
    assert found.threshold < 90
    assert found.mask[STROKE].mean() > 0.8


@pytest.mark.parametrize("deviation", [2, 4, 7, 10])
@pytest.mark.parametrize("clipped_at", [-1e9, -10, 0, 4])
def test_hardly_any_grain_is_ink_whatever_of_it_is_clipped(deviation: float, clipped_at: float) -> None:
    # `Source` gives distances, and what is measured along the ink's colour has the other side below 0.
    for difference in (np.abs(grain(deviation)), grain(deviation)):
        found = Layer.of(PAPER, np.where(difference > clipped_at, difference - max(clipped_at, 0), 0))
        assert found is None or found.mask.mean() < 3e-3


@pytest.mark.parametrize("deviation", [2, 4])
def test_faint_ink_is_told_from_grain_that_is_clipped_at_white(deviation: float) -> None:
    difference = np.maximum(np.where(stroke(), 8 * deviation, 0) + grain(deviation), 0).astype(np.float32)
    found = layer_of(difference)
    assert np.mean(found.mask == stroke()) > 0.99


def test_differences_of_greys_and_of_colours_are_on_one_scale() -> None:
    grey = np.where(stroke()[..., None], 0, PAPER).astype(np.float32)
    colour = np.repeat(grey, 3, axis=2)
    for image in (grey, colour):
        found = Source(image, is_ink_lighter=False).separate(np.full_like(image, 255))
        assert found is not None
        assert np.array_equal(found.mask, stroke())
        assert found.ink_contrast == pytest.approx(255, rel=0.01)


def test_where_ink_is_lighter_what_is_darker_is_none() -> None:
    image = np.where(stroke()[..., None], 200, PAPER - 155).astype(np.float32)
    image[10:30, 10:30] = 0
    paper = np.full_like(image, 100)
    lighter, either = (Source(image, is_ink_lighter=told).separate(paper) for told in (True, False))
    assert lighter is not None
    assert either is not None
    assert np.array_equal(lighter.mask, stroke())
    assert either.mask[20, 20]


def test_a_threshold_is_found_from_a_histogram() -> None:
    levels = np.where(stroke(), 200, 3).astype(np.uint8)
    counts = histogram(levels)
    assert counts.tolist() == np.bincount(levels.ravel(), minlength=256).tolist()
    assert find_threshold(counts, noise=0) == pytest.approx(90)
    assert find_threshold(counts, noise=40) == pytest.approx(160)
    assert find_threshold(counts, noise=50) is None


@pytest.mark.parametrize("known", [0, 5])
def test_grain_that_was_measured_before_is_not_measured_again(known: float) -> None:
    found = Layer.of(PAPER, np.where(stroke(), 60, 0).astype(np.float32) + grain(2), known)
    assert found is not None
    assert found.grain == known
    assert found.noise >= known
