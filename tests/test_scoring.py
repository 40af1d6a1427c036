"""Inference and scoring."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from mnistcli.augment import Distortions
from mnistcli.data import Normalization, Samples
from mnistcli.loop import Best
from mnistcli.model import MODELS, LeNet, build_model
from mnistcli.rejection import Rejector
from mnistcli.scoring import Calibration, Outputs, ask, find_temperature, score

NORMALIZATION = Normalization()


def make_images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)


def test_inference_is_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    net, images = LeNet().train(), make_images(5)
    expected = ask(net, images, NORMALIZATION).logits
    net.fc2 = torch.nn.Sequential(net.fc2, torch.nn.Dropout(0.5)).train()  # type: ignore[assignment]
    assert torch.equal(ask(net, images, NORMALIZATION).logits, expected)


def test_inference_does_not_depend_on_the_batch_size() -> None:
    torch.manual_seed(0)
    net, images = LeNet(), make_images(25)
    whole = ask(net, images, NORMALIZATION).logits
    assert (whole.shape, whole.dtype, whole.requires_grad) == ((25, 10), torch.float32, False)
    torch.testing.assert_close(ask(net, images, NORMALIZATION, batch_size=7).logits, whole)


def test_no_images_give_no_logits() -> None:
    for name in MODELS:  # as in a rank that has no share of a tiny validation set
        assert ask(build_model(name), make_images(0), NORMALIZATION).logits.shape == (0, 10)


def test_views_are_the_image_shifted_to_each_side_and_turned_both_ways() -> None:
    torch.manual_seed(0)
    net, images = LeNet(), make_images(12)
    net.fc3.weight.data *= 50  # sure of itself, so that the views differ
    bilinear = InterpolationMode.BILINEAR
    views = [
        affine(images.float(), angle, [right, down], scale=1, shear=[0.0], interpolation=bilinear)
        for right, down, angle in [(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 8), (0, 0, -8)]
    ]
    of_views = [ask(net, view, NORMALIZATION) for view in views]
    outputs = ask(net, images, NORMALIZATION, batch_size=5, tta=True)
    probabilities = torch.stack([each.logits.softmax(1) for each in of_views])
    torch.testing.assert_close(outputs.logits.exp(), probabilities.mean(0))
    torch.testing.assert_close(outputs.features, torch.stack([each.features for each in of_views]).mean(0))


@pytest.mark.parametrize("overstated", [0.5, 1.0, 3.0])
def test_calibration_undoes_how_much_confidence_is_overstated(overstated: float) -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20_000, 10, generator=generator) * 2
    labels = honest.softmax(1).multinomial(1, generator=generator)[:, 0]
    assert find_temperature(honest * overstated, labels) == pytest.approx(overstated, rel=0.06)


@pytest.mark.parametrize("name", MODELS)
def test_features_are_what_the_last_layer_makes_logits_of(name: str) -> None:
    torch.manual_seed(0)
    net = build_model(name).requires_grad_(False)
    outputs = ask(net, make_images(3), NORMALIZATION, batch_size=2)
    torch.testing.assert_close(outputs.logits, net.last(outputs.features))
    torch.testing.assert_close(outputs.logits, net(NORMALIZATION(make_images(3))))


def test_threads_ask_one_network_together() -> None:
    torch.manual_seed(0)
    net, images = LeNet().eval(), make_images(200)
    expected = ask(net, images, NORMALIZATION, batch_size=10)
    with ThreadPoolExecutor(4) as threads:
        for outputs in threads.map(lambda _: ask(net, images, NORMALIZATION, batch_size=10), range(8)):
            assert torch.equal(outputs.features, expected.features)


def test_probabilities_leave_to_no_digit_what_the_rejector_takes() -> None:
    logits, features = torch.randn(2, 10, generator=torch.Generator().manual_seed(0)), torch.eye(2)
    calibration = Calibration(2.0, Rejector(weights=(-30.0, 1.0), bias=0.5))
    probabilities = (logits.double() / 2).softmax(1)
    probabilities[1] /= 1 + math.exp(1.5)
    torch.testing.assert_close(calibration.probabilities(Outputs(logits, features)), probabilities)


def test_scores_agree_with_counting_by_hand() -> None:
    answers = torch.tensor([0, 1, 1, 2, 2, 2])
    labels = torch.tensor([0, 1, 2, 2, 2, 0])
    logits = F.one_hot(answers, 10).float() * 5
    result = score(logits, labels)
    assert (result.correct, result.total, result.accuracy) == (4, 6, 4 / 6)
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item())
    assert result.confusion[0].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    scores = [(digit.precision, digit.recall, digit.count) for digit in result.per_digit]
    assert scores[:3] == [(1, 1 / 2, 2), (1 / 2, 1, 1), (2 / 3, 2 / 3, 3)]
    assert scores[9] == (None, None, 0)


def test_what_holds_tensors_is_equal_to_itself_alone() -> None:
    labels = torch.tensor([0, 1, 2])
    for make in (
        lambda: score(F.one_hot(labels, 10).float(), labels),
        lambda: Samples(make_images(3), labels),
        lambda: Distortions(torch.zeros(3, 2, 3), bends=None, thickness=None),
        lambda: Best(1, 0.5, {"bias": torch.zeros(3)}),
    ):
        one, other = make(), make()
        assert one != other
        assert {one, other} == {other, one}


def test_logits_that_are_no_numbers_have_no_loss() -> None:
    labels = torch.tensor([0, 1, 2])
    infinite = torch.zeros(3, 10).scatter(1, labels[:, None], -torch.inf)
    for logits in (torch.full((3, 10), torch.nan), infinite):
        result = score(logits, labels)
        assert (result.total, result.loss) == (3, None)
