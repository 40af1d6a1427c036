"""Distorting training images, each by its own draw, so that a network learns what may vary in a digit."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.config import TrainConfig

SIDE = 28  # pixels
BEND_POINTS = 6  # a side; between them elastic displacements run smoothly


@dataclass(frozen=True)
class Distortions:
    """What is done to each of N images."""

    affine: Tensor  # (N, 2, 3) float32, from places in the result to places in the image, both -1..1
    bends: Tensor | None  # (N, 2, 6, 6) float32, displacements of a grid of points, in the same unit
    thickness: Tensor | None  # (N, 1, 1, 1) float32, -1..1

    def __getitem__(self, which: slice) -> "Distortions":
        """Give those of some of the images."""
        parts = (self.affine, self.bends, self.thickness)
        return Distortions(*(None if part is None else part[which] for part in parts))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> "Distortions":
        """Give the same distortions on `device`."""
        parts = (self.affine, self.bends, self.thickness)
        return Distortions(*(None if part is None else part.to(device) for part in parts))  # type: ignore[arg-type]

    def __call__(self, images: Tensor) -> Tensor:
        """Distort (N, 1, 28, 28) uint8 or float images, 0 = paper; give float32 ones in the same range."""
        images = images.float()
        if self.thickness is not None:
            images = _thicken(images, self.thickness)
        places = F.affine_grid(self.affine, list(images.shape), align_corners=False)  # (N, 28, 28, 2)
        if self.bends is not None:
            smooth = F.interpolate(self.bends, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
            places = places + smooth.permute(0, 2, 3, 1)
        return F.grid_sample(images, places, align_corners=False)  # paper, 0, where the image ends


def _thicken(images: Tensor, thickness: Tensor) -> Tensor:
    """Blend images with the strokes' dilation where `thickness` is above 0, with their erosion where below."""
    dilated = F.max_pool2d(images, 3, stride=1, padding=1)
    eroded = -F.max_pool2d(-images, 3, stride=1, padding=1)
    return images + thickness.clamp(min=0) * (dilated - images) - thickness.clamp(max=0) * (eroded - images)


def draw_distortions(config: TrainConfig, count: int, generator: torch.Generator) -> Distortions | None:
    """Draw a distortion for each of `count` images, on the CPU; None where the configuration asks for none.

    Rotation, scale, shear and shift are uniform in their ranges. Elastic displacements are after Simard, Steinkraus
    and Platt, "Best practices for convolutional neural networks applied to visual document analysis", 2003; where
    they smooth a displacement drawn for every pixel, here a coarse grid of draws is interpolated, as smooth and
    much cheaper. There is no mirror image: a digit's is no digit.
    """
    if not any(
        (config.shift_px, config.rotation_degrees, config.scale, config.shear, config.elastic_px, config.thickness)
    ):
        return None

    def uniform(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    angle, shear = uniform(math.radians(config.rotation_degrees)), uniform(config.shear)
    wide, high = 1 / (1 + uniform(config.scale)), 1 / (1 + uniform(config.scale))
    cos, sin = angle.cos(), angle.sin()
    half = SIDE / 2  # pixels in a unit of the grid
    across = torch.stack([cos * wide, (shear * cos - sin) * wide, uniform(config.shift_px / half)], 1)  # (N, 3)
    down = torch.stack([sin * high, (shear * sin + cos) * high, uniform(config.shift_px / half)], 1)
    bends = None
    if config.elastic_px:
        size = (count, 2, BEND_POINTS, BEND_POINTS)
        bends = torch.randn(size, generator=generator) * (config.elastic_px / half)
    thickness = uniform(config.thickness).view(count, 1, 1, 1) if config.thickness else None
    return Distortions(torch.stack([across, down], 1), bends, thickness)
