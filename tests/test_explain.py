"""The picture of a reading shows what was found where, the very pixels that the network saw, and what it said."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from mnistcli import explain, plots
from mnistcli.errors import ConfigError
from mnistcli.images import Box, Glyph, Picture, read_picture
from mnistcli.reading import MultiPrediction, Prediction

Pixels = NDArray[np.uint8]

SEVEN = (0.01,) * 7 + (0.91,) + (0.01,) * 2


def glyph(box: Box = (10, 10, 40, 60)) -> Glyph:
    levels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    return Glyph(levels, box)


def picture_of(folder: Path, size: tuple[int, int] = (100, 100), name: str = "picture.png") -> Picture:
    Image.new("RGB", size, (230, 220, 200)).save(folder / "picture.png")
    return read_picture(folder / "picture.png", name)


def answer_of(found: Glyph, *, rest: float = 0.0, is_sure: bool = True) -> Prediction:
    """Answer that a glyph is a seven, but for the rest, which is the probability of no digit."""
    return Prediction("", tuple(share * (1 - rest) for share in SEVEN), found, min_confidence=0.0 if is_sure else 1.0)


def drawn_reading(folder: Path, picture: Picture, glyphs: list[Glyph], title: str = "", is_sure: bool = True) -> Pixels:
    """Draw a reading in which every digit is a seven: (H, W, 3)."""
    figure = plots.new_figure()
    explain.draw_reading(figure, picture, [answer_of(found, is_sure=is_sure) for found in glyphs], title)
    plots.save_figure(figure, folder / "reading.png")
    return np.array(Image.open(folder / "reading.png").convert("RGB"))


def places(drawn: Pixels, colour: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the rows and columns that have a colour."""
    rows, columns = np.nonzero((drawn == np.round(np.array(to_rgb(colour)) * 255)).all(2))
    return rows, columns


def test_a_box_lies_where_the_digit_is_in_a_picture_that_was_shrunk(tmp_path: Path) -> None:
    picture = picture_of(tmp_path, (2400, 1200))
    assert picture.pixels.shape[1] == 1024
    drawn = drawn_reading(tmp_path, picture, [glyph((600, 300, 480, 600))])
    paper_rows, paper_columns = np.nonzero((drawn == (230, 220, 200)).all(2))
    assert np.ptp(paper_columns) == pytest.approx(explain.PICTURE_PX, abs=3)
    assert np.ptp(paper_rows) == pytest.approx(explain.PICTURE_PX / 2, abs=3)  # not distorted
    scale = explain.PICTURE_PX / 2400

    rows, columns = places(drawn[:, : explain.RIGHT_PX], explain.SURE)
    assert columns.min() - paper_columns.min() == pytest.approx(600 * scale, abs=3)
    assert columns.max() - paper_columns.min() == pytest.approx(1080 * scale, abs=3)
    assert rows.max() - paper_rows.min() == pytest.approx(900 * scale, abs=3)
    right_edge = rows[columns == columns.max()]  # the label is at the left
    assert right_edge.min() - paper_rows.min() == pytest.approx(300 * scale, abs=3)


def test_neither_box_nor_label_hides_a_tiny_digit(tmp_path: Path) -> None:
    tiny = [glyph((1200, 600 + 90 * index, 12, 18)) for index in range(3)]
    drawn = drawn_reading(tmp_path, picture_of(tmp_path, (2400, 1200)), tiny)
    paper_rows, paper_columns = np.nonzero((drawn == (230, 220, 200)).all(2))
    scale = explain.PICTURE_PX / 2400
    for left, top, wide, high in (found.box for found in tiny):
        row = paper_rows.min() + round((top + high / 2) * scale)
        column = paper_columns.min() + round((left + wide / 2) * scale)
        assert (drawn[row - 1 : row + 2, column - 1 : column + 2] == (230, 220, 200)).all()


def test_a_label_stands_where_it_hides_nothing(tmp_path: Path) -> None:
    figure, boxes = plots.new_figure(), [(10, top, 8, 8) for top in (10, 20, 30)]
    answers = [answer_of(glyph(box), is_sure=box[1] != 20) for box in boxes]
    explain.draw_reading(figure, picture_of(tmp_path), answers, "")
    labels = [(text.get_text(), text.get_verticalalignment()) for text in figure.axes[0].texts]
    assert labels == [("7", "bottom"), ("7", "top")]  # above the first, below the last


