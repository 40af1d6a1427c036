"""What each part of a training step costs, beside torch's own way of doing it.

    python tests/benchmarks/parts.py [--rounds N]

The variants of a part take turns within one process, a few steps each; given are the medians over all their steps.
LeNet trains on batches of 64 random images, distortions are applied to 128.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnistcli.augment import draw_distortions
from mnistcli.config import TrainConfig
from mnistcli.kernels import Conv2d, max_pool_relu
from mnistcli.model import LeNet
from mnistcli.optim import SGD

STEPS = 8  # in a row, after one that warms up

Step = Callable[[], object]


class Variant(nn.Module):
    """LeNet with a choice of convolution, and of pooling with ReLU."""

    def __init__(self, convolution: type[nn.Conv2d], pool_relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1, self.conv2 = convolution(1, 6, 5), convolution(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.pool_relu = pool_relu

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, 10) logits for (B, 1, 28, 28) images."""
        x = self.pool_relu(self.conv2(self.pool_relu(self.conv1(x)))).flatten(1)
        logits: Tensor = self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))
        return logits


def main() -> None:
    """Time all parts and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=60, help="how often each variant has its turn")
    rounds = parser.parse_args().rounds
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} rounds\n")
    table("a step of LeNet, batch 64", lenet_steps(), rounds)
    table("distorting 128 images", distortion_steps(), rounds)


def lenet_steps() -> dict[str, Step]:
    """Give a step of each variant; every one has one thing more than the one before it."""
    images, labels = torch.randn(64, 1, 28, 28), torch.randint(10, (64,))

    def tutorials_pooling(x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(x), 2)

    def pooling_first(x: Tensor) -> Tensor:
        return F.relu(F.max_pool2d(x, 2))

    def step(net: nn.Module, *, is_fused: bool | None = None) -> Step:
        theirs = torch.optim.SGD(net.parameters(), lr=0.01, fused=is_fused) if is_fused is not None else None
        ours = SGD(net.parameters(), momentum=0, weight_decay=0)

        def take() -> None:
            F.cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
            if theirs is None:
                ours.step(0.01)
            else:
                theirs.step()
                theirs.zero_grad()

        return take

    return {
        "the tutorial's": step(Variant(nn.Conv2d, tutorials_pooling), is_fused=False),
        "pooling before ReLU": step(Variant(nn.Conv2d, pooling_first), is_fused=False),
        "fused SGD": step(Variant(nn.Conv2d, pooling_first), is_fused=True),
        "its kernel without the class": step(Variant(nn.Conv2d, pooling_first)),
        "`max_pool_relu`": step(Variant(nn.Conv2d, max_pool_relu)),
        "`Conv2d`'s own gradients": step(Variant(Conv2d, max_pool_relu)),
        "`conv_pool_relu` first": step(LeNet()),
    }


def distortion_steps() -> dict[str, Step]:
    """Give torch's way and ours, of the same distortions."""
    config = TrainConfig(shift_px=2, rotation_degrees=10, elastic_px=0.5, thickness=0.3)
    drawn = draw_distortions(config, 128, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert drawn is not None
    images = torch.randint(256, (128, 1, 28, 28), dtype=torch.uint8)

    def torchs() -> Tensor:
        assert drawn.bends is not None
        assert drawn.thickness is not None
        x = images.float()
        dilated, eroded = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
        x = torch.lerp(x, torch.where(drawn.thickness > 0, dilated, eroded), drawn.thickness.abs())
        grid = F.affine_grid(drawn.affine, list(x.shape), align_corners=False)
        bends = F.interpolate(drawn.bends, size=(28, 28), mode="bicubic", align_corners=True)
        return F.grid_sample(x, grid + bends.permute(0, 2, 3, 1), align_corners=False)

    return {"torch's functions": torchs, "`Distortions`": lambda: drawn(images)}


def table(title: str, steps: dict[str, Step], rounds: int) -> None:
    """Time steps that take turns, and print their medians."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()
            for _ in range(STEPS):
                started = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - started)
    first = statistics.median(next(iter(seconds.values())))
    print(f"| {title} | median, ms | quartiles | of the first |\n|---|---|---|---|")
    for name, values in seconds.items():
        low, median, high = statistics.quantiles(values)
        print(f"| {name} | {median * 1000:.2f} | {low * 1000:.2f} to {high * 1000:.2f} | {median / first:.0%} |")
    print()


if __name__ == "__main__":
    main()
