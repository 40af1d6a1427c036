"""Inference and scoring."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from mnistcli.data import Normalization
from mnistcli.model import MODELS, LeNet, build_model
from mnistcli.scoring import Calibration, calibrate, infer, score

NORMALIZATION = Normalization()


def make_images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)


def test_inference_is_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(LeNet(), torch.nn.Dropout(0.5)).train()
    images = make_images(5)
    assert torch.equal(infer(net, images, NORMALIZATION), infer(net[0], images, NORMALIZATION))


def test_inference_does_not_depend_on_the_batch_size() -> None:
    torch.manual_seed(0)
    net, images = LeNet(), make_images(25)
    whole = infer(net, images, NORMALIZATION)
    assert (whole.shape, whole.dtype, whole.requires_grad) == ((25, 10), torch.float32, False)
    torch.testing.assert_close(infer(net, images, NORMALIZATION, batch_size=7), whole)


def test_no_images_give_no_logits() -> None:
    for name in MODELS:  # as in a rank that has no share of a tiny validation set
        assert infer(build_model(name, {}), make_images(0), NORMALIZATION).shape == (0, 10)


def test_views_are_the_image_shifted_to_each_side_and_turned_both_ways() -> None:
    torch.manual_seed(0)
    net, images = LeNet(), make_images(12)
    net.fc3.weight.data *= 50  # sure of itself, so that the views differ
    bilinear = InterpolationMode.BILINEAR
    views = [
        affine(images.float(), angle, [right, down], scale=1, shear=[0.0], interpolation=bilinear)
        for right, down, angle in [(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 8), (0, 0, -8)]
    ]
    mean = torch.stack([infer(net, view, NORMALIZATION).softmax(1) for view in views]).mean(0)
    torch.testing.assert_close(infer(net, images, NORMALIZATION, batch_size=5, tta=True).exp(), mean)


@pytest.mark.parametrize("overstated", [0.5, 1.0, 3.0])
def test_calibration_undoes_how_much_confidence_is_overstated(overstated: float) -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20_000, 10, generator=generator) * 2
    labels = honest.softmax(1).multinomial(1, generator=generator)[:, 0]
    temperature, reject_logit = calibrate(honest * overstated, labels)
    assert temperature == pytest.approx(overstated, rel=0.06)
    assert reject_logit is None


@pytest.mark.parametrize("true", [Calibration(0.5, 1.0), Calibration(2.0, 4.0)])
def test_calibration_finds_how_far_a_digit_has_to_stand_out(true: Calibration) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40_000, 10, generator=generator) * 2 * true.temperature
    digits = true.probabilities(logits)
    answers = torch.cat([digits, 1 - digits.sum(1, keepdim=True)], 1).multinomial(1, generator=generator)[:, 0]
    is_digit = answers < 10
    shifted = logits + torch.randn(40_000, 1, generator=generator)  # which means nothing to a softmax
    found = calibrate(shifted[is_digit], answers[is_digit], shifted[~is_digit])
    assert found.temperature == pytest.approx(true.temperature, rel=0.06)
    assert found.reject_logit == pytest.approx(true.reject_logit, rel=0.1)


def test_probabilities_leave_to_no_digit_what_does_not_stand_out() -> None:
    logits = torch.zeros(2, 10)
    logits[1, 7] = 10  # by 9 above the mean
    flat, seven = Calibration(1.0, 9.0).probabilities(logits + 5)
    assert flat.sum() < 0.01
    assert seven.argmax() == 7
    assert seven[7] == pytest.approx(0.5, abs=0.01)
    torch.testing.assert_close(Calibration(2.0).probabilities(logits), (logits / 2).softmax(1))


def test_scores_agree_with_counting_by_hand() -> None:
    answers = torch.tensor([0, 1, 1, 2, 2, 2])
    labels = torch.tensor([0, 1, 2, 2, 2, 0])
    logits = F.one_hot(answers, 10).float() * 5
    result = score(logits, labels)
    assert (result.correct, result.total, result.accuracy) == (4, 6, 4 / 6)
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item())
    assert result.confusion[0].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    two = result.per_digit[2]
    assert (two.precision, two.recall, two.count) == (2 / 3, 2 / 3, 3)
    nine = result.per_digit[9]
    assert (nine.precision, nine.recall, nine.count) == (None, None, 0)
