"""Inference and scoring: logits from images, and how well they agree with labels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.data import Normalization
from mnistcli.ranks import ALONE, Ranks

CLASSES = 10


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
def infer(model: nn.Module, images: Tensor, normalization: Normalization, batch_size: int = 1000) -> Tensor:
    """Run the network over images, in evaluation mode and without gradients.

    Args:
        model: the network; its mode is left at evaluation.
        images: (N, 1, 28, 28) uint8, on the network's device.
        normalization: what the network was trained with.
        batch_size: images at a time; it limits memory and does not change the answers.

    Returns:
        (N, 10) float32 logits, on the same device.
    """
    model.eval()
    firsts = range(0, len(images), batch_size)
    return torch.cat([model(normalization(images[first : first + batch_size])) for first in firsts])


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
