"""Ink is connected as far as it belongs together, and the digit is picked from what is around it."""

import numpy as np
import pytest

from conftest import draw_big, likeness, see
from mnistcli.components import find_components
from mnistcli.ink import Ink


def test_a_faint_line_leads_a_component_to_the_border_only_with_full_ink() -> None:
    strength = np.zeros((200, 200), np.float32)
    strength[100] = 0.3
    strength[60:140, 90:100] = 1
    left, top, wide, high = find_components(Ink(strength, threshold=0.5, faint=0.175)).boxes[1, :4].tolist()
    assert (left, top, wide, high) == pytest.approx((90, 60, 10, 80), abs=8)
    strength[:60, 90:100] = 1
    components = find_components(Ink(strength, threshold=0.5, faint=0.175))
    assert components.boxes[1, :4].tolist() == [0, 0, 200, 140]


def test_faint_ink_joins_full_ink_and_is_none_alone() -> None:
    strength = np.zeros((60, 100), np.float32)
    strength[20:40, 10:20] = strength[20:40, 60:70] = 1
    strength[30, 20:60] = 0.3  # from one to the other
    strength[50, 20:60] = 0.3  # beside both
    components = find_components(Ink(strength, threshold=0.5, faint=0.175))
    assert sorted(components.full_ink_px.tolist()) == [0, 0, 400]  # of paper, of what is faint alone, of both pieces
    joined = int(components.full_ink_px.argmax())
    assert components.boxes[joined, :4].tolist() == [10, 20, 60, 20]
    assert np.array_equal(components.mask(joined), strength[20:40, 10:70] > 0)
    parted = find_components(Ink(strength, threshold=0.5, faint=0.4))
    assert parted.full_ink_px.tolist() == [0, 200, 200]


def test_specks_and_a_cut_neighbour_are_left_out() -> None:
    picture = np.pad(255 - draw_big(), 60, constant_values=255)
    alone = see(picture)
    picture[10:14, 10:14] = 0
    picture[100:170, -12:] = 0
    assert likeness(see(picture), alone) > 0.98
