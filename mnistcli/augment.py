"""Distorting training images, each by its own draw, so that a network learns what may vary in a digit."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.config import TrainConfig
from mnistcli.idx import SIDE_PX

BEND_POINTS = 6  # on each side of a grid; between them elastic displacements run smoothly
SOFT_LEVEL = 40  # of 255: what is fainter is a stroke's edge
SHARPEST, SOFTEST = -0.7, 1.3  # how far an image goes towards its blurred self; below 0 it is sharpened
HARDEST = 2.5  # how many times as steep an edge may become


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Distortions:
    """What is done to each of N images."""

    affine: Tensor  # (N, 2, 3) float32, from places in the result to places in the image, both -1..1
    bends: Tensor | None  # (N, 2, 6, 6) float32, displacements of a grid of points, in the same unit
    thickness: Tensor | None  # (N, 1, 1, 1) float32, -1..1

    def __getitem__(self, which: slice) -> "Distortions":
        """Give those of some of the images."""
        return self._each(lambda part: part[which])

    def to(self, device: torch.device) -> "Distortions":
        """Give the same distortions on `device`."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Distortions":
        bends, thickness = (part if part is None else change(part) for part in (self.bends, self.thickness))
        return Distortions(change(self.affine), bends, thickness)

    def __call__(self, images: Tensor) -> Tensor:
        """Distort (N, 1, 28, 28) uint8 or float images, 0 = paper; give float32 ones in the same range."""
        if len(images) == 0:
            return images.float()  # torch cannot sample nothing
        if self.thickness is not None:
            images = _thicken(images, self.thickness)
        places = _affine_places(self.affine)  # (N, 2, 28, 28)
        if self.bends is not None:
            smooth = _interpolation(self.bends.device)  # (28, 6)
            places = places + smooth @ self.bends @ smooth.T
        # Where the image ends there is paper, 0.
        return F.grid_sample(images.float(), places.permute(0, 2, 3, 1), align_corners=False)


def _affine_places(affine: Tensor) -> Tensor:
    """Give the x and y, (N, 2, 28, 28), that each pixel of the result comes from.

    They are those of `F.affine_grid` with `align_corners=False`, as the sum of a row and a column: a tenth of its time.
    """
    centres = (torch.arange(SIDE_PX, device=affine.device) + 0.5) / (SIDE_PX / 2) - 1  # (28,)
    by_column = affine[..., :1] * centres + affine[..., 2:]  # (N, 2, 28)
    by_row = affine[..., 1:2] * centres
    return by_column.unsqueeze(2) + by_row.unsqueeze(3)


@cache
def _interpolation(device: torch.device) -> Tensor:
    """Give the (28, 6) matrix that interpolates six points bicubically; each column is what one point adds."""
    points = torch.eye(BEND_POINTS, device=device).view(1, BEND_POINTS, BEND_POINTS, 1)
    columns = F.interpolate(points, size=(SIDE_PX, 1), mode="bicubic", align_corners=True)  # (1, 6, 28, 1)
    return columns[0, :, :, 0].T


def _thicken(images: Tensor, thickness: Tensor) -> Tensor:
    """Blend images with the strokes' dilation where `thickness` is above 0, with their erosion where below."""
    dilated, eroded = _dilate(images), 255 - _dilate(255 - images)
    changed = torch.where(thickness > 0, dilated, eroded)
    return torch.lerp(images.float(), changed.float(), thickness.abs())


def _dilate(images: Tensor) -> Tensor:
    """Give the maximum of each pixel's 3 x 3 neighbourhood; one side after the other is faster than pooling."""
    padded = F.pad(images, (1, 1, 1, 1))
    rows = torch.maximum(torch.maximum(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    return torch.maximum(torch.maximum(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])


def harden(images: Tensor, gain: Tensor) -> Tensor:
    """Make strokes' edges steeper, in (N, 1, 28, 28) images by (N,) factors; what is fainter than an edge fades."""
    return ((images - SOFT_LEVEL) * gain.view(-1, 1, 1, 1) + SOFT_LEVEL).clamp(0, 255)


def retexture(images: Tensor, dice: Tensor) -> Tensor:
    """Blur or sharpen images, each by its own draw, and harden them, so that the look of the ink tells nothing.

    Args:
        images: (N, 1, 28, 28) float32, 0..255.
        dice: (N, 2) float32, uniform in 0..1: how blurred or sharp, and how hard.
    """
    if len(images) == 0:
        return images
    towards = SHARPEST + (SOFTEST - SHARPEST) * dice[:, 0]
    retextured = torch.lerp(images, _blur(images), towards.view(-1, 1, 1, 1))
    return harden(retextured, gain=1 + (HARDEST - 1) * dice[:, 1] ** 2)


def _blur(images: Tensor) -> Tensor:
    """Give each pixel the binomially weighted mean of its 3 x 3 neighbourhood."""
    padded = F.pad(images, (1, 1, 1, 1))
    rows = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return (rows[..., :-2, :] + 2 * rows[..., 1:-1, :] + rows[..., 2:, :]) / 4


def draw_distortions(
    config: TrainConfig, count: int, generator: torch.Generator, device: torch.device
) -> Distortions | None:
    """Draw a distortion for each of some images; None where the configuration asks for none.

    Rotation, scale, shear and shift are uniform in their ranges. Elastic displacements are after Simard, Steinkraus
    and Platt, "Best practices for convolutional neural networks applied to visual document analysis", 2003; where
    they smooth a displacement drawn for every pixel, here a coarse grid of draws is interpolated, as smooth and
    much cheaper. Nothing is mirrored: the mirror image of a digit is no digit.

    Args:
        config: the recipe, of which the ranges are taken.
        count: of images.
        generator: on the CPU, so that every device gets the same distortions.
        device: where they are wanted.
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
    half = SIDE_PX / 2  # pixels in a unit of the grid
    across = torch.stack([cos * wide, (shear * cos - sin) * wide, uniform(config.shift_px / half)], 1)  # (N, 3)
    down = torch.stack([sin * high, (shear * sin + cos) * high, uniform(config.shift_px / half)], 1)
    bends = None
    if config.elastic_px:
        size = (count, 2, BEND_POINTS, BEND_POINTS)
        bends = torch.randn(size, generator=generator) * (config.elastic_px / half)
    thickness = uniform(config.thickness).view(count, 1, 1, 1) if config.thickness else None
    return Distortions(torch.stack([across, down], 1), bends, thickness).to(device)
