"""What a person sees on a terminal."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mnistcli.images import Glyph
from mnistcli.loop import EpochDone
from mnistcli.reading import MultiPrediction, Prediction
from mnistcli.report import Report
from mnistcli.run import Finished
from mnistcli.screen import candidates, confusion_table, doubt, glyph_lines, number_lines, printable


def levels(image: np.ndarray) -> list[list[int]]:
    """Give the grey of each half-block, from above and below, as rows of pixels."""
    rows = []
    for line in glyph_lines(image):
        assert line.plain == "▀" * len(line.plain)
        styles = [span.style for span in line.spans]
        assert len(styles) == len(line.plain)
        for colour in ("color", "bgcolor"):
            rows.append([getattr(style, colour).triplet.red for style in styles])
            assert all(len(set(getattr(style, colour).triplet)) == 1 for style in styles)
    return rows


@pytest.mark.parametrize("control", ["\x1b", "\n", "\x85", "\u2028", "\udcff", "\u202e", "\u2066"])
def test_what_would_control_the_screen_is_escaped(control: str) -> None:
    assert printable(f"one{control}gnp.txt") == f"one{ascii(control)[1:-1]}gnp.txt"


def test_writing_of_any_language_is_shown_as_it_is() -> None:
    for text in ("gr\u00f6\u00dfe", "\u6570\u5b57", "\u05d0\u200f1", "\u0646\u200c\u0627", "3.04\u202fPM"):
        assert printable(text) == text


def test_half_blocks_show_each_pixels_grey_and_a_pixel_around_the_ink() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 10:19] = np.arange(1, 181).reshape(20, 9)
    assert np.array_equal(levels(image), image[3:25, 9:20])


def test_ink_of_odd_height_gets_another_row() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4:23, 10:19] = 200
    assert np.array_equal(levels(image), image[3:25, 9:20])
    image[:] = 0
    image[9:28, 5] = 200  # no row is left below
    assert np.array_equal(levels(image), image[8:28, 4:7])
    image[8, 5] = 200
    assert np.array_equal(levels(image), image[6:28, 4:7])


def test_ink_up_to_the_rim_fills_fourteen_lines_and_no_ink_fills_none() -> None:
    image = np.full((28, 28), 7, np.uint8)
    assert np.array_equal(levels(image), image)
    assert glyph_lines(np.zeros((28, 28), np.uint8)) == []


def test_each_row_tells_how_sure_its_least_sure_digit_is() -> None:
    sure, less_sure = (Prediction("", (share, 1 - share) + (0.0,) * 8) for share in (0.9, 0.75))
    lines = number_lines(MultiPrediction("", ((sure, less_sure), (sure,))))
    assert [line.plain for line in lines] == ["  00  each at least 75.00%", "  0  90.00%"]


def test_a_question_mark_has_no_confidence() -> None:
    sure, less_sure = (Prediction("", (share,) + (0.0,) * 9, min_confidence=0.5) for share in (0.9, 0.75))
    unsure = Prediction("", (0.4, 0.3) + (0.0,) * 8, min_confidence=0.5)
    rows = ((sure, unsure, less_sure), (sure, unsure), (unsure, unsure))
    lines = number_lines(MultiPrediction("", rows))
    assert [line.plain for line in lines] == [
        "  0?0  each at least 75.00%, ? unsure",
        "  0?  90.00%, ? unsure",
        "  ??  unsure",
    ]


def test_no_digit_is_a_candidate_where_it_is_likelier_than_one() -> None:
    answer = Prediction("", (0.5, 0.125) + (0.0,) * 8)
    assert [candidates(answer, count) for count in (1, 2, 3)] == [
        [("0", 0.5)],
        [("0", 0.5), ("?", 0.375), ("1", 0.125)],
        [("0", 0.5), ("?", 0.375), ("1", 0.125), ("2", 0.0)],
    ]
    assert candidates(Prediction("", (0.25,) + (0.0,) * 9), 1) == [("?", 0.75), ("0", 0.25)]
    assert candidates(Prediction("", (1.0,) + (0.0,) * 9), 2) == [("0", 1.0), ("1", 0.0)]


def test_the_confusion_matrix_fits_60_columns_and_all_answers_have_the_same_width() -> None:
    counts = np.zeros((10, 10), int)
    counts[1] = 1234
    console = Console(width=60, file=io.StringIO())
    assert console.measure(confusion_table(counts.tolist())).maximum <= 60
    with console.capture() as captured:
        console.print(confusion_table(counts.tolist()))
    _, heads, _, *rows = [line for line in captured.get().splitlines() if line.strip()]
    assert rows[1].split() == ["1", *["1234"] * 10]
    assert rows[0].split() == ["0", *["."] * 10]
    ends = [place for place, character in enumerate(heads) if character.isdigit()]
    assert [place for place, character in enumerate(rows[0]) if character == "."] == ends
    assert set(np.diff(ends)) == {5}


@pytest.mark.parametrize(
    ("probabilities", "is_no_digit", "reason"),
    [
        ((0.4, 0.1), False, "this may be no digit"),
        ((0.4, 0.3), False, "the likeliest digit is below --min-confidence"),
        (
            (0.4, 0.6),
            False,
            "the likeliest digit is below --min-confidence",
        ),  # of a network that knows of no such thing
        ((0.9, 0.1), True, "by its shape, this is no digit"),
    ],
)
def test_what_is_unsure_is_told_why(probabilities: tuple[float, float], reason: str, *, is_no_digit: bool) -> None:
    glyph = Glyph(np.zeros((28, 28), np.uint8), (0, 0, 1, 1), is_no_digit=is_no_digit)
    assert doubt(Prediction("", (*probabilities, *(0.0,) * 8), glyph, min_confidence=0.7)) == reason


@pytest.mark.parametrize(("best_epoch", "is_told"), [(1, True), (2, False), (None, False)])
def test_the_best_epoch_is_told_where_it_is_not_the_last(
    capsys: pytest.CaptureFixture[str], best_epoch: int | None, *, is_told: bool
) -> None:
    history = [EpochDone(number, 2, 0.5, 0.5, 1.0, 1.0) for number in (1, 2)]
    done = Finished(Path("ckpt.pt"), Path("data"), history, best_epoch, is_early=False, advice=None)
    Report().trained(done)
    told = "epoch 1 was the best by its validation (--weights best takes it)\n"
    assert capsys.readouterr().err == f"{told if is_told else ''}now try: mnistcli eval ckpt.pt\n"
