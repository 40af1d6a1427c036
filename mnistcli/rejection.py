"""Telling by a network's features what is no digit, as the ten logits cannot: which digit it would be says less.

A network comes to know made letters by how they are made when it is trained long to tell them from digits. Here it is
left as it is, and only a readout of its features is fitted, to held-out images that it has never seen.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mnistcli.augment import draw_distortions, retexture
from mnistcli.config import TrainConfig
from mnistcli.data import Samples
from mnistcli.ranks import ALONE, Ranks
from mnistcli.strokes import OUTLIER_DICE, PAIR_DICE, STYLE_DICE, WRITTEN_DICE, Strokes

RIDGE = 1e-5  # for each example, of squared weights of features with a variance of 1
NEWTON_STEPS = 12
DRAWS = 4  # of each held-out image
# Shapes that are no digits: how many for each digit, and of them how many are letters, and two digits side by side.
# With more shapes more digits are turned away, and with fewer pairs more of those that touch are taken for one.
SHAPES, LETTERS, PAIRS = 0.7, 0.94, 0.06
BATCH = 250  # digits at a time, which limits memory


class Rejector(NamedTuple):
    """A logistic regression: the logit of no digit against any is linear in a network's features."""

    weights: tuple[float, ...]  # (F,)
    bias: float

    def digit_shares(self, features: Tensor) -> Tensor:
        """Give how probably each of (N, F) features are a digit's: (N,) float64, 0..1."""
        weights = torch.tensor(self.weights, dtype=torch.float64, device=features.device)
        return torch.sigmoid(-(features.double() @ weights + self.bias))


def fit_rejector(of_digits: Tensor, of_others: Tensor, ranks: Ranks = ALONE) -> Rejector:
    """Fit a logistic regression with a ridge penalty by Newton's method.

    After Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, section 4.4.1. The penalty goes
    by each feature's variance, so that it does not matter in which unit a feature is; the bias has next to none.

    Args:
        of_digits: (N, F) float32 features.
        of_others: (M, F) float32 features.
        ranks: who have such features; the regression is that of all together.
    """
    features = torch.cat([of_digits, of_others]).cpu().double()
    features = torch.cat([features, torch.ones_like(features[:, :1])], 1)  # the last is the bias's
    is_other = (torch.arange(len(features)) >= len(of_digits)).double()
    sums = ranks.sum(torch.stack([features.sum(0), (features**2).sum(0)]))
    count = sums[0, -1]
    variance = sums[1] / count - (sums[0] / count) ** 2
    # The least penalty, that of the bias too, lets the equations be solved where a feature is always the same.
    penalty = 2 * RIDGE * count * variance.clamp(min=1e-6)
    weights = torch.zeros_like(variance)
    for _ in range(NEWTON_STEPS):
        shares = torch.sigmoid(features @ weights)
        gradient = features.T @ (shares - is_other)
        hessian = features.T @ (features * (shares * (1 - shares))[:, None])
        sums = ranks.sum(torch.cat([hessian, gradient[None]]))
        weights = weights - torch.linalg.solve(sums[:-1] + penalty.diag(), sums[-1] + penalty * weights)
    *of_features, bias = weights.tolist()
    return Rejector(tuple(of_features), bias)


def make_examples(held_out: Samples, config: TrainConfig, ranks: Ranks = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
    """Make digits of each held-out image, and shapes that are none of their strokes, the same each time.

    All are distorted as in training, and how their ink runs out is drawn anew: nothing but their shape shall tell.

    Args:
        held_out: on the device to make them on.
        config: the recipe, of which styles, written digits and distortions are taken.
        ranks: who share the work.

    Yields:
        Batches of digits and of shapes that are none, (B, 1, 28, 28) and (C, 1, 28, 28) float32, 0..255.
    """
    strokes = Strokes.of(held_out)
    for number, part in enumerate(torch.arange(len(held_out)).repeat(DRAWS).split(BATCH)):  # type: ignore[no-untyped-call]
        yield _make(strokes, held_out.take(part), config, torch.Generator().manual_seed(number), ranks)


def _make(
    strokes: Strokes, batch: Samples, config: TrainConfig, generator: torch.Generator, ranks: Ranks
) -> tuple[Tensor, Tensor]:
    """Make a rank's share of a batch, drawn for all ranks alike."""
    device, share = batch.images.device, slice(ranks.rank, None, ranks.size)
    digits, shapes = len(batch), int(SHAPES * len(batch))

    def dice(count: int, columns: int) -> Tensor:
        return torch.rand(count, columns, generator=generator)[share].to(device)

    def distort(images: Tensor, count: int) -> Tensor:
        distortions = draw_distortions(config, count, generator)
        if distortions is not None:
            images = distortions[share].to(device)(images)
        return retexture(images, dice(count, 2))

    images, labels = batch.images[share], batch.labels[share]
    styled = strokes.add_styles(images, labels, config.styles, dice(digits, STYLE_DICE))
    written = strokes.put_written(styled, labels, config.written, dice(digits, WRITTEN_DICE))
    outliers, is_pair = strokes.make_outliers(dice(shapes, OUTLIER_DICE), LETTERS), dice(shapes, 1) < PAIRS
    others = torch.where(is_pair.view(-1, 1, 1, 1), strokes.make_pairs(dice(shapes, PAIR_DICE)), outliers)
    return distort(written, digits), distort(others, shapes)
