"""Pooling and ReLU in one are torch's pooling and ReLU."""

import pytest
import torch
import torch.nn.functional as F

from mnistcli.pooling import max_pool_relu


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
