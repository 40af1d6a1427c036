"""Layers that compute what torch's do and take less time on a CPU; `docs/benchmarks.md` has the figures."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Conv2d(nn.Conv2d):
    """A convolution, with a bias and without padding or stride, whose gradients come sooner on a CPU.

    There oneDNN finds the input's gradient faster in torch's usual layout, the weight's with channels last, and
    summing the bias's apart beats both.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__(inputs, outputs, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, O, H', W') for (B, I, H, W)."""
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        convolved: Tensor = _Convolution.apply(x, self.weight, self.bias)
        return convolved


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _gradients(grad, x, weight, [True, False, False])[0]
            # Worth its copies where there is more than one channel.
            grad, x = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (grad, x))
        grad_weight = _gradients(grad, x, weight, [False, True, False])[1]
        return grad_x, grad_weight, grad.sum((0, 2, 3))


def _gradients(grad: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    stride, padding, dilation, is_transposed, output_padding, groups = [1], [0], [1], False, [0], 1
    geometry = stride, padding, dilation, is_transposed, output_padding, groups
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        grad, x, weight, None, *geometry, wanted
    )
    return gradients


def max_pool_relu(x: Tensor) -> Tensor:
    """Give `relu(max_pool2d(x, 2))`, (B, C, H / 2, W / 2) for (B, C, H, W) of any floating type, H and W even.

    Pooling before ReLU is the same function as ReLU before pooling, on a quarter of the values. On a CPU, torch's
    pooling looks at one value after the other; the maximum of four strided slices is vectorised, and so is its
    gradient. Both equal torch's own to the bit, ties included: they are common where a picture is blank.
    """
    if x.device.type != "cpu":
        return F.relu(F.max_pool2d(x, 2))
    pooled: Tensor = _MaxPoolRelu.apply(x)
    return pooled


class _MaxPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        corners = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        top_left, top_right, bottom_left, bottom_right = (corner.clone() for corner in corners)
        top, bottom = torch.maximum(top_left, top_right), torch.maximum(bottom_left, bottom_right)
        pooled = torch.maximum(top, bottom).relu_()
        ctx.save_for_backward(top_right.sub_(top_left), bottom_right.sub_(bottom_left), bottom.sub_(top), pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        right_wins_top, right_wins_bottom, bottom_wins, pooled = ctx.saved_tensors
        # Each is positive where the later value of a pair was larger. The gradient of a pair then goes there whole,
        # else, ties included, to the earlier one, as torch has it.
        grad = _where_positive(grad, pooled)
        to_bottom = _where_positive(grad, bottom_wins)
        to_top = grad - to_bottom
        to_top_right = _where_positive(to_top, right_wins_top)
        to_bottom_right = _where_positive(to_bottom, right_wins_bottom)
        height, width = grad.shape[-2:]
        grad_x = grad.new_empty((*grad.shape[:-2], 2 * height, 2 * width))
        grad_x[..., ::2, ::2] = to_top - to_top_right
        grad_x[..., ::2, 1::2] = to_top_right
        grad_x[..., 1::2, ::2] = to_bottom - to_bottom_right
        grad_x[..., 1::2, 1::2] = to_bottom_right
        return grad_x


def _where_positive(grad: Tensor, x: Tensor) -> Tensor:
    """Give `grad` where `x > 0`, else 0: ReLU's gradient, several times as fast as `torch.where`."""
    masked: Tensor = torch.ops.aten.threshold_backward(grad, x, 0)
    return masked
