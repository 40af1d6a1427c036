"""The arithmetic of training and scoring."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import draw_digits, make_samples, rejector_for
from elsewhere import Far, elsewhere, move
from mnistcli.batches import draw_epoch
from mnistcli.config import TrainConfig, resolve
from mnistcli.data import Normalization, Samples
from mnistcli.errors import DivergedError
from mnistcli.loop import OUTLIER_WEIGHT, EpochDone, StepDone, TrainState, ValStepDone, fit, start
from mnistcli.model import Classifier, LeNet, build_model
from mnistcli.rejection import make_examples
from mnistcli.scoring import ask, find_temperature
from mnistcli.strokes import OUTLIER_DICE, Strokes

NORMALIZATION = Normalization()


def make_state(config: TrainConfig, train_size: int) -> TrainState:
    torch.manual_seed(config.seed)
    return start(config, build_model(config.model), train_size)


def run(
    state: TrainState, train: Samples, config: TrainConfig, val: Samples | None = None
) -> list[StepDone | ValStepDone | EpochDone]:
    return list(fit(state, train, val, NORMALIZATION, config))


def test_one_batch_can_be_learned_by_heart() -> None:
    config = TrainConfig(epochs=100, lr=0.003, optimizer="adamw", batch_size=16)
    train = make_samples(16)
    state = make_state(config, len(train))
    run(state, train, config)
    assert state.history[0].loss == pytest.approx(math.log(10), abs=0.1)
    assert state.history[-1].accuracy == 1.0


def test_events_count_every_image_once() -> None:
    config = TrainConfig(epochs=2, batch_size=16)
    train = make_samples(40)
    events = run(make_state(config, len(train)), train, config)
    assert [type(event).__name__ for event in events] == ["StepDone", "StepDone", "StepDone", "EpochDone"] * 2
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [(event.epoch, event.step, event.steps, event.images) for event in steps[:3]] == [
        (1, 1, 3, 16),
        (1, 2, 3, 32),
        (1, 3, 3, 40),
    ]


def test_each_steps_sums_are_those_up_to_it_though_read_at_the_end() -> None:
    config = TrainConfig(batch_size=16)
    train = make_samples(48)
    *steps, done = run(make_state(config, len(train)), train, config)
    assert isinstance(done, EpochDone)
    sums = [(float(step.loss_sum), int(step.correct)) for step in steps if isinstance(step, StepDone)]
    for count, (loss_sum, _) in enumerate(sums, start=1):
        assert loss_sum / (16 * count) == pytest.approx(math.log(10), abs=0.2)
    assert [correct for _, correct in sums] == sorted(correct for _, correct in sums)
    assert sums[-1][0] == pytest.approx(done.loss * 48)
    assert sums[-1][1] == pytest.approx(done.accuracy * 48)


def test_epochs_are_the_plain_loop() -> None:
    """Two epochs equal the tutorial's lines, fed in the same order, with one of torch's schedules over both."""
    config = TrainConfig(epochs=2, batch_size=16, lr=0.1, momentum=0.5, weight_decay=0.01, schedule="linear", seed=3)
    train = make_samples(40)
    state = make_state(config, len(train))
    (*_, done) = run(state, train, config)

    torch.manual_seed(config.seed)
    net = LeNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=6)
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        losses = 0.0
        for batch in torch.randperm(40, generator=generator).split(16):  # type: ignore[no-untyped-call]
            loss = F.cross_entropy(net(NORMALIZATION(train.images[batch])), train.labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses += loss.item() * len(batch)
    assert isinstance(done, EpochDone)
    assert done.loss == pytest.approx(losses / 40, rel=1e-5)
    for mine, plain in zip(state.model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-5, atol=1e-6)


def test_the_best_epoch_is_kept_beside_the_last() -> None:
    config = TrainConfig(epochs=4, batch_size=16, lr=0.1)
    train, val = make_samples(64), make_samples(30, seed=1)
    state = make_state(config, len(train))
    weights = []
    for event in fit(state, train, val, NORMALIZATION, config):
        if isinstance(event, EpochDone):
            weights.append({name: tensor.clone() for name, tensor in state.model.state_dict().items()})
    accuracies = [done.val_accuracy for done in state.history]
    assert state.best is not None
    assert state.best.epoch - 1 == accuracies.index(max(accuracies, key=lambda accuracy: accuracy or 0))
    for name, tensor in state.best.weights.items():
        assert torch.equal(tensor, weights[state.best.epoch - 1][name])


def test_of_equal_epochs_the_earliest_is_the_best() -> None:
    config = TrainConfig(epochs=3, lr=1e-12, batch_size=16)  # nothing changes from epoch to epoch
    train, val = make_samples(32), make_samples(30, seed=1)
    state = make_state(config, len(train))
    run(state, train, config, val)
    assert len({done.val_accuracy for done in state.history}) == 1
    assert state.best is not None
    assert state.best.epoch == 1


def test_a_loss_that_is_not_finite_stops_training() -> None:
    config = TrainConfig(epochs=3, lr=1e9, batch_size=16)
    train = make_samples(40)
    with pytest.raises(DivergedError, match=r"epoch 1, step 3.*smaller `lr`"):
        run(make_state(config, len(train)), train, config)


def test_a_diverged_loss_is_noticed_within_the_epoch() -> None:
    config = TrainConfig(lr=1e9, batch_size=1)
    train = make_samples(150)
    with pytest.raises(DivergedError, match="epoch 1, step 100"):
        run(make_state(config, len(train)), train, config)


def averaged(state: TrainState) -> Classifier:
    assert state.average is not None
    return state.average


@pytest.mark.parametrize(
    "number",
    [
        lambda state: next(state.model.parameters()).data,
        lambda state: next(state.model.buffers()),  # a batch-norm statistic
        lambda state: state.optimizer.state["velocity"][0],
        lambda state: next(averaged(state).parameters()),
    ],
    ids=["weight", "statistic", "velocity", "average"],
)
def test_whatever_is_saved_has_to_be_finite_though_the_loss_is(number: Callable[[TrainState], Tensor]) -> None:
    config = TrainConfig(model="strided", batch_size=16, momentum=0.9, ema_decay=0.9)
    train = make_samples(16)
    state = make_state(config, len(train))
    events = fit(state, train, None, NORMALIZATION, config)
    next(events)  # the one step; its loss was taken before its update
    number(state)[0] = math.inf
    with pytest.raises(DivergedError, match="the loss, a weight or a statistic"):
        next(events)


def test_statistics_that_are_measured_anew_have_to_be_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(average: Classifier, *_: object) -> None:
        next(average.buffers())[0] = math.inf

    monkeypatch.setattr("mnistcli.loop.refresh_statistics", overflow)
    config = TrainConfig(model="strided", batch_size=16, ema_decay=0.9)
    train = make_samples(16)
    with pytest.raises(DivergedError):
        run(make_state(config, len(train)), train, config)


def test_a_validation_loss_that_is_not_finite_counts_though_all_else_is() -> None:
    config = TrainConfig(lr=1e10, batch_size=16)
    train = make_samples(16)
    state = make_state(config, len(train))
    with pytest.raises(DivergedError, match=r"the validation loss .*epoch 1, step 1.*smaller `lr`"):
        run(state, train, config, make_samples(30, seed=1))
    assert all(parameter.isfinite().all() for parameter in state.model.parameters())
    assert state.best is None


def test_label_smoothing_and_bfloat16_are_torchs() -> None:
    config = TrainConfig(batch_size=16, label_smoothing=0.2, precision="bf16", lr=1e-12)
    train = make_samples(16)
    state = make_state(config, len(train))
    run(state, train, config)
    torch.manual_seed(config.seed)
    net = LeNet()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(NORMALIZATION(train.images[order]))
    loss = F.cross_entropy(logits.float(), train.labels[order], label_smoothing=0.2)
    assert state.history[0].loss == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("key", ["written", "styles"])
def test_written_digits_and_those_of_other_styles_take_the_place_of_images(key: str) -> None:
    losses = []
    for share in (0.0, 1.0):
        config = TrainConfig.model_validate({"batch_size": 16, "lr": 1e-12, key: share})
        train = make_samples(16)
        state = make_state(config, len(train))
        run(state, train, config)
        losses.append(state.history[0].loss)
    assert losses[0] != losses[1]


def test_an_epochs_time_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    config = TrainConfig(epochs=2, batch_size=16)
    state = make_state(config, 40)
    run(state, make_samples(40), config)
    first, second = state.history
    assert first.seconds == second.seconds > 0
    assert first.images_per_second == 40 / first.seconds


@pytest.mark.parametrize("shift_px", [0.0, 3.0])
def test_each_epoch_is_distorted_anew(shift_px: float) -> None:
    config = TrainConfig(epochs=2, batch_size=16, lr=1e-12, shift_px=shift_px)
    train = make_samples(16)
    state = make_state(config, len(train))
    run(state, train, config)
    first, second = (done.loss for done in state.history)
    assert (abs(first - second) > 1e-4) == (shift_px > 0)  # else they differ by rounding, for the order is another


def test_outliers_are_learned_to_be_unsure_of() -> None:
    labels = np.arange(64, dtype=np.uint8) % 10
    train = Samples(torch.from_numpy(draw_digits(labels, seed=0))[:, None], torch.from_numpy(labels).long())
    others = Strokes.of(train).make_outliers(torch.rand(64, OUTLIER_DICE, generator=torch.Generator().manual_seed(1)))
    confidences = []
    for outliers in (0.0, 1.0):
        config = TrainConfig(epochs=60, lr=0.003, optimizer="adamw", batch_size=16, outliers=outliers)
        state = make_state(config, len(train))
        run(state, train, config)
        assert state.history[-1].accuracy > 0.95
        confidences.append(ask(state.model, others, NORMALIZATION).logits.softmax(1).amax(1).mean().item())
    assert confidences[1] < 0.6 * confidences[0]


def test_the_loss_is_that_of_the_images_and_of_the_outliers_for_each_image() -> None:
    config, train = TrainConfig(batch_size=16, outliers=0.5), make_samples(16)
    state = make_state(config, len(train))
    run(state, train, config)
    batches = draw_epoch(config, train, Strokes.of(train), NORMALIZATION, torch.Generator().manual_seed(config.seed))
    ((images, labels),) = batches.take([slice(0, 16)])
    logits = make_state(config, len(train)).model(images)
    wrongness = F.cross_entropy(logits[:16], labels)
    unsureness = F.cross_entropy(logits[16:], torch.full((8, 10), 0.1), reduction="sum") / 16
    assert state.history[0].loss == pytest.approx((wrongness + OUTLIER_WEIGHT * unsureness).item(), rel=1e-5)


@pytest.mark.parametrize("outliers", [0.0, 0.25])
def test_the_calibration_is_that_of_the_held_out_images_and_of_shapes_made_of_them(outliers: float) -> None:
    config = TrainConfig(epochs=2, batch_size=16, lr=0.05, outliers=outliers)
    train, val = make_samples(64), make_samples(64, seed=1)
    state = make_state(config, len(train))
    run(state, train, config, val)
    assert state.calibration.temperature == find_temperature(
        ask(state.model, val.images, NORMALIZATION).logits, val.labels
    )
    assert state.calibration.temperature != 1
    assert state.best is not None
    best = make_state(config, len(train)).model
    best.load_state_dict(state.best.weights)
    for model, calibration in ((state.model, state.calibration), (best, state.best.calibration)):
        if not outliers:
            assert calibration.rejector is None
            continue
        assert calibration.rejector == rejector_for(model, val, NORMALIZATION, config)
        digits, shapes = (ask(model, images, NORMALIZATION).features for images in next(make_examples(val, config)))
        assert calibration.rejector.digit_probabilities(digits).mean() > 0.7
        assert calibration.rejector.digit_probabilities(shapes).mean() < 0.4


@pytest.mark.parametrize("recipe", ["lenet", "fast", "best", "robust"])
def test_training_on_another_device_is_the_same_and_waits_for_no_step(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each step's images by themselves, so that the steps after the first tell whether making them waits.
    monkeypatch.setattr("mnistcli.batches.IMAGES_TOGETHER", 10)
    # Tensors of another class cannot be made in inference mode.
    monkeypatch.setattr("mnistcli.loop.ask", torch.no_grad()(ask.__wrapped__))  # type: ignore[attr-defined]
    keys = {"epochs": 1, "warmup_epochs": 0.0, "batch_size": 10, "precision": "fp32"}
    config = resolve({}, {}, recipe).config.model_copy(update=keys)
    train, val = make_samples(30), make_samples(20, seed=1)
    here, there = (make_state(config, len(train)) for _ in range(2))
    run(here, train, config, val)
    waits = []
    with elsewhere() as device:
        assert float(Far(torch.ones(()))) == device.waits == 1  # as it should be counted
        there = start(config, move(there.model), len(train))
        far_train, far_val = (Samples(Far(samples.images), Far(samples.labels)) for samples in (train, val))
        for event in fit(there, far_train, far_val, NORMALIZATION, config):
            if isinstance(event, StepDone):
                waits.append(device.waits)
    assert there.history[0].loss == pytest.approx(here.history[0].loss, rel=1e-4)
    assert there.history[0].val_loss == pytest.approx(here.history[0].val_loss, rel=1e-4)
    assert waits == [waits[0]] * 3
