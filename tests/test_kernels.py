"""The fast layers are torch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnistcli.kernels import Conv2d, conv_pool_relu, max_pool_relu


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 5, 8, 6), (64, 6, 24, 24)])
def test_values_and_gradients_equal_torchs_to_the_bit(
    shape: tuple[int, ...], dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    # Whole numbers, so that many windows have ties, above zero, at it and below.
    x = torch.randint(-3, 4, shape).to(dtype).contiguous(memory_format=memory_format).requires_grad_()
    before = x.detach().clone()
    ours, theirs = max_pool_relu(x), F.max_pool2d(F.relu(x), 2)
    assert torch.equal(ours, theirs)
    assert torch.equal(x.detach(), before)
    upstream = torch.randn(ours.shape).to(dtype)
    (mine,) = torch.autograd.grad(ours, x, upstream)
    (plain,) = torch.autograd.grad(F.relu(F.max_pool2d(x, 2)), x, upstream)
    assert torch.equal(mine, plain)


def test_no_gradient_is_no_trouble() -> None:
    x = torch.randn(2, 3, 4, 4)
    with torch.inference_mode():
        assert torch.equal(max_pool_relu(x), F.relu(F.max_pool2d(x, 2)))


@pytest.mark.parametrize("is_first_layer", [True, False])
def test_a_convolution_has_torchs_values_and_gradients(is_first_layer: bool) -> None:
    torch.manual_seed(0)
    ours = Conv2d(3, 7, kernel_size=5)
    theirs = nn.Conv2d(3, 7, kernel_size=5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 3, 12, 9, requires_grad=not is_first_layer)
    inputs = [[*layer.parameters(), *([] if is_first_layer else [x])] for layer in (ours, theirs)]
    outputs = [layer(x) for layer in (ours, theirs)]
    assert torch.equal(*outputs)
    upstream = torch.randn_like(outputs[0])
    mine, plain = (torch.autograd.grad(out, wrt, upstream) for out, wrt in zip(outputs, inputs, strict=True))
    for one, other in zip(mine, plain, strict=True):
        torch.testing.assert_close(one, other)


def test_a_convolution_goes_by_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Conv2d(1, 2, kernel_size=3)(torch.randn(1, 1, 5, 5)).dtype == torch.bfloat16


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("is_blank", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_convolution_and_its_pooling_at_once_are_torchs(size: int, is_blank: bool, count: int) -> None:
    torch.manual_seed(0)
    conv = Conv2d(1, 7, kernel_size=size)
    # Where an image is blank, rounding decides which place wins. It does not matter: all see the same.
    x = torch.full((count, 1, size + 11, size + 7), 0.3) if is_blank else torch.randn(count, 1, size + 11, size + 7)
    ours, theirs = conv_pool_relu(x, conv), F.max_pool2d(F.relu(conv(x)), 2)
    assert ours.is_contiguous()
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(theirs)
    mine, plain = (torch.autograd.grad(out, [*conv.parameters()], upstream) for out in (ours, theirs))
    for one, other in zip(mine, plain, strict=True):
        torch.testing.assert_close(one, other)


def test_a_convolution_and_its_pooling_ask_torch_for_what_they_do_not_do() -> None:
    torch.manual_seed(0)
    conv = Conv2d(1, 2, kernel_size=3)
    x = torch.randn(2, 1, 6, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(conv_pool_relu(x, conv).sum(), x)
    (plain,) = torch.autograd.grad(F.max_pool2d(F.relu(conv(x)), 2).sum(), x)
    torch.testing.assert_close(gradient, plain)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv_pool_relu(x.detach(), conv).dtype == torch.bfloat16
    with torch.inference_mode():
        torch.testing.assert_close(conv_pool_relu(x.detach(), conv), F.max_pool2d(F.relu(conv(x)), 2))
