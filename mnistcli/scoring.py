"""Inference and scoring: logits from images, and how well they agree with labels."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.augment import SIDE, Distortions
from mnistcli.config import EVAL_BATCH_SIZE
from mnistcli.data import Normalization
from mnistcli.ranks import ALONE, Ranks

CLASSES = 10

# Besides the image itself: pixels to the right and down, and degrees. Chosen by 10,000 held-out images.
TTA_VIEWS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 8), (0, 0, -8))

TEMPERATURES = torch.logspace(-2, 2, 81, base=2, dtype=torch.float64)  # each 3.5 % above the one before
REJECT_LOGITS = torch.logspace(-2, 4, 49, base=2, dtype=torch.float64)  # each 9 % above the one before


class Calibration(NamedTuple):
    """What turns a network's logits into probabilities that are as often right."""

    temperature: float = 1.0  # that logits are divided by
    reject_logit: float | None = None  # of "no digit", an eleventh answer, above the mean of the ten; None without it

    def probabilities(self, logits: Tensor) -> Tensor:
        """Give those of the digits, (N, 10), for (N, 10) logits; what they lack of 1 is that of no digit."""
        if self.reject_logit is None:
            return (logits / self.temperature).softmax(1)
        answers = F.pad(_centred(logits), (0, 1), value=self.reject_logit)  # (N, 11)
        return (answers / self.temperature).softmax(1)[:, :CLASSES]


UNCALIBRATED = Calibration()


def _centred(logits: Tensor) -> Tensor:
    """Take the mean off each row: any number added to all ten logits is the same to a softmax of digits."""
    return logits - logits.mean(1, keepdim=True)


@dataclass(frozen=True)
class Evaluation:
    """How well logits agree with labels."""

    total: int  # images
    correct: int
    loss: float  # mean cross-entropy over all images, nats
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
def infer(
    model: nn.Module,
    images: Tensor,
    normalization: Normalization,
    batch_size: int = EVAL_BATCH_SIZE,
    *,
    tta: bool = False,
) -> Tensor:
    """Run the network over images, in evaluation mode and without gradients.

    Args:
        model: the network; its mode is left at evaluation.
        images: (N, 1, 28, 28) uint8, or float in the same range, on the network's device.
        normalization: what the network was trained with.
        batch_size: images at a time; it limits memory and does not change the answers.
        tta: whether to look at each image seven times, as it is, shifted by a pixel to each side and turned by 8
            degrees either way (test-time augmentation), and to give the logarithm of the mean probabilities.

    Returns:
        (N, 10) float32 logits, on the same device.
    """
    model.eval()
    batches = images.split(batch_size)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    if not tta:
        return torch.cat([model(normalization(batch)) for batch in batches])
    return torch.cat([_mean_of_views(model, batch, normalization) for batch in batches])


def _mean_of_views(model: nn.Module, images: Tensor, normalization: Normalization) -> Tensor:
    views = [images] + [_see(images, *view) for view in TTA_VIEWS]
    shares = torch.stack([model(normalization(view)).log_softmax(1) for view in views])  # (7, B, 10)
    return shares.logsumexp(0) - math.log(len(views))


def _see(images: Tensor, right_px: float, down_px: float, degrees: float) -> Tensor:
    """Give (B, 1, 28, 28) float32 images, moved and turned clockwise about their centre; paper comes in at borders."""
    half, angle = SIDE / 2, math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    affine = torch.tensor([[cos, sin, -right_px / half], [-sin, cos, -down_px / half]], device=images.device)
    return Distortions(affine.expand(len(images), 2, 3), bends=None, thickness=None)(images)


def calibrate(logits: Tensor, labels: Tensor, of_outliers: Tensor | None = None, ranks: Ranks = ALONE) -> Calibration:
    """Find what makes probabilities of logits the shares that are right, by images that were not trained on.

    It is the temperature (Guo et al., "On calibration of modern neural networks", 2017), and where there are outliers
    the logit of no digit, with which the true answers have the least cross-entropy. Which digit is the most probable
    does not change with them.

    Args:
        logits: (N, 10) float32, of digits.
        labels: (N,) int64.
        of_outliers: (M, 10) float32, of shapes that are no digits; None where the network has not learned of any.
        ranks: who have such logits; the calibration is that of all together.

    Returns:
        A temperature of 0.25 to 4, and a logit of 0.25 to 16.
    """
    logits, labels = logits.cpu().double(), labels.cpu()
    if of_outliers is None:
        losses = [F.cross_entropy(logits / temperature, labels, reduction="sum") for temperature in TEMPERATURES]
        return Calibration(float(TEMPERATURES[int(ranks.sum(torch.stack(losses)).argmin())]))
    everything = _centred(torch.cat([logits, of_outliers.cpu().double()]))
    losses = [_losses_by_reject_logit(everything / temperature, labels, temperature) for temperature in TEMPERATURES]
    row, column = divmod(int(ranks.sum(torch.stack(losses)).argmin()), len(REJECT_LOGITS))
    return Calibration(float(TEMPERATURES[row]), float(REJECT_LOGITS[column]))


def _losses_by_reject_logit(logits: Tensor, labels: Tensor, temperature: Tensor) -> Tensor:
    """Give the summed cross-entropy for each of REJECT_LOGITS, (K,).

    Args:
        logits: (N + M, 10) float64, divided by the temperature, the first N of digits.
        labels: (N,) int64, of those.
        temperature: what the logit of no digit still has to be divided by.
    """
    of_digits = logits[: len(labels)].gather(1, labels[:, None]).sum()
    rejecting = REJECT_LOGITS / temperature
    normalizers = torch.logaddexp(logits.logsumexp(1)[:, None], rejecting).sum(0)  # (K,)
    return normalizers - of_digits - (len(logits) - len(labels)) * rejecting


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
    return Evaluation(total, correct=int(confusion.trace()), loss=float(sums[0]) / total, confusion=confusion)
