"""Planes and masks are measured as their plain definitions say."""

import cv2
import numpy as np
import pytest

from mnistcli.planes import (
    Mask,
    border_pixels,
    bounding_window,
    connect,
    distance_to_paper,
    inscribed_radius,
    is_straight,
    longer_side,
    quantile,
    shrunk_size,
    spread,
    touches_border,
)


def line(angle: float) -> Mask:
    """Draw a line of 100 x 5 pixels at an angle in degrees: (140, 160)."""
    mask = np.zeros((140, 160), np.uint8)
    across, down = round(50 * np.cos(np.radians(angle))), round(50 * np.sin(np.radians(angle)))
    cv2.line(mask, (80 - across, 70 - down), (80 + across, 70 + down), 1, 5)
    return mask > 0


@pytest.mark.parametrize("count", [1, 2, 3, 10, 301])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.7, 1.0])
def test_a_quantile_is_numpys(count: int, share: float) -> None:
    values = (np.random.default_rng(count).random(count) * 255).astype(np.float32)
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-6)


def test_what_is_in_a_plane_has_an_extent_and_a_longer_side() -> None:
    plane = np.zeros((20, 30), np.float32)
    plane[3, 7] = plane[5, 15] = 0.1
    for turned, expected in ((plane, (slice(3, 6), slice(7, 16))), (plane.T, (slice(7, 16), slice(3, 6)))):
        assert bounding_window(turned) == expected
        assert longer_side(turned) == 9


@pytest.mark.parametrize("shape", [(4, 5), (2, 3), (7, 2)])
def test_the_border_has_each_outermost_pixel_once(shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.arange(height * width).reshape(height, width, 1)
    outermost = set(image.ravel()) - set(image[1:-1, 1:-1].ravel())
    assert sorted(border_pixels(image).ravel()) == sorted(outermost)


def test_a_box_touches_the_border_with_any_of_its_sides() -> None:
    boxes = {
        "inside": (1, 1, 6, 8),
        "left": (0, 1, 7, 8),
        "top": (1, 0, 6, 9),
        "right": (1, 1, 7, 8),
        "bottom": (1, 1, 6, 9),
    }
    touching = touches_border(np.array([(*box, 1) for box in boxes.values()]), (10, 8))
    assert dict(zip(boxes, touching.tolist(), strict=True)) == {side: side != "inside" for side in boxes}


def test_paper_begins_beyond_the_border_of_a_mask() -> None:
    away = distance_to_paper(np.ones((5, 9), np.bool_))
    rows, columns = np.mgrid[1:6, 1:10]
    assert away == pytest.approx(np.minimum.reduce([rows, 6 - rows, columns, 10 - columns]), rel=0.05)


def test_an_inscribed_radius_is_a_share_of_the_picture_and_goes_on_beyond_its_border() -> None:
    mask = np.zeros((60, 90), np.bool_)
    mask[20:29, 10:80] = True  # the fifth row of nine is five pixels from the nearest paper
    assert inscribed_radius(mask) == pytest.approx(5 / 90, rel=0.05)
    hanging = np.zeros((60, 90), np.bool_)
    hanging[:9] = True
    assert inscribed_radius(hanging) == pytest.approx(9 / 90, rel=0.05)


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 110])
def test_a_line_is_straight_whatever_its_direction(angle: float) -> None:
    assert is_straight(line(angle))


def test_what_is_bent_or_broad_or_crosses_is_not_straight() -> None:
    bow, block = np.zeros((140, 160), np.uint8), np.zeros((140, 160), np.bool_)
    cv2.ellipse(bow, (80, 100), (60, 60), 0, 180, 360, 1, 5)
    block[50:90, 30:130] = True
    for mask in (bow > 0, block, line(20) | line(110)):
        assert not is_straight(mask)


@pytest.mark.parametrize(
    ("shape", "longest", "size"),
    [
        ((300, 600), 60, (60, 30)),
        ((600, 300), 60, (30, 60)),
        ((20, 40), 60, (40, 20)),
        ((600, 2), 60, (3, 60)),
        ((2, 600), 60, (60, 3)),
    ],
)
def test_a_picture_is_shrunk_in_its_shape_and_never_enlarged(
    shape: tuple[int, int], longest: int, size: tuple[int, int]
) -> None:
    assert shrunk_size(np.zeros((*shape, 1)), longest) == size


def test_what_is_known_is_spread_to_where_nothing_is_but_not_far() -> None:
    values = np.full((100, 140, 2), 7, np.float32)
    weight = np.ones((100, 140), np.float32)
    values[40:50, 60:70], weight[40:50, 60:70] = 99, 0
    assert np.allclose(spread(values, weight, 50, least=1e-4), 7, rtol=0.01)
    weight[:, 10:] = 0
    assert np.allclose(spread(values, weight, 50, least=0.1)[:, 40:], 0, atol=0.1)


@pytest.mark.parametrize("count", range(4))
def test_connected_places_get_a_number_and_a_box(count: int) -> None:
    mask = np.zeros((30, 40), np.bool_)
    for number in range(count):
        mask[5:9, 10 * number + 3 : 10 * number + 8] = True
        mask[9, 10 * number + 8] = True  # touches at a corner
    labels, boxes = connect(mask)
    assert boxes.dtype == np.int32
    assert boxes.tolist() == [[0, 0, 40, 30, 1200 - 21 * count], *([10 * n + 3, 5, 6, 5, 21] for n in range(count))]
    for number, (left, top, width, height, area) in enumerate(boxes[1:].tolist(), 1):
        assert np.count_nonzero(labels[top : top + height, left : left + width] == number) == area
    assert np.array_equal(labels > 0, mask)