def test_digits_that_touch_are_both_labelled(tmp_path: Path) -> None:
    figure, boxes = plots.new_figure(), [(40, 80, 84, 160), (120, 82, 80, 160)]
    explain.draw_reading(figure, picture_of(tmp_path, (400, 400)), [answer_of(glyph(box)) for box in boxes], "")
    assert [text.get_verticalalignment() for text in figure.axes[0].texts] == ["bottom", "bottom"]


def test_a_reading_shows_the_very_pixels_that_the_network_saw(tmp_path: Path) -> None:
    grey = Picture(np.full((50, 80, 1), 200, np.uint8), (80, 50), "grey.png")
    drawn = drawn_reading(tmp_path, grey, [glyph()])
    assert drawn.shape == (explain.HEIGHT_PX, explain.WIDTH_PX, 3)
    top = (explain.TOP_PX + explain.HEIGHT_PX - explain.MARGIN_PX - explain.ONE_PX) // 2
    seen = drawn[top : top + explain.ONE_PX, explain.RIGHT_PX : explain.RIGHT_PX + explain.ONE_PX]
    assert np.array_equal(seen[3::7, 3::7], glyph().image[..., None].repeat(3, 2))


@pytest.mark.parametrize("is_sure", [True, False])
def test_only_the_box_of_an_unsure_digit_is_dashed(tmp_path: Path, is_sure: bool) -> None:
    figure = plots.new_figure()
    explain.draw_reading(figure, picture_of(tmp_path), [answer_of(glyph(), is_sure=is_sure)], "")
    colour = to_rgb(explain.SURE if is_sure else explain.UNSURE)
    patches = [patch for axes in figure.axes for patch in axes.patches if not patch.fill]
    (box,) = [patch for patch in patches if to_rgb(patch.get_edgecolor()) == colour]
    assert (box.get_linestyle() == "solid") == is_sure


def test_an_unsure_digit_looks_different(tmp_path: Path) -> None:
    sure = drawn_reading(tmp_path, picture_of(tmp_path), [glyph()], is_sure=True)
    unsure = drawn_reading(tmp_path, picture_of(tmp_path), [glyph()], is_sure=False)
    for drawn, colour, other in ((sure, explain.SURE, explain.UNSURE), (unsure, explain.UNSURE, explain.SURE)):
        assert places(drawn, colour)[0].size > 0
        assert places(drawn, other)[0].size == 0


def test_a_blank_picture_has_no_box_and_no_bars(tmp_path: Path) -> None:
    drawn = drawn_reading(tmp_path, picture_of(tmp_path), [], "?  blank")
    assert places(drawn, explain.SURE)[0].size == 0
    assert (drawn[explain.TOP_PX :, explain.RIGHT_PX + explain.ONE_PX :] == 255).all()
    assert places(drawn[explain.TOP_PX :, explain.RIGHT_PX :], explain.FAINT)[0].size > 0  # the word


@pytest.mark.parametrize("count", [2, 4, 5, 12, 13, 40])
def test_many_digits_have_a_cell_each_up_to_a_dozen(tmp_path: Path, count: int) -> None:
    glyphs = [glyph((10 + 20 * index, 10, 15, 80)) for index in range(count)]
    drawn = drawn_reading(tmp_path, picture_of(tmp_path, (20 + 20 * count, 100)), glyphs)
    assert drawn.shape[1] == explain.WIDTH_PX
    shown = min(count, explain.MOST_SHOWN)
    columns = 1 if count <= explain.ROWS_OF_ONE_COLUMN else 2
    wide = (explain.WIDTH_PX - explain.MARGIN_PX - explain.RIGHT_PX) // columns
    for index in range(shown):
        row, column = divmod(index, columns)
        top, left = explain.TOP_PX + row * explain.CELL_PX, explain.RIGHT_PX + column * wide
        seen = drawn[top : top + explain.MANY_PX, left : left + explain.MANY_PX]
        assert np.array_equal(seen[1::3, 1::3][1:-1, 1:-1, 0], glyph().image[1:-1, 1:-1])
    rest = drawn[explain.TOP_PX + 6 * explain.CELL_PX :, explain.RIGHT_PX :]
    assert bool((rest < 255).any()) == (count > shown)


