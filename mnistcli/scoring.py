"""Inference and scoring: logits from images, and how well they agree with labels."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.augment import Distortions
from mnistcli.config import EVAL_BATCH_SIZE
from mnistcli.data import Normalization
from mnistcli.idx import SIDE_PX
from mnistcli.model import Classifier
from mnistcli.ranks import ALONE, Ranks
from mnistcli.rejection import Rejector

CLASSES = 10

# Besides the image itself: pixels to the right and down, and degrees. Chosen by 10,000 held-out images.
TTA_VIEWS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 8), (0, 0, -8))

TEMPERATURES = torch.logspace(-2, 2, 81, base=2, dtype=torch.float64)  # each 3.5 % above the one before

# Passes on batches of images, one after another, so that it can be shown how far the network is.
Follow = Callable[[Sequence[Tensor]], Iterable[Tensor]]


class Outputs(NamedTuple):
    """What a network gives for N images."""

    logits: Tensor  # (N, 10) float32
    features: Tensor  # (N, F) float32, the inputs of its last layer


class Calibration(NamedTuple):
    """What makes probabilities of a network's outputs, calibrated: of answers given p, a share p is right.

    It computes on the CPU, for MPS has no float64.
    """

    temperature: float = 1.0  # that logits are divided by
    rejector: Rejector | None = None  # tells what is no digit; None where nothing was learned of such

    def probabilities(self, outputs: Outputs) -> Tensor:
        """Give those of the digits for N images, (N, 10) float64, 0..1; what they lack of 1 is that of no digit."""
        probabilities = (outputs.logits.cpu().double() / self.temperature).softmax(1)
        if self.rejector is None:
            return probabilities
        return probabilities * self.rejector.digit_probabilities(outputs.features)[:, None]


UNCALIBRATED = Calibration()


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Evaluation:
    """How well logits agree with labels; equal to itself alone."""

    total: int  # images
    correct: int
    loss: float | None  # mean cross-entropy over all images, nats; None where an answer is no finite number
    confusion: Tensor  # (10, 10) int64 on the CPU, counts; row = true digit, column = answer

    @property
    def accuracy(self) -> float:
        """Give the share of right answers, 0..1."""
        return self.correct / self.total

    @property
    def per_digit(self) -> list["DigitScore"]:
        """Score each digit by itself, 0 to 9."""
        hits = self.confusion.diagonal().tolist()
        answers, counts = self.confusion.sum(0).tolist(), self.confusion.sum(1).tolist()
        return [
            DigitScore(digit, _share(hits[digit], answers[digit]), _share(hits[digit], counts[digit]), counts[digit])
            for digit in range(CLASSES)
        ]


@dataclass(frozen=True)
class DigitScore:
    """The scores of one digit; None where nothing is there to divide by."""

    digit: int
    precision: float | None  # 0..1, of the answers that were this digit, how many were right
    recall: float | None  # 0..1, of the images of this digit, how many were found
    count: int  # images of this digit


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@torch.inference_mode()
def ask(
    model: Classifier,
    images: Tensor,
    normalization: Normalization,
    batch_size: int = EVAL_BATCH_SIZE,
    *,
    tta: bool = False,
    follow: Follow = iter,
) -> Outputs:
    """Run the network over images, in evaluation mode and without gradients.

    Args:
        model: the network; its mode is left at evaluation.
        images: (N, 1, 28, 28) uint8, or float in the same range, on the network's device.
        normalization: what the network was trained with.
        batch_size: images at a time; it limits memory, and changes the outputs by rounding only.
        tta: whether to look at each image seven times, as it is, shifted by a pixel to each side and turned by 8
            degrees either way (test-time augmentation), and to give the logarithm of the mean probabilities, and the
            mean features.
        follow: what the batches are passed through; nothing by default.

    Returns:
        The outputs, on the same device.
    """
    model.eval()
    ask_batch = _ask_of_views if tta else _ask
    size = min(batch_size, max(len(images), 1))  # torch takes no number of more than 64 bits, and not 0
    batches = images.split(size)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    outputs = [ask_batch(model, batch, normalization) for batch in follow(batches)]
    return Outputs(*(torch.cat(parts) for parts in zip(*outputs, strict=True)))


def _ask(model: Classifier, images: Tensor, normalization: Normalization) -> Outputs:
    features = model.features(normalization(images))
    return Outputs(model.last(features), features)


def _ask_of_views(model: Classifier, images: Tensor, normalization: Normalization) -> Outputs:
    views = [images] + [_see(images, *view) for view in TTA_VIEWS]
    outputs = [_ask(model, view, normalization) for view in views]
    log_probabilities = torch.stack([each.logits.log_softmax(1) for each in outputs])  # (7, B, 10)
    features = torch.stack([each.features for each in outputs])
    return Outputs(log_probabilities.logsumexp(0) - math.log(len(views)), features.mean(0))


def _see(images: Tensor, right_px: float, down_px: float, degrees: float) -> Tensor:
    """Give (B, 1, 28, 28) float32 images, moved and turned clockwise about their centre; paper comes in at borders."""
    half, angle = SIDE_PX / 2, math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    affine = torch.tensor([[cos, sin, -right_px / half], [-sin, cos, -down_px / half]], device=images.device)
    return Distortions(affine.expand(len(images), 2, 3), bends=None, thickness=None)(images)


def find_temperature(logits: Tensor, labels: Tensor, ranks: Ranks = ALONE) -> float:
    """Find what to divide logits by for the least cross-entropy, by images that were not trained on.

    After Guo et al., "On calibration of modern neural networks", 2017. Which digit is the most probable does not change
    with it.

    Args:
        logits: (N, 10) float32.
        labels: (N,) int64.
        ranks: who have such logits; the temperature is that of all together.

    Returns:
        0.25 to 4.
    """
    logits, labels = logits.cpu().double(), labels.cpu()
    losses = [F.cross_entropy(logits / temperature, labels, reduction="sum") for temperature in TEMPERATURES]
    return float(TEMPERATURES[int(ranks.sum(torch.stack(losses)).argmin())])


def score(logits: Tensor, labels: Tensor, ranks: Ranks = ALONE) -> Evaluation:
    """Score (N, 10) float32 logits against (N,) int64 labels; several ranks score all that they have together.

    The loss is summed over all images and divided once: a mean of batch means would weigh a short last batch
    like a full one.
    """
    logits, labels = logits.cpu(), labels.cpu()
    pairs = labels * CLASSES + logits.argmax(1)  # each pair of true digit and answer has its own number
    loss_sum = F.cross_entropy(logits.double(), labels, reduction="sum")
    counts = pairs.bincount(minlength=CLASSES**2)
    sums = ranks.sum(torch.cat([loss_sum.view(1), counts.double()]))  # whole numbers are exact in float64
    confusion = sums[1:].long().view(CLASSES, CLASSES)
    total = int(confusion.sum())
    loss = float(sums[0]) / total
    return Evaluation(total, int(confusion.trace()), loss if math.isfinite(loss) else None, confusion)
