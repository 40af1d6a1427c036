"""The optimizers and schedules are torch's, step by step."""

import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from mnistcli.config import TrainConfig, choices
from mnistcli.optim import learning_rate, make_optimizer


def make_config(**keys: object) -> TrainConfig:
    return TrainConfig.model_validate(keys)


def make_parameters() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, generator=generator).requires_grad_() for size in ((4, 3), (5,))]


def loss(parameters: list[Tensor]) -> Tensor:
    return sum((parameter.sin().square().sum() for parameter in parameters), torch.zeros(()))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"optimizer": "adamw"},
        {"optimizer": "adamw", "weight_decay": 0.1},
    ],
)
def test_steps_are_torchs(keys: dict[str, object]) -> None:
    config = make_config(**keys)
    mine, theirs = make_parameters(), make_parameters()
    optimizer = make_optimizer(config, mine)
    reference: torch.optim.Optimizer
    if config.optimizer == "sgd":
        reference = torch.optim.SGD(theirs, momentum=config.momentum, weight_decay=config.weight_decay)
    else:
        reference = torch.optim.AdamW(theirs, weight_decay=config.weight_decay)
    for rate in (0.1, 0.03, 0.2):
        reference.param_groups[0]["lr"] = rate
        for parameters in (mine, theirs):
            loss(parameters).backward()  # type: ignore[no-untyped-call]
        optimizer.step(rate)
        reference.step()
        reference.zero_grad()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("schedule", choices("schedule"))
def test_schedules_are_torchs(schedule: str, epochs: int) -> None:
    config, total = make_config(schedule=schedule, epochs=epochs), epochs * 7
    optimizer = torch.optim.SGD(make_parameters(), lr=config.lr)
    reference: lr_scheduler.LRScheduler
    match schedule:
        case "constant":
            reference = lr_scheduler.ConstantLR(optimizer, factor=1)
        case "onecycle":
            reference = lr_scheduler.OneCycleLR(optimizer, config.lr, total, cycle_momentum=False)
        case "cosine":
            reference = lr_scheduler.CosineAnnealingLR(optimizer, total)
        case "linear":
            reference = lr_scheduler.LinearLR(optimizer, 1, 0, total)
    for step in range(total):
        assert learning_rate(config, step, 7) == pytest.approx(optimizer.param_groups[0]["lr"]), step
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("schedule", sorted({*choices("schedule")} - {"onecycle"}))  # which warms up by itself
def test_warmup_rises_to_the_peak_and_the_schedule_goes_on_from_there(schedule: str) -> None:
    config = make_config(schedule=schedule, epochs=4, warmup_epochs=1.5, lr=1.0)
    rates = [learning_rate(config, step, 10) for step in range(40)]
    assert rates[:15] == pytest.approx([(step + 1) / 15 for step in range(15)])
    assert rates[14:] == sorted(rates[14:], reverse=True)
    rest = make_config(schedule=schedule, epochs=5, lr=1.0)  # as many steps as are left
    assert rates[15:] == pytest.approx([learning_rate(rest, step, 5) for step in range(25)])
    assert rates[-1] == 1.0 if schedule == "constant" else 0 < rates[-1] < 0.05


def test_warmup_that_ends_within_a_step_goes_no_higher_than_the_peak() -> None:
    config = make_config(epochs=4, warmup_epochs=1.55, lr=1.0)
    assert max(learning_rate(config, step, 10) for step in range(40)) == 1.0


@pytest.mark.parametrize("schedule", choices("schedule"))
def test_a_single_step_has_a_rate_under_every_schedule(schedule: str) -> None:
    assert learning_rate(make_config(schedule=schedule), 0, 1) >= 0
