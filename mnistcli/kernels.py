"""Layers that compute what torch's do and take less time on a CPU; `docs/benchmarks.md` has the figures."""

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Conv2d(nn.Conv2d):
    """A convolution, with a bias and without padding or stride, whose gradients come sooner on a CPU with AVX-512.

    There oneDNN finds the input's gradient faster in torch's usual layout and the weight's gradient faster with
    channels last, and it is faster to sum the bias's gradient separately than to leave it to oneDNN.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__(inputs, outputs, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, O, H', W') for (B, I, H, W)."""
        if not _has_fast_way(x):
            return super().forward(x)
        convolved: Tensor = _Convolution.apply(x, self.weight, self.bias)
        return convolved


def _has_fast_way(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


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
            # Channels last is worth the copies where there is more than one channel.
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
    gradient. Both equal torch's own to the bit, even for ties, which are common where a picture is blank.
    """
    if x.device.type != "cpu":
        return F.relu(F.max_pool2d(x, 2))
    pooled: Tensor = _MaxPoolRelu.apply(x)
    return pooled


class _MaxPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        corners = [x[..., row::2, column::2].clone() for row in (0, 1) for column in (0, 1)]
        pooled, *winners = _pool(*corners)
        ctx.save_for_backward(pooled, *winners)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        pooled, *winners = ctx.saved_tensors
        height, width = grad.shape[-2:]
        grad_x = grad.new_empty((*grad.shape[:-2], 2 * height, 2 * width))
        corners = [grad_x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        for corner, share in zip(corners, _unpool(_where_positive(grad, pooled), *winners), strict=True):
            corner.copy_(share)
        return grad_x


def conv_pool_relu(x: Tensor, conv: Conv2d) -> Tensor:
    """Give `max_pool_relu(conv(x))`, (B, O, H', W'), for images (B, 1, H, W) of any floating type.

    On a CPU, oneDNN takes long over a single channel, above all for the weight's gradient, and pooling takes as long
    again to collect its strided values. A product of matrices does the work of both. Each pooled value depends on a
    window that is one pixel larger than the filter, in each of whose four corners the filter lies. The filters, placed
    in the four corners, times the windows give four planes, and pooling is their maximum. Values and gradients equal
    torch's except for rounding.

    Args:
        x: the images; if they need a gradient, `conv` itself is called.
        conv: a convolution of one channel, whose output must have an even height and width.
    """
    if not _has_fast_way(x) or x.requires_grad:
        return max_pool_relu(conv(x))
    pooled: Tensor = _ConvPoolRelu.apply(x, conv.weight, conv.bias)
    return pooled


class _ConvPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        filters, size = len(weight), weight.shape[-1]
        windows = x[:, 0].unfold(1, size + 1, 2).unfold(2, size + 1, 2)  # (B, H', W', K + 1, K + 1)
        height, width = windows.shape[1:3]
        windows = windows.permute(0, 3, 4, 1, 2).reshape(len(x), (size + 1) ** 2, height * width)
        placed = (weight.view(filters, -1) @ _placements(size)).view(4 * filters, -1)
        convolved = torch.baddbmm(bias.repeat_interleave(4).view(1, -1, 1), placed.expand(len(x), -1, -1), windows)
        pooled, *winners = _pool(*convolved.view(len(x), filters, 4, height * width).unbind(2))
        ctx.save_for_backward(windows, pooled, *winners)
        return pooled.view(len(x), filters, height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        windows, pooled, *winners = ctx.saved_tensors
        batch, filters, places = pooled.shape
        size = math.isqrt(windows.shape[1]) - 1
        grad = _where_positive(grad.reshape(pooled.shape), pooled)
        grad_convolved = torch.stack(_unpool(grad, *winners), 2).view(batch, 4 * filters, places)
        grad_placed = torch.bmm(grad_convolved, windows.transpose(1, 2)).sum(0)
        grad_weight = grad_placed.view(filters, -1) @ _placements(size).T
        return None, grad_weight.view(filters, 1, size, size), grad.sum((0, 2))


@functools.cache
def _placements(size: int) -> Tensor:
    """Give the matrix, (K * K, 4 * (K + 1) ** 2), that places a filter, (K * K,), in the four corners of a window."""
    filters = torch.eye(size * size, dtype=torch.float32, device="cpu").view(-1, size, size)
    corners = [F.pad(filters, (left, 1 - left, top, 1 - top)) for top in (0, 1) for left in (0, 1)]
    return torch.stack(corners, 1).view(size * size, -1)


def _pool(top_left: Tensor, top_right: Tensor, bottom_left: Tensor, bottom_right: Tensor) -> tuple[Tensor, ...]:
    """Give the maximum of four tensors and 0, and what `_unpool` has to know; the two right ones are overwritten."""
    top, bottom = torch.maximum(top_left, top_right), torch.maximum(bottom_left, bottom_right)
    pooled = torch.maximum(top, bottom).relu_()
    return pooled, top_right.sub_(top_left), bottom_right.sub_(bottom_left), bottom.sub_(top)


def _unpool(
    grad: Tensor, right_wins_top: Tensor, right_wins_bottom: Tensor, bottom_wins: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give each of the four its share of the gradient of their maximum.

    `right_wins_top` and the others are positive where the later value of a pair was larger. The whole gradient of a
    pair goes there; otherwise, also for ties, it goes to the earlier value, as in torch.
    """
    to_bottom = _where_positive(grad, bottom_wins)
    to_top = grad - to_bottom
    to_top_right = _where_positive(to_top, right_wins_top)
    to_bottom_right = _where_positive(to_bottom, right_wins_bottom)
    return to_top - to_top_right, to_top_right, to_bottom - to_bottom_right, to_bottom_right


def _where_positive(grad: Tensor, x: Tensor) -> Tensor:
    """Give `grad` where `x > 0`, else 0: ReLU's gradient, several times as fast as `torch.where`."""
    masked: Tensor = torch.ops.aten.threshold_backward(grad, x, 0)
    return masked
