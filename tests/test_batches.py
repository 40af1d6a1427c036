"""What an epoch's batches are made of, one at a time and several together."""

import numpy as np
import pytest
import torch

from conftest import draw_digits, make_samples
from elsewhere import Far, elsewhere
from mnistcli.batches import OUTLIER_BENDS, draw_epoch
from mnistcli.config import TrainConfig, read_config
from mnistcli.data import Normalization, Samples
from mnistcli.strokes import Strokes

ROBUST = TrainConfig.model_validate(read_config("robust") | {"outliers": 0.21})  # 2 and 3 for batches of 10 and 15
WHOLE = [slice(0, 10), slice(10, 20), slice(20, 35), slice(35, 45), slice(45, 47)]
OF_A_RANK = [slice(0, 5), slice(10, 15), slice(20, 28), slice(35, 40), slice(45, 46)]


def make(train: Samples, parts: list[slice], config: TrainConfig = ROBUST) -> list[tuple[torch.Tensor, torch.Tensor]]:
    batches = draw_epoch(config, train, Strokes.of(train), Normalization(), torch.Generator().manual_seed(0))
    return list(batches.take(parts))


@pytest.mark.parametrize("parts", [WHOLE, WHOLE[2:], OF_A_RANK])
@pytest.mark.parametrize("together", [1, 20, 4096])
def test_batches_that_are_made_together_for_an_accelerator_are_those_made_alone(
    monkeypatch: pytest.MonkeyPatch, parts: list[slice], together: int
) -> None:
    monkeypatch.setattr("mnistcli.batches.IMAGES_TOGETHER", together)
    train = make_samples(47)
    alone = make(train, parts)
    with elsewhere():
        far = make(Samples(Far(train.images), Far(train.labels)), parts)
    sizes = [int(part.stop * 0.21) - int(part.start * 0.21) + part.stop - part.start for part in parts]
    assert [len(images) for images, _ in alone] == sizes
    for mine, theirs in zip(alone, far, strict=True):
        for tensor, other in zip(mine, theirs, strict=True):
            assert isinstance(other, Far)
            assert torch.equal(other.near, tensor)


def test_styles_are_given_to_ones_and_sevens_alone() -> None:
    labels = np.arange(40, dtype=np.uint8) % 10
    train = Samples(torch.from_numpy(draw_digits(labels, seed=0))[:, None], torch.from_numpy(labels).long())
    drawn = []
    for share in (0.0, 1.0):
        [batch] = make(train, [slice(0, 40)], TrainConfig(styles=share))
        drawn.append(batch)
    (plain, digits), (styled, same_digits) = drawn
    assert torch.equal(digits, same_digits)
    assert set(digits[(plain != styled).flatten(1).any(1)].tolist()) == {1, 7}


def test_outliers_are_distorted_as_images_are() -> None:
    train = make_samples(47)
    ((still, _),), ((moved, _),) = (  # by the same dice
        make(train, [slice(0, 47)], TrainConfig(outliers=1.0, shift_px=reach)) for reach in (1e-6, 5.0)
    )
    assert len(still) == 2 * 47
    assert ((still - moved).abs().amax((1, 2, 3)) > 0.1).all()


def test_outliers_bend_farther_than_images() -> None:
    train = make_samples(200)
    config = TrainConfig(outliers=1.0, elastic_px=1.0)
    batches = draw_epoch(config, train, Strokes.of(train), Normalization(), torch.Generator().manual_seed(0))
    assert batches.extras is not None
    drawn = batches.distortions, batches.extras.distortions
    bends, wilder = (each.bends.std().item() for each in drawn if each and each.bends is not None)
    assert wilder / bends == pytest.approx(OUTLIER_BENDS, rel=0.05)


def test_an_accelerator_is_asked_for_less_where_batches_are_made_together(monkeypatch: pytest.MonkeyPatch) -> None:
    operators = []
    for together in (1, 4096):
        monkeypatch.setattr("mnistcli.batches.IMAGES_TOGETHER", together)
        train = make_samples(47)
        with elsewhere() as device:
            make(Samples(Far(train.images), Far(train.labels)), WHOLE)
        operators.append(device.operators)
    assert operators[1] < 0.5 * operators[0]
