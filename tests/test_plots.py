"""The sample grid shows the files' own pixels."""

import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from conftest import no_room_for_files
from mnistcli import plots
from mnistcli.data import Samples
from mnistcli.errors import MnistCliError


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("ending", ["png", "jpg", "svg"])
def test_a_full_disk_leaves_the_old_picture(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"grid.{ending}"
    figure = plots.new_figure()
    plots.draw_samples(figure, Samples(torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.arange(4)))
    plots.save_figure(figure, path)
    before = path.read_bytes()
    with no_room_for_files(), pytest.raises(MnistCliError, match=r"cannot write .*: File too large"):
        plots.save_figure(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("count", [1, 2, 10])
def test_every_pixel_looks_as_in_the_file(tmp_path: Path, count: int) -> None:
    levels = torch.arange(28 * 28).view(1, 1, 28, 28) % 256
    images = torch.cat([(levels + 10 * index) % 256 for index in range(count)]).to(torch.uint8)
    figure = plots.new_figure()
    plots.draw_samples(figure, Samples(images, torch.arange(count)))
    plots.save_figure(figure, tmp_path / "grid.png")
    drawn = np.array(Image.open(tmp_path / "grid.png").convert("L"))

    columns = int(np.ceil(np.sqrt(count)))
    scale, gap, label = plots.PIXEL_PX, plots.GAP_PX, plots.LABEL_PX
    for index in range(count):
        row, column = divmod(index, columns)
        top, left = gap + row * (28 + label + gap) + label, gap + column * (28 + gap)
        cell = drawn[top * scale : (top + 28) * scale, left * scale : (left + 28) * scale]
        expected = images[index, 0].numpy().repeat(scale, 0).repeat(scale, 1)
        assert np.array_equal(cell, expected)


def draw_one(path: Path) -> None:
    figure = plots.new_figure()
    plots.draw_samples(figure, Samples(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)))
    plots.save_figure(figure, path)


def test_the_format_is_that_of_the_ending(tmp_path: Path) -> None:
    draw_one(tmp_path / "grid.svg")
    assert (tmp_path / "grid.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    "settings",
    [
        {"savefig.bbox": "tight"},
        {"image.origin": "lower", "text.color": "white"},
        {"text.usetex": True, "font.family": "no such font"},
    ],
)
def test_a_users_settings_change_nothing(tmp_path: Path, settings: Any) -> None:
    draw_one(tmp_path / "plain.png")
    with matplotlib.rc_context(settings):
        draw_one(tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (3 * (28 + 2 * 4), 3 * (38 + 2 * 4))


@pytest.mark.parametrize("backend", ["module://nowhere", "TkAgg", "nothing"])
def test_a_window_that_cannot_be_shown_leaves_the_file(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("MPLBACKEND", backend)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not plots.show_figure(plots.new_figure(window=True))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_files_and_what_is_not_there_are_replaceable(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "link.png").symlink_to("nowhere.png")
    places = [tmp_path / f"{name}.png" for name in ("folder", "pipe", "empty", "link", "none", 300 * "a")]
    assert [plots.is_replaceable(place) for place in places] == [False, False, True, True, True, True]
