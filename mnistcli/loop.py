"""Training: the arithmetic, without input, output or printing."""

import copy
import math
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.average import move_average, refresh_statistics
from mnistcli.batches import draw_epoch
from mnistcli.config import EVAL_BATCH_SIZE, TrainConfig
from mnistcli.data import Normalization, Samples
from mnistcli.devices import pick_precision
from mnistcli.errors import DivergedError
from mnistcli.graphs import Captured, ForwardBackward
from mnistcli.model import Classifier
from mnistcli.optim import Optimizer, learning_rate, make_optimizer
from mnistcli.ranks import ALONE, Ranks
from mnistcli.rejection import count_examples, fit_rejector, make_examples
from mnistcli.scoring import UNCALIBRATED, Calibration, Evaluation, ask, find_temperature, score
from mnistcli.strokes import Strokes

OUTLIER_WEIGHT = 0.9  # of a shape that is no digit, where an image weighs 1: more costs unusual digits
FINITE_CHECK_STEPS = 100  # looking at the loss makes an accelerator wait, so it is not done every step


class StepDone(NamedTuple):
    """One step is taken. The sums stay on the device: reading them is the reader's choice, and cost."""

    epoch: int  # 1-based, the epoch under way
    step: int  # 1-based, within the epoch
    steps: int  # per epoch
    images: int  # trained on in this epoch so far
    loss_sum: Tensor  # () float32, over those images
    correct: Tensor  # () int64, of those images


class ValStepDone(NamedTuple):
    """A part of the validation after an epoch's last step is done."""

    epoch: int  # 1-based, the epoch under way
    step: int  # 1-based, within this validation
    steps: int


@dataclass(frozen=True)
class EpochDone:
    """One epoch is finished. Training figures are of each batch before its step, as is usual."""

    epoch: int  # 1-based
    epochs: int  # in total
    loss: float  # mean over all training images of what is minimised, nats: distorted, and with smoothed labels
    accuracy: float  # 0..1
    seconds: float  # of training, without validation, with what is done between events
    images_per_second: float
    val_loss: float | None = None
    val_accuracy: float | None = None  # 0..1


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Best:
    """The weights of the epoch with the highest validation accuracy, the earliest of equals."""

    epoch: int
    val_accuracy: float  # 0..1
    weights: dict[str, Tensor]
    calibration: Calibration = UNCALIBRATED  # of these weights


@dataclass(eq=False)
class TrainState:
    """Everything that training changes. With the data and the configuration it decides all that follows.

    Between two events of `fit` it is consistent, so that it can be saved and continued at any step. It is the same in
    all ranks but for batch-norm statistics, where the first rank's hold.
    """

    model: Classifier
    average: Classifier | None  # of the weights, over recent steps; what is evaluated where there is one
    optimizer: Optimizer
    train_size: int  # images
    shuffle: Tensor  # (S,) uint8: the state of the generator that draws the epoch under way
    loss_sum: Tensor  # over the steps of that epoch, as in StepDone
    correct: Tensor
    epoch: int = 0  # finished epochs
    step: int = 0  # steps taken in the epoch after those
    seconds: float = 0.0  # that those steps took
    history: list[EpochDone] = field(default_factory=list)
    best: Best | None = None
    calibration: Calibration = UNCALIBRATED  # of the evaluated network, by the last validation

    @property
    def best_epoch(self) -> int | None:
        """Give the best epoch's number, where there is one."""
        return self.best.epoch if self.best else None

    @property
    def evaluated(self) -> Classifier:
        """Give the network that is worth evaluating."""
        return self.model if self.average is None else self.average


def is_finished(config: TrainConfig, epoch: int, step: int, best_epoch: int | None) -> bool:
    """Tell whether a run has all its epochs, or has seen no better one for as many as its patience is.

    An epoch that is begun is taken to its end, whatever has been asked for since.
    """
    is_stuck = config.patience > 0 and best_epoch is not None and epoch - best_epoch >= config.patience
    return step == 0 and (epoch >= config.epochs or is_stuck)


def start(config: TrainConfig, model: Classifier, train_size: int) -> TrainState:
    """Give the state before the first step.

    Args:
        config: the optimizer, the averaging and the seed of the shuffling are taken from it.
        model: the network, on the device it is to be trained on.
        train_size: number of training images.

    Returns:
        A state that shares the network with the caller: `fit` trains that very one.
    """
    device = next(model.parameters()).device
    return TrainState(
        model,
        copy.deepcopy(model).requires_grad_(False) if config.ema_decay else None,
        make_optimizer(config, model.parameters()),
        train_size,
        shuffle=torch.Generator().manual_seed(config.seed).get_state(),
        loss_sum=torch.zeros((), device=device),
        correct=torch.zeros((), dtype=torch.int64, device=device),
    )


