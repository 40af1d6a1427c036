"""Paper is estimated as it is under the ink, in whatever light."""

import cv2
import numpy as np
import pytest

from mnistcli.paper import envelopes, flat_colour, patches, refine, surface
from mnistcli.planes import Image

ROWS, COLUMNS = np.mgrid[-1:1:120j, -1:1:140j]
BAR = np.s_[30:90, 40:50]


def on(paper: np.ndarray, ink: float = 30) -> Image:
    """Paint a bar of ink on paper, (120, 140): (120, 140, 1) float32."""
    image = paper.astype(np.float32)[..., None].copy()
    image[BAR] = ink
    return image


def test_a_drawings_paper_has_one_colour_all_along_its_rim_but_for_what_touches_it() -> None:
    drawing = np.full((120, 140, 3), (250, 240, 230), np.uint8)
    drawing[BAR] = 0
    touched = drawing.copy()
    touched[:, 40:50] = 0
    for picture in (drawing, touched):
        colour = flat_colour(picture)
        assert colour is not None
        assert colour.tolist() == [250, 240, 230]
    assert flat_colour((drawing * np.linspace(0.9, 1, 140)[:, None]).astype(np.uint8)) is None


@pytest.mark.parametrize(
    "paper", [200 + 20 * COLUMNS, 180 + 15 * ROWS - 10 * COLUMNS, 210 - 25 * (ROWS**2 + COLUMNS**2)]
)
def test_light_that_changes_smoothly_is_seen_under_the_ink_too(paper: np.ndarray) -> None:
    assert np.allclose(surface(on(paper), is_ink_lighter=False)[..., 0], paper, atol=2)


@pytest.mark.parametrize(
    ("place", "darker"),
    [
        pytest.param(np.s_[30:90, 40:100], 50, id="ink in the middle that differs little"),
        pytest.param(np.s_[60:, :50], 80, id="a thumb in a corner that differs more"),
    ],
)
def test_what_is_broad_is_no_paper(place: tuple[slice, slice], darker: int) -> None:
    paper = 200 + 20 * COLUMNS
    image = on(paper)
    image[place] = paper[place][..., None] - darker
    assert np.allclose(surface(image, is_ink_lighter=False)[..., 0], paper, atol=2)


def test_strokes_that_hardly_differ_are_no_paper_though_they_run_into_the_border() -> None:
    paper, ink = np.array([80, 72, 66]), np.array([80, 30, 20])
    oval = cv2.ellipse(np.zeros((68, 64), np.float32), (32, 34), (24, 33), 0, 0, 360, 1, 7)
    cover = cv2.GaussianBlur(oval, (0, 0), 1.5)[..., None]
    image = (paper * (1 - cover) + ink * cover).astype(np.float32)
    assert np.allclose(surface(image, is_ink_lighter=False), paper, atol=4)


def test_what_is_left_of_the_light_is_smoothed() -> None:
    paper = 200 + 8 * np.sin(3 * COLUMNS)
    image = on(paper)
    flat = np.full_like(image, 200)
    refined = refine(image, flat, image[..., 0] < 100)
    assert np.abs(refined[..., 0] - paper).max() < np.abs(flat[..., 0] - paper).max() / 2


def test_an_envelope_is_the_paper_without_its_strokes() -> None:
    shadow = np.where(COLUMNS > 0, 220, 150)
    for ink, number in ((30, 0), (255, 1)):  # dark strokes are closed over first, light ones after that
        estimate = list(envelopes(on(shadow, ink)))[number][..., 0]
        away = np.abs(COLUMNS) > 0.15  # from the shadow's edge, which is smoothed
        assert np.allclose(estimate[away], shadow[away], atol=3)


@pytest.mark.parametrize(("ink", "number"), [(30, 0), (255, 1)])
def test_a_patch_is_paper_up_to_its_corners(ink: int, number: int) -> None:
    paper = np.full((120, 140), 200)
    paper[20:100, 30:110] = 120
    estimate = list(patches(on(paper, ink), 0.1))[number][..., 0]
    edges = cv2.morphologyEx(paper.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((7, 7), np.uint8)) > 0
    assert np.allclose(estimate[~edges], paper[~edges], atol=3)
