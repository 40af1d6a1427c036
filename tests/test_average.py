"""The average of a network's weights, and the statistics that are its own."""

import torch

from conftest import make_samples
from mnistcli.average import refresh_statistics
from mnistcli.config import TrainConfig
from mnistcli.data import Normalization, Samples
from mnistcli.loop import StepDone, fit, start
from mnistcli.model import Strided

NORMALIZATION = Normalization()


def test_the_average_is_the_moving_one_with_statistics_of_its_own() -> None:
    config = TrainConfig(batch_size=16, lr=0.05, ema_decay=0.3)
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