def test_a_second_answer_does_not_replace_the_drawing_of_the_first(tmp_path: Path) -> None:
    place = tmp_path / "reading.png"
    drawings = explain.ReadingPictures(place, ["one.png"])
    answer = replace(answer_of(glyph()), path="one.png", picture=picture_of(tmp_path))
    drawings.draw(answer)
    before = place.read_bytes()
    with pytest.raises(ConfigError):
        drawings.draw(replace(answer, path="two.png"))
    assert place.read_bytes() == before


def test_the_title_tells_rows_apart() -> None:
    seven = Prediction("", SEVEN, glyph())
    assert explain.reading_title(seven) == "7   91.0%"
    assert explain.reading_title(MultiPrediction("", ((seven, seven), (seven,)))) == "77 / 7   91.0%"
    assert explain.reading_title(MultiPrediction("")) == "blank"


def test_a_title_with_a_question_mark_tells_no_confidence() -> None:
    seven, unsure = Prediction("", SEVEN, glyph()), Prediction("", SEVEN, glyph(), min_confidence=0.95)
    assert explain.reading_title(unsure) == "?   unsure"
    assert explain.reading_title(MultiPrediction("", ((seven, unsure), (seven,)))) == "7? / 7   unsure"


@pytest.mark.parametrize(("count", "share"), [(1, "91.0%"), (2, "91%")])
def test_a_share_is_written_as_in_the_title(tmp_path: Path, count: int, share: str) -> None:
    figure = plots.new_figure()
    explain.draw_reading(figure, picture_of(tmp_path), [answer_of(glyph())] * count, "")
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert written.count(share) == count
    assert not any(" %" in text for text in written)


@pytest.mark.parametrize(("rest", "names"), [(0.0, 10), (0.5, 11)])
def test_what_is_left_to_no_digit_has_a_bar_of_its_own(tmp_path: Path, rest: float, names: int) -> None:
    figure = plots.new_figure()
    answer = answer_of(glyph(), rest=rest)
    explain.draw_reading(figure, picture_of(tmp_path), [answer], "")
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert len(written) == 2 * names + 1  # a digit and its share each, and the label of its box
    assert ("?" in written, "50.0%" in written) == (names == 11, names == 11)


@pytest.mark.parametrize(
    ("rest", "is_sure", "emphasised"), [(0.0, True, "7"), (0.75, True, "7"), (0.0, False, "7"), (0.75, False, "?")]
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_a_digit_is_taken_for_is_emphasised_and_among_the_bars(
    tmp_path: Path, count: int, rest: float, is_sure: bool, emphasised: str
) -> None:
    figure = plots.new_figure()
    answer = answer_of(glyph(), rest=rest, is_sure=is_sure)
    explain.draw_reading(figure, picture_of(tmp_path), [answer] * count, "")
    share = rest if emphasised == "?" else 0.91 * (1 - rest)
    expected = [emphasised, f"{share:.1%}" if count == 1 else f"{share:.0%}"]
    for axes in figure.axes[2::2]:  # after the picture, what the network saw and the bars of each
        assert [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"] == expected


@pytest.mark.parametrize("text", ["long " * 200, "$x_{$", "\u6578\u5b57\n\t\x00", ""])
def test_any_title_and_name_stay_inside(tmp_path: Path, text: str) -> None:
    drawn = drawn_reading(tmp_path, picture_of(tmp_path, name=text), [glyph()], text)
    assert (drawn[: explain.TOP_PX - 16, -explain.MARGIN_PX + 2 :] == 255).all()
    assert (drawn[explain.TOP_PX - 16 : explain.TOP_PX - 4] == 255).all()  # each is one line


def test_a_users_style_does_not_change_a_reading(tmp_path: Path) -> None:
    usual = drawn_reading(tmp_path, picture_of(tmp_path), [glyph()], "7")
    with matplotlib.rc_context({"figure.facecolor": "black", "text.color": "white", "font.family": "monospace"}):
        assert np.array_equal(drawn_reading(tmp_path, picture_of(tmp_path), [glyph()], "7"), usual)
