"""Training and inference: the arithmetic, without input, output or printing."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from mnistcli.config import TrainConfig
from mnistcli.data import Normalization, Samples
from mnistcli.errors import DivergedError

CLASSES = 10
FINITE_CHECK_STEPS = 100  # looking at the loss makes an accelerator wait, so it is not done every step


class StepDone(NamedTuple):
    """One step is taken. The sums stay on the device: reading them is the reader's choice, and cost."""

    epoch: int  # 1-based, the epoch under way
    step: int  # 1-based, within the epoch
    steps: int  # per epoch
    images: int  # trained on in this epoch so far
    loss_sum: Tensor  # () float32, over those images
    correct: Tensor  # () int64, of those images


@dataclass(frozen=True)
class EpochDone:
    """One epoch is finished. Training figures are of each batch before its step, as is usual."""

    epoch: int  # 1-based
    epochs: int  # in total
    loss: float  # mean cross-entropy over all training images, nats
    accuracy: float  # 0..1
    seconds: float  # of training, without validation
    images_per_second: float
    val_loss: float | None = None
    val_accuracy: float | None = None  # 0..1


@dataclass(frozen=True)
class Best:
    """The weights of the epoch with the highest validation accuracy, the earliest of equals."""

    epoch: int
    val_accuracy: float  # 0..1
    weights: dict[str, Tensor]


@dataclass
class TrainState:
    """Everything that training changes. With the data and the configuration it decides all that follows.

    Between two events of `fit` it is consistent, so that it can be saved and continued at any step.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    train_size: int  # images
    shuffle: Tensor  # (S,) uint8: the state of the generator that shuffles the epoch under way
    loss_sum: Tensor  # over the steps of that epoch, as in StepDone
    correct: Tensor
    epoch: int = 0  # finished epochs
    step: int = 0  # steps taken in the epoch after those
    seconds: float = 0.0  # that those steps took
    history: list[EpochDone] = field(default_factory=list)
    best: Best | None = None


def start(config: TrainConfig, model: nn.Module, train_size: int) -> TrainState:
    """Give the state before the first step.

    Args:
        config: the optimizer, the schedule and the seed of the shuffling are taken from it.
        model: the network, on the device it is to be trained on.
        train_size: number of training images; the schedule's length follows from it.
    """
    optimizer: Optimizer
    if config.optimizer == "sgd":
        optimizer = SGD(model.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay, fused=True)
    else:
        optimizer = AdamW(model.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)
    total_steps = config.epochs * math.ceil(train_size / config.batch_size)
    device = next(model.parameters()).device
    return TrainState(
        model,
        optimizer,
        _scheduler(config, optimizer, total_steps),
        train_size,
        shuffle=torch.Generator().manual_seed(config.seed).get_state(),
        loss_sum=torch.zeros((), device=device),
        correct=torch.zeros((), dtype=torch.int64, device=device),
    )


def _scheduler(config: TrainConfig, optimizer: Optimizer, total_steps: int) -> LRScheduler | None:
    if config.schedule == "onecycle":
        return OneCycleLR(optimizer, max_lr=config.lr, total_steps=total_steps, cycle_momentum=False)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    return None


def fit(
    state: TrainState,
    train: Samples,
    val: Samples | None,
    normalization: Normalization,
    *,
    epochs: int,
    batch_size: int,
) -> Iterator[StepDone | EpochDone]:
    """Train until `epochs` epochs are finished, from wherever `state` stands, and change `state` as it goes.

    Yields:
        StepDone after every step, EpochDone after every epoch.

    Raises:
        DivergedError: the loss or a weight is no longer finite; `state` is then of no use.
    """
    steps = math.ceil(len(train) / batch_size)
    while state.epoch < epochs:
        shuffle = torch.Generator()
        shuffle.set_state(state.shuffle)
        order = torch.randperm(len(train), generator=shuffle).to(train.labels.device)
        state.model.train()
        started = time.perf_counter() - state.seconds
        for first in range(state.step * batch_size, len(train), batch_size):
            _step(state, train.take(order[first : first + batch_size]), normalization)
            state.seconds = time.perf_counter() - started
            if state.step % FINITE_CHECK_STEPS == 0:
                check_finite(state)
            images = min(state.step * batch_size, len(train))
            yield StepDone(state.epoch + 1, state.step, steps, images, state.loss_sum, state.correct)
        check_finite(state)
        state.shuffle = shuffle.get_state()
        yield _finish_epoch(state, len(train), val, normalization, epochs)


def _step(state: TrainState, batch: Samples, normalization: Normalization) -> None:
    logits = state.model(normalization(batch.images))  # (B, 10)
    loss = F.cross_entropy(logits, batch.labels)
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    state.optimizer.step()
    if state.scheduler is not None:
        state.scheduler.step()
    # Sums on the device, read when somebody wants to see them: `.item()` each step would make it wait.
    state.loss_sum += loss.detach() * len(batch)
    state.correct += (logits.argmax(1) == batch.labels).sum()
    state.step += 1


def check_finite(state: TrainState) -> None:
    """Make sure that a state is worth keeping.

    Raises:
        DivergedError: the loss or a weight is no longer finite.
    """
    numbers = [state.loss_sum, *(parameter.detach() for parameter in state.model.parameters())]
    if not all(bool(number.isfinite().all()) for number in numbers):
        raise DivergedError(
            f"the loss is no longer a finite number (epoch {state.epoch + 1}, step {state.step}): "
            "the learning rate is probably too high; try a smaller --lr"
        )


def _finish_epoch(
    state: TrainState, train_size: int, val: Samples | None, normalization: Normalization, epochs: int
) -> EpochDone:
    validation = None
    if val is not None:
        validation = score(infer(state.model, val.images, normalization), val.labels)
    done = EpochDone(
        epoch=state.epoch + 1,
        epochs=epochs,
        loss=float(state.loss_sum) / train_size,
        accuracy=int(state.correct) / train_size,
        seconds=state.seconds,
        images_per_second=train_size / state.seconds,
        val_loss=validation.loss if validation else None,
        val_accuracy=validation.accuracy if validation else None,
    )
    if validation and (state.best is None or validation.accuracy > state.best.val_accuracy):
        weights = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
        state.best = Best(done.epoch, validation.accuracy, weights)
    state.history.append(done)
    state.epoch, state.step, state.seconds = done.epoch, 0, 0.0
    # New tensors, not zeroed ones: events that were yielded keep their sums.
    state.loss_sum, state.correct = torch.zeros_like(state.loss_sum), torch.zeros_like(state.correct)
    return done


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


def score(logits: Tensor, labels: Tensor) -> Evaluation:
    """Score (N, 10) float32 logits against (N,) int64 labels.

    The loss is summed over all images and divided once: a mean of batch means would weigh a short last batch
    like a full one.
    """
    logits, labels = logits.cpu(), labels.cpu()
    answers = logits.argmax(1)
    pairs = labels * CLASSES + answers  # each pair of true digit and answer has its own number
    return Evaluation(
        total=len(labels),
        correct=int((answers == labels).sum()),
        loss=float(F.cross_entropy(logits.double(), labels, reduction="sum")) / len(labels),
        confusion=pairs.bincount(minlength=CLASSES**2).view(CLASSES, CLASSES),
    )
