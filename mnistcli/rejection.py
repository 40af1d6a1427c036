"""Telling by a network's features what is no digit, as the ten logits cannot: which digit it would be says less.

A network that is trained long to tell made letters from digits comes to know them by how they are made. Here it is left
as it is, and only a readout of its features is fitted, to examples that are made of held-out images.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.augment import draw_distortions, retexture
from mnistcli.config import TrainConfig
from mnistcli.data import Samples
from mnistcli.errors import DivergedError
from mnistcli.ranks import ALONE, Ranks
from mnistcli.strokes import (
    OUTLIER_DICE,
    PAIR_DICE,
    STYLE_DICE,
    WRITTEN_DICE,
    Strokes,
    choose_for_styles,
    choose_for_writing,
)

RIDGE = 1e-5  # for each example, of squared weights: ten times as much lets more letters pass
NEWTON_STEPS = 12  # after seven the weights change no more, except where examples are few and easily told apart
LEAST_VARIANCE = 1e-12  # of a feature: what is always the same tells nothing, and its deviation must not be 0
DRAWS = 4  # of each held-out image
MOST_DIGITS = 20_000  # more of them would take their time, and tell little that is new
# Shapes that are no digits: how many for each digit; how many of them are two digits side by side; and what share
# of the others are letters and signs. With more shapes more digits are turned away, and with fewer pairs more digits
# that touch are taken for a single one.
SHAPES, PAIRS, LETTER_SHARE = 0.7, 0.06, 0.94
BATCH = 250  # digits at a time, which limits memory


class Rejector(NamedTuple):
    """A logistic regression: the logit of no digit against any is linear in a network's features."""

    weights: tuple[float, ...]  # (F,)
    bias: float

    def digit_probabilities(self, features: Tensor) -> Tensor:
        """Give how probably each of (N, F) features are a digit's: (N,) float64, 0..1, on the CPU."""
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return torch.sigmoid(-(features.cpu().double() @ weights + self.bias))


def fit_rejector(of_digits: Tensor, of_shapes: Tensor, ranks: Ranks = ALONE) -> Rejector:
    """Fit a logistic regression with a ridge penalty by Newton's method, to features whose mean is 0 and variance 1.

    After Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, section 4.4.1.

    Args:
        of_digits: (N, F) float32 features.
        of_shapes: (M, F) float32 features of what is no digit.
        ranks: who have such features; all together have both kinds, and the regression is that of all.

    Returns:
        What tells one from the other, for features as they are given here.

    Raises:
        DivergedError: the features are no finite numbers.
    """
    features = torch.cat([of_digits, of_shapes]).cpu().double()
    is_shape = (torch.arange(len(features)) >= len(of_digits)).double()
    sums = ranks.sum(torch.stack([torch.ones_like(features).sum(0), features.sum(0), (features**2).sum(0)]))
    count, mean = sums[0, 0], sums[1] / sums[0]
    deviation = (sums[2] / count - mean**2).clamp(min=LEAST_VARIANCE).sqrt()
    scaled = F.pad((features - mean) / deviation, (0, 1), value=1)  # the last one is the bias's
    penalty = F.pad((2 * RIDGE * count).expand(len(mean)), (0, 1))  # the derivative's 2; the bias has none
    weights = torch.zeros_like(penalty)
    for _ in range(NEWTON_STEPS):
        probabilities = torch.sigmoid(scaled @ weights)
        gradient = scaled.T @ (probabilities - is_shape)
        hessian = scaled.T @ (scaled * (probabilities * (1 - probabilities))[:, None])
        sums = ranks.sum(torch.cat([hessian, gradient[None]]))
        if not sums.isfinite().all():
            raise DivergedError("what the network makes of images is no longer finite: try a smaller `lr`")
        weights = weights - torch.linalg.solve(sums[:-1] + penalty.diag(), sums[-1] + penalty * weights)
    of_features = weights[:-1] / deviation
    return Rejector(tuple(of_features.tolist()), float(weights[-1] - of_features @ mean))


def count_examples(held_out: Samples) -> int:
    """Tell how many batches `make_examples` makes."""
    return math.ceil(min(DRAWS * len(held_out), MOST_DIGITS) / BATCH)


def make_examples(held_out: Samples, config: TrainConfig, ranks: Ranks = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
    """Make digits of held-out images, 20,000 at most, and shapes that are none of their strokes, the same each time.

    All are distorted as in training, and how their ink runs out is drawn anew: nothing but their shape shall tell.

    Args:
        held_out: on the device to make them on.
        config: the recipe, of which styles, written digits and distortions are taken.
        ranks: who share the work.

    Yields:
        Batches of digits and of shapes that are none, (B, 1, 28, 28) and (C, 1, 28, 28) float32, 0..255.
    """
    strokes = Strokes.of(held_out)
    numbers = torch.arange(len(held_out), device=held_out.labels.device)
    for number, part in enumerate(numbers.repeat(DRAWS)[:MOST_DIGITS].split(BATCH)):  # type: ignore[no-untyped-call]
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
        distortions = draw_distortions(config, count, generator, device)
        if distortions is not None:
            images = distortions[share](images)
        return retexture(images, dice(count, 2))

    images, labels = batch.images[share], batch.labels[share]
    for_styles, for_written = dice(digits, STYLE_DICE), dice(digits, WRITTEN_DICE)
    styled = strokes.add_styles(images, choose_for_styles(labels, config.styles, for_styles), for_styles)
    chosen = choose_for_writing(config.written, for_written)
    written = strokes.put_written(styled, labels, chosen, for_written)
    others, is_pair = strokes.make_outliers(dice(shapes, OUTLIER_DICE), LETTER_SHARE), dice(shapes, 1)[:, 0] < PAIRS
    others[is_pair] = strokes.make_pairs(dice(shapes, PAIR_DICE)[is_pair])
    return distort(written, digits), distort(others, shapes)
