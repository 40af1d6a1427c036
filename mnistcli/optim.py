"""The optimizers, each a single fused kernel a step, and the learning rate of each step.

The arithmetic is that of `torch.optim.SGD` and `torch.optim.AdamW`, whose kernels these call. What is left out is
their class: making one imports torch's compiler, which takes a second, and each of its steps takes some 0.1 ms more.
"""

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from mnistcli.config import TrainConfig

BETAS, EPSILON = (0.9, 0.999), 1e-8  # Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015

# Smith and Topin, "Super-Convergence", 2018, with the proportions of torch's OneCycleLR.
ONECYCLE_RISE, ONECYCLE_START, ONECYCLE_END = 0.3, 1 / 25, 1 / 25e4


class Optimizer(Protocol):
    """Turns the gradients of parameters into a step."""

    state: dict[str, list[Tensor]]  # a name, and a tensor for each parameter

    def step(self, lr: float) -> None:
        """Change the parameters by their gradients, and forget these."""


class SGD:
    """Stochastic gradient descent with momentum and an L2 penalty, as `torch.optim.SGD`."""

    def __init__(self, parameters: Iterable[Tensor], momentum: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.momentum, self.weight_decay = momentum, weight_decay
        velocity = [torch.zeros_like(parameter) for parameter in self.parameters] if momentum else []
        self.state = {"velocity": velocity}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Change the parameters by their gradients, and forget these."""
        torch._fused_sgd_(
            self.parameters,
            _take_gradients(self.parameters),
            self.state["velocity"],
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0,
            nesterov=False,
            maximize=False,
            is_first_step=False,  # a velocity of zero is the right start
        )


class AdamW:
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.state = {
            "mean": [torch.zeros_like(parameter) for parameter in self.parameters],
            "square": [torch.zeros_like(parameter) for parameter in self.parameters],
            "steps": [torch.zeros((), device=parameter.device) for parameter in self.parameters],
        }

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Change the parameters by their gradients, and forget these."""
        torch._foreach_add_(self.state["steps"], 1)
        torch._fused_adamw_(
            self.parameters,
            _take_gradients(self.parameters),
            self.state["mean"],
            self.state["square"],
            [],
            self.state["steps"],
            lr=lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )


def _take_gradients(parameters: list[Tensor]) -> list[Tensor]:
    gradients = []
    for parameter in parameters:
        assert parameter.grad is not None
        gradients.append(parameter.grad)
        parameter.grad = None
    return gradients


def make_optimizer(config: TrainConfig, parameters: Iterable[Tensor]) -> Optimizer:
    """Make the optimizer that a configuration names, for parameters on the device they are trained on."""
    if config.optimizer == "sgd":
        return SGD(parameters, config.momentum, config.weight_decay)
    return AdamW(parameters, config.weight_decay)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Give the learning rate of a step.

    Args:
        config: the schedule, its peak, its length in epochs and its warm-up are taken from it.
        step: counted from 0 over all epochs.
        steps_per_epoch: what an epoch is in steps.
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "onecycle":
        return config.lr * _onecycle(step, total)
    warmup = config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.lr * min((step + 1) / warmup, 1)
    progress = (step - warmup) / max(total - warmup, 1)
    match config.schedule:
        case "linear":
            return config.lr * (1 - progress)
        case "cosine":
            return config.lr * (1 + math.cos(math.pi * progress)) / 2
        case "constant":
            return config.lr


def _onecycle(step: int, total: int) -> float:
    """Give the share of the peak: up from 1/25 over 30 % of the steps, then down to nearly 0, along cosines."""
    top = ONECYCLE_RISE * total - 1
    if step <= top:
        return _between(ONECYCLE_START, 1, step / top)
    return _between(1, ONECYCLE_END, (step - top) / (total - 1 - top))


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
