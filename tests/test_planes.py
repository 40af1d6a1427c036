"""Planes and masks are measured as their plain definitions say."""

import numpy as np
import pytest

from mnistcli.planes import quantile


@pytest.mark.parametrize("count", [1, 2, 3, 10, 301])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.7, 1.0])
def test_a_quantile_is_numpys(count: int, share: float) -> None:
    values = (np.random.default_rng(count).random(count) * 255).astype(np.float32)
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-6)
