"""Distortions do what their names say, to each image its own."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mnistcli.augment import BEND_POINTS, Distortions, draw_distortions, retexture
from mnistcli.config import TrainConfig

CPU = torch.device("cpu")
IDENTITY = torch.tensor([[1.0, 0, 0], [0, 1, 0]])


def make_images(count: int) -> Tensor:
    """Make images of an uneven cross, (N, 1, 28, 28) uint8, its middle at the centre."""
    images = torch.zeros((count, 1, 28, 28), dtype=torch.uint8)
    images[..., 6:22, 12:16] = 200
    images[..., 12:16, 9:19] = 255
    return images


def draw(count: int = 100, seed: int = 0, **keys: Any) -> Distortions:
    drawn = draw_distortions(TrainConfig(**keys), count, torch.Generator().manual_seed(seed), CPU)
    assert drawn is not None
    return drawn


def centre(images: Tensor) -> Tensor:
    """Give the (x, y) of the ink's centre in each image, (N, 2), in pixels."""
    weights = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    places = torch.arange(28) + 0.5
    return torch.stack([(weights.sum(1) * places).sum(1), (weights.sum(2) * places).sum(1)], 1)


def test_nothing_asked_is_nothing_done() -> None:
    assert draw_distortions(TrainConfig(), 10, torch.Generator(), CPU) is None


def test_no_distortion_keeps_every_pixel() -> None:
    images = make_images(3)
    still = Distortions(IDENTITY.expand(3, 2, 3), torch.zeros(3, 2, BEND_POINTS, BEND_POINTS), torch.zeros(3, 1, 1, 1))
    torch.testing.assert_close(still(images), images.float(), atol=0.01, rtol=0)


def test_places_and_bends_are_torchs() -> None:
    images = make_images(100)
    drawn = draw(rotation_degrees=40, shift_px=3, scale=0.3, shear=0.4, elastic_px=1)
    assert drawn.bends is not None
    grid = F.affine_grid(drawn.affine, [100, 1, 28, 28], align_corners=False)
    bends = F.interpolate(drawn.bends, size=(28, 28), mode="bicubic", align_corners=True)
    expected = F.grid_sample(images.float(), grid + bends.permute(0, 2, 3, 1), align_corners=False)
    torch.testing.assert_close(drawn(images), expected, atol=0.01, rtol=1e-4)


def test_a_shift_stays_in_its_reach_and_differs() -> None:
    moved = centre(draw(shift_px=2)(make_images(100))) - 14
    assert moved.abs().max() <= 2.01
    assert moved.abs().max() > 1.5
    assert moved.std(0).min() > 0.5


def test_a_rotation_turns_about_the_centre_and_mirrors_nothing() -> None:
    drawn = draw(rotation_degrees=30)
    angles = torch.atan2(drawn.affine[:, 1, 0], drawn.affine[:, 0, 0])
    assert math.radians(25) < angles.abs().max() <= math.radians(30) + 1e-6
    torch.testing.assert_close(torch.linalg.det(drawn.affine[:, :, :2]), torch.ones(100))
    torch.testing.assert_close(centre(drawn(make_images(100))), torch.full((100, 2), 14.0), atol=0.1, rtol=0)


def test_scale_and_shear_never_mirror() -> None:
    affine = draw(count=1000, rotation_degrees=20, scale=0.5, shear=0.5).affine
    assert torch.linalg.det(affine[:, :, :2]).min() > 0


def test_scale_changes_width_and_height_apart() -> None:
    drawn = draw(scale=0.2).affine
    wide, high = 1 / drawn[:, 0, 0], 1 / drawn[:, 1, 1]
    assert 0.8 <= min(wide.min(), high.min()) < 0.85
    assert 1.15 < max(wide.max(), high.max()) <= 1.2 + 1e-6
    assert abs(torch.corrcoef(torch.stack([wide, high]))[0, 1]) < 0.3


def test_thickness_adds_and_takes_ink() -> None:
    images = make_images(3)
    thickness = torch.tensor([-1.0, 0, 1]).view(3, 1, 1, 1)
    ink = (Distortions(IDENTITY.expand(3, 2, 3), None, thickness)(images) > 100).sum((1, 2, 3))
    plain = (images[0] > 100).sum()
    assert ink[0] < ink[1] == plain < ink[2]
    dilated = F.max_pool2d(images[:1].float(), 3, stride=1, padding=1)
    eroded = -F.max_pool2d(-images[:1].float(), 3, stride=1, padding=1)
    thin, _, thick = Distortions(IDENTITY.expand(3, 2, 3), None, thickness)(images)
    torch.testing.assert_close(thick, dilated[0], atol=0.01, rtol=0)
    torch.testing.assert_close(thin, eroded[0], atol=0.01, rtol=0)


def test_pixels_stay_in_their_range() -> None:
    drawn = draw(rotation_degrees=45, shift_px=5, scale=0.5, shear=0.5, elastic_px=2, thickness=1)
    result = drawn(make_images(100))
    assert result.shape == (100, 1, 28, 28)
    assert result.min() >= 0
    assert result.max() <= 255.01


def test_a_part_of_the_draws_distorts_as_the_whole() -> None:
    images = make_images(100)
    drawn = draw(rotation_degrees=20, elastic_px=1, thickness=0.5)
    torch.testing.assert_close(drawn[slice(10, 50, 3)](images[10:50:3]), drawn(images)[10:50:3])


@pytest.mark.parametrize(
    "keys",
    [
        {"shift_px": 2},
        {"rotation_degrees": 9},
        {"scale": 0.1},
        {"shear": 0.3},
        {"elastic_px": 1},
        {"thickness": 0.5},
        {"rotation_degrees": 9, "scale": 0.1},
    ],
)
def test_the_generator_decides(keys: dict[str, Any]) -> None:
    images = make_images(100)
    assert torch.equal(draw(**keys)(images), draw(**keys)(images))
    assert not torch.equal(draw(**keys)(images), draw(seed=1, **keys)(images))


def test_a_new_texture_blurs_or_sharpens_and_hardens() -> None:
    images = make_images(4) * 0.7
    soft, as_it_was, sharp, hard = retexture(images, torch.tensor([[1.0, 0], [0.35, 0], [0, 0], [0.35, 1]]))[:, 0]
    torch.testing.assert_close(as_it_was, images[0, 0])
    assert soft[13, 8] > 0 == as_it_was[13, 8]  # beside the bar's end
    assert soft[13, 9] < as_it_was[13, 9] < sharp[13, 9]
    assert hard.max() == 255 > as_it_was.max()
    assert (hard[as_it_was == 0] == 0).all()
    for image in (soft, sharp):
        assert image.min() >= 0
        assert image.max() <= 255