def fit(
    state: TrainState,
    train: Samples,
    val: Samples | None,
    normalization: Normalization,
    config: TrainConfig,
    ranks: Ranks = ALONE,
) -> Iterator[StepDone | ValStepDone | EpochDone]:
    """Train until the configuration's epochs are finished, from wherever `state` stands, and change `state`.

    Args:
        state: where training stands; the same in all ranks.
        train: all training images, in every rank, on the device that the network is on.
        val: what to validate on after each epoch, if anything.
        normalization: what the network sees of a pixel.
        config: the recipe.
        ranks: the processes that do this together, each its share of every batch.

    Yields:
        StepDone after every step, ValStepDone after every part of a validation, EpochDone after every epoch.

    Raises:
        DivergedError: a loss, a weight or a statistic is no longer finite; `state` is then of no use.
    """
    strokes = Strokes.of(train) if config.styles or config.written or config.outliers else None
    device = train.images.device
    precision = pick_precision(config.precision, device)
    forward_backward: ForwardBackward = partial(
        _forward_backward, ranks.replicate(state.model), precision, config.label_smoothing
    )
    if device.type == "cuda" and ranks.size == 1:
        forward_backward = Captured(forward_backward, state.model.parameters())
    run = _Fit(state, forward_backward, train, strokes, val, normalization, config, ranks)
    while not is_finished(config, state.epoch, state.step, state.best_epoch):
        yield from run.epoch()


@dataclass(frozen=True)
class _Fit:
    """What stays the same while `fit` goes on."""

    state: TrainState
    forward_backward: ForwardBackward
    train: Samples
    strokes: Strokes | None
    val: Samples | None
    normalization: Normalization
    config: TrainConfig
    ranks: Ranks

    def epoch(self) -> Iterator[StepDone | ValStepDone | EpochDone]:
        state, config, batch_size = self.state, self.config, self.config.batch_size
        generator = torch.Generator()
        generator.set_state(state.shuffle)
        started = time.perf_counter() - state.seconds
        # The whole epoch at once, so that no step waits for it, and for all ranks alike.
        batches = draw_epoch(config, self.train, self.strokes, self.normalization, generator)
        steps = math.ceil(len(self.train) / batch_size)
        state.model.train()
        positions = [
            slice(first, min(first + batch_size, len(self.train)))
            for first in range(state.step * batch_size, len(self.train), batch_size)
        ]
        shares = [self.ranks.share(whole) for whole in positions]
        taken = batches.take([mine for mine, _ in shares])
        for whole, (_, count), (images, labels) in zip(positions, shares, taken, strict=True):
            self.step(images, labels, count, whole.stop - whole.start, steps)
            state.seconds = time.perf_counter() - started
            if state.step % FINITE_CHECK_STEPS == 0:
                check_finite(state)
            yield StepDone(state.epoch + 1, state.step, steps, whole.stop, state.loss_sum, state.correct)
        check_finite(state)  # waits for an accelerator, so that the time is all of the epoch's
        state.seconds = time.perf_counter() - started
        yield from self.finish_epoch(generator.get_state())

    def step(self, images: Tensor, labels: Tensor, count: int, whole_size: int, steps_per_epoch: int) -> None:
        """Take a step with this rank's share of a batch of `whole_size` images, of which `count` count."""
        state, config = self.state, self.config
        number = state.epoch * steps_per_epoch + state.step  # counted from 0 over all epochs
        # Gradients are averaged over ranks; a rank's mean has to count as its share of the batch does.
        weight = count / whole_size * self.ranks.size
        loss, correct = self.forward_backward(images, labels, weight)
        state.optimizer.step(learning_rate(config, number, steps_per_epoch))
        state.step += 1
        if state.average is not None:
            move_average(state.average, state.model, config.ema_decay, number)
        # Sums on the device, read when somebody wants to see them: `.item()` each step would make it wait.
        loss_sum, correct = loss * count, correct * min(count, 1)
        if self.ranks.size > 1:
            loss_sum, correct = self.ranks.sum(torch.stack([loss_sum, correct])).unbind()
        state.loss_sum = state.loss_sum + loss_sum  # not in place: each event keeps the sums that it was given
        state.correct = state.correct + correct.long()

    def finish_epoch(self, shuffle: Tensor) -> Iterator[ValStepDone | EpochDone]:
        """Validate, and leave the state as the next epoch begins with it, which draws with `shuffle`."""
        state, images = self.state, len(self.train)
        self.ranks.spread_buffers(state.model)
        if state.average is not None:
            refresh_statistics(state.average, self.train, self.normalization, self.config.outliers, self.strokes)
            check_finite(state)
        validation = (yield from self.validate(self.val)) if self.val else None
        done = EpochDone(
            epoch=state.epoch + 1,
            epochs=self.config.epochs,
            loss=float(state.loss_sum) / images,
            accuracy=int(state.correct) / images,
            seconds=state.seconds,
            images_per_second=images / state.seconds,
            val_loss=validation.loss if validation else None,
            val_accuracy=validation.accuracy if validation else None,
        )
        if validation and (state.best is None or validation.accuracy > state.best.val_accuracy):
            weights = {name: tensor.clone() for name, tensor in state.evaluated.state_dict().items()}
            state.best = Best(done.epoch, validation.accuracy, weights, state.calibration)
        state.history.append(done)
        state.epoch, state.step, state.seconds, state.shuffle = done.epoch, 0, 0.0, shuffle
        state.loss_sum, state.correct = torch.zeros_like(state.loss_sum), torch.zeros_like(state.correct)
        yield done

    def validate(self, val: Samples) -> Generator[ValStepDone, None, Evaluation]:
        """Score each rank's share, and all of them together, and calibrate.

        Raises:
            DivergedError: the loss is not finite, as where the last step, after its own loss, threw the weights far.
        """
        ranks, config, model = self.ranks, self.config, self.state.evaluated
        at_once = EVAL_BATCH_SIZE * ranks.size  # so that all ranks take the same steps
        firsts = range(0, len(val), at_once)
        steps = len(firsts) + (count_examples(val) if config.outliers else 0)
        numbers = iter(range(1, steps + 1))
        asked = []
        for first in firsts:
            images = val.images[first : first + at_once][ranks.rank :: ranks.size]
            asked.append(ask(model, images, self.normalization).logits)
            yield ValStepDone(self.state.epoch + 1, next(numbers), steps)
        logits, labels = torch.cat(asked), val.labels[ranks.rank :: ranks.size]
        evaluation = score(logits, labels, ranks)
        if evaluation.loss is None:
            raise _diverged("the validation loss", self.state)
        features = []
        for examples in make_examples(val, config, ranks) if config.outliers else ():
            features.append([ask(model, images, self.normalization).features for images in examples])
            yield ValStepDone(self.state.epoch + 1, next(numbers), steps)
        rejector = None
        if features:
            of_digits, of_shapes = map(torch.cat, zip(*features, strict=True))
            rejector = fit_rejector(of_digits, of_shapes, ranks)
        self.state.calibration = Calibration(find_temperature(logits, labels, ranks), rejector)
        return evaluation


