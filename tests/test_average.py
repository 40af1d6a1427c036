"""The average of a network's weights, and the statistics that are its own."""

import copy

import pytest
import torch

from conftest import make_samples
from mnistcli.average import refresh_statistics
from mnistcli.config import TrainConfig
from mnistcli.data import Normalization, Samples
from mnistcli.loop import StepDone, fit, start
from mnistcli.model import LeNet, Strided
from mnistcli.strokes import Strokes

NORMALIZATION = Normalization()


def test_the_average_is_the_moving_one_with_statistics_of_its_own() -> None:
    config = TrainConfig(epochs=2, batch_size=16, lr=0.05, ema_decay=0.3)
    train = make_samples(48)
    torch.manual_seed(0)
    state = start(config, Strided(), len(train))
    expected = [parameter.detach().clone() for parameter in state.model.parameters()]
    step = 0
    for event in fit(state, train, None, NORMALIZATION, config):
        if isinstance(event, StepDone):
            decay = min(0.3, (1 + step) / (10 + step))
            step += 1
            pairs = zip(expected, state.model.parameters(), strict=True)
            expected = [decay * old + (1 - decay) * new.detach() for old, new in pairs]
    assert state.average is not None
    for mine, theirs in zip(state.average.parameters(), expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    # The statistics of the first layer are those of its outputs over the undistorted images.
    convolution, normalised, *_ = state.average.layers  # type: ignore[misc]
    outputs = convolution(NORMALIZATION(train.images))
    torch.testing.assert_close(normalised.running_mean, outputs.mean((0, 2, 3)))
    torch.testing.assert_close(normalised.running_var, outputs.var((0, 2, 3)))


@pytest.fixture
def picked(monkeypatch: pytest.MonkeyPatch) -> list[Samples]:
    """List the images that strokes are picked out of, each time that it is done."""
    images, pick = [], Strokes.of

    def note(samples: Samples) -> Strokes:
        images.append(samples)
        return pick(samples)

    monkeypatch.setattr(Strokes, "of", note)
    return images


def test_the_strokes_of_outliers_are_picked_once_for_all_epochs(picked: list[Samples]) -> None:
    config = TrainConfig(epochs=2, batch_size=16, ema_decay=0.9, outliers=0.5)
    train = make_samples(48)
    state = start(config, Strided(), len(train))
    list(fit(state, train, None, NORMALIZATION, config))
    assert len(picked) == 1
    assert state.average is not None
    other = copy.deepcopy(state.average)
    refresh_statistics(other, train, NORMALIZATION, config.outliers)  # picks them itself
    assert len(picked) == 2
    for mine, theirs in zip(state.average.buffers(), other.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    refresh_statistics(other, train, NORMALIZATION)
    assert not torch.equal(next(other.buffers()), next(state.average.buffers()))


def test_no_outliers_are_made_for_a_network_without_statistics(picked: list[Samples]) -> None:
    refresh_statistics(LeNet(), make_samples(48), NORMALIZATION, 0.5)
    assert not picked


def test_a_short_rest_of_images_does_not_weigh_like_a_batch_of_them() -> None:
    images = torch.full((1001, 1, 28, 28), 30, dtype=torch.uint8)
    images[1000] = 255
    labels = torch.zeros(1001, dtype=torch.int64)
    torch.manual_seed(0)
    average, usual = Strided(), Strided()
    usual.load_state_dict(average.state_dict())
    refresh_statistics(average, Samples(images, labels), NORMALIZATION)
    refresh_statistics(usual, Samples(images[:1000], labels[:1000]), NORMALIZATION)
    for mine, theirs in zip(average.buffers(), usual.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)
