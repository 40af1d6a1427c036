"""An exponential moving average of a network's weights, with batch-norm statistics of its own."""

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from mnistcli.data import Normalization, Samples
from mnistcli.strokes import OUTLIER_DICE, Strokes

# A twelfth of 60,000 images: their channels' means are near enough, at a fiftieth of an epoch's time.
STATISTICS_IMAGES, STATISTICS_BATCH = 5000, 1000


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Take the weights after a step into their average.

    Args:
        average: a network of the same kind, changed in place.
        model: the network that is trained.
        decay: how much of the old average stays.
        step: counted from 0 over all epochs. The first steps weigh more, as in TensorFlow's
            ExponentialMovingAverage, so that the untrained weights are soon forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def refresh_statistics(
    average: nn.Module,
    train: Samples,
    normalization: Normalization,
    outliers: float = 0.0,
    strokes: Strokes | None = None,
) -> None:
    """Take an averaged network's batch-norm statistics anew, from undistorted training images.

    Statistics belong to the weights that they were taken with: the average of both would fit neither (Izmailov et
    al., "Averaging weights leads to wider optima and better generalization", 2018). And they belong to what batches
    were made of in training.

    Args:
        average: the network, changed in place; one without batch normalisation stays as it is.
        train: on the network's device, N > 0; the first 5,000 images are looked at.
        normalization: what the network sees of a pixel.
        outliers: shapes that are no digits, for each image, always the same.
        strokes: what those are made of, where it has been picked out of all images already.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in average.modules()):
        return
    whole_batches = max(min(len(train), STATISTICS_IMAGES) // STATISTICS_BATCH, 1)
    used = train.images[: whole_batches * STATISTICS_BATCH]  # a short last batch would weigh like a full one
    batches = used.split(STATISTICS_BATCH)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    if outliers:
        dice = torch.rand(whole_batches, int(len(batches[0]) * outliers), OUTLIER_DICE, generator=torch.Generator())
        strokes = strokes or Strokes.of(train)
        shapes = [strokes.make_outliers(rows) for rows in dice.to(used.device)]
        batches = [torch.cat(mixed) for mixed in zip(batches, shapes, strict=True)]
    update_bn((normalization(batch) for batch in batches), average)