def _forward_backward(
    network: nn.Module, precision: torch.dtype, label_smoothing: float, images: Tensor, labels: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    """Leave the gradients of a batch's loss in the parameters; give the loss and how many answers were right.

    Args:
        network: the state's, which several ranks replicate.
        precision: float32 or bfloat16.
        label_smoothing: as in `F.cross_entropy`.
        images: (B + M, 1, 28, 28) float32, normalised; the last M are of no digit.
        labels: (B,) int64.
        weight: by which the loss is multiplied before its gradients are taken.
    """
    with _autocasting(precision, images.device):
        answers = network(images).float()  # (B + M, 10)
    logits, of_outliers = answers[: len(labels)], answers[len(labels) :]
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if len(of_outliers):
        loss = loss + OUTLIER_WEIGHT * _unsureness_loss(of_outliers).sum() / len(labels)
    weighted = loss if weight == 1 else loss * weight
    weighted.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    return loss.detach(), (logits.argmax(1) == labels).sum()


def _unsureness_loss(logits: Tensor) -> Tensor:
    """Give the cross-entropy, (M,), of (M, 10) logits against all digits alike.

    After Hendrycks, Mazeika and Dietterich, "Deep anomaly detection with outlier exposure", 2019.
    """
    return -logits.log_softmax(1).mean(1)


def _autocasting(precision: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Compute what tolerates it in bfloat16, or everything in float32; the weights are float32 in either case."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, precision)


def check_finite(state: TrainState) -> None:
    """Make sure that a state is worth keeping: that the network can be used, and its run be continued.

    Raises:
        DivergedError: the loss, a weight or a statistic, of the network, its average or the optimizer, is not finite.
    """
    networks = [state.model] if state.average is None else [state.model, state.average]
    numbers = chain(
        [state.loss_sum], *(network.state_dict().values() for network in networks), *state.optimizer.state.values()
    )
    if not torch.stack([number.isfinite().all() for number in numbers]).all():  # one wait for an accelerator
        raise _diverged("the loss, a weight or a statistic", state)


def _diverged(what: str, state: TrainState) -> DivergedError:
    return DivergedError(
        f"{what} is no longer a finite number (epoch {state.epoch + 1}, step {state.step}): "
        "the learning rate is probably too high; try a smaller `lr`"
    )
