"""What a screen can show: text that leaves its cursor alone, counts, shares and tables, images in half-blocks."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.style import Style
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mnistcli.data import Samples
    from mnistcli.glyphs import Grey
    from mnistcli.reading import MultiPrediction, Prediction

CONTROL_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # of Unicode: controls, surrogates, line and paragraph separators
TURNS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # what follows is written the other way round


def printable(text: str) -> str:
    """Escape characters that would move the cursor, colour the screen, end or turn the line, as in a hostile name."""
    if text.isprintable():  # told much sooner
        return text
    return "".join(ascii(char)[1:-1] if _is_control(char) else char for char in text)


def _is_control(char: str) -> bool:
    return char in TURNS or unicodedata.category(char) in CONTROL_CATEGORIES


def counted(count: int, noun: str) -> str:
    """Give a number with its noun: 1 epoch, 2 epochs."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def table(title: str, *headers: str) -> Table:
    """Make a table without rows, whose columns hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for header in headers:
        made.add_column(header, justify="right")
    return made


def confusion_table(confusion: Sequence[Sequence[int]]) -> Table:
    """Make the table of (10, 10) counts, a row for each digit and a column for each answer, all of the same width."""
    made = table("row: digit, column: answer", "", *map(str, range(10)))
    made.padding = 0  # for terminals of 60 columns
    widest = max(len(str(count)) for row in confusion for count in row)
    for column in made.columns[1:]:
        column.min_width = widest
    for digit, row in enumerate(confusion):
        cells = [
            Text(str(count) if count else ".", style="bold" if digit == answer else "")
            for answer, count in enumerate(row)
        ]
        made.add_row(Text(str(digit), style="bold"), *cells)
    return made


def percent(share: float | None) -> str:
    """Give a share, 0..1, in percent; a dash where there is none."""
    return "-" if share is None else f"{share:.2%}"


def number_lines(answer: "MultiPrediction") -> list[Text]:
    """Show each row, and how sure the least sure of its named digits is."""
    return [Text(f"  {line}  {_sureness(row)}") for line, row in zip(answer.lines, answer.rows, strict=True)]


def _sureness(row: Sequence["Prediction"]) -> str:
    named = [digit.confidence or 0 for digit in row if digit.digit is not None]
    if not named:
        return "unsure"
    each, others = "each at least " if len(named) > 1 else "", ", ? unsure" if len(named) < len(row) else ""
    return f"{each}{min(named):.2%}{others}"


def doubt(answer: "Prediction") -> str:
    """Say why no digit is named, though something stands out."""
    if answer.glyph and answer.glyph.is_no_digit:
        return "by its shape, this is no digit"
    is_known = (answer.no_digit_probability or 0) > (answer.confidence or 0)
    return "this may be no digit" if is_known else "the likeliest digit is below --min-confidence"


def candidates(answer: "Prediction", count: int) -> list[tuple[str, float]]:
    """Give the `count` most probable digits with their probabilities in falling order, and among them no digit.

    No digit is a question mark, and left out where it is no more probable than the last of them.
    """
    ranked = answer.ranked()
    return ranked[: count + any(name == "?" for name, _ in ranked[:count])]


def half_blocks(upper: list[int], lower: list[int], has_colour: bool) -> Text:
    """Draw two rows of pixels, 0..255, as one line of characters, each half a pixel above another."""
    if has_colour:
        line = Text()
        for above, below in zip(upper, lower, strict=True):
            style = Style(color=f"rgb({above},{above},{above})", bgcolor=f"rgb({below},{below},{below})")
            line.append("▀", style)
        return line
    return Text("".join(" ▀▄█"[(above > 127) + 2 * (below > 127)] for above, below in zip(upper, lower, strict=True)))


def glyph_lines(image: "Grey") -> list[Text]:
    """Draw a (28, 28) image in coloured half-blocks, as much of it as there is ink, and a pixel around that."""
    import numpy as np

    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    if not rows.size:
        return []
    top, bottom = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, image.shape[0])
    left, right = max(int(columns[0]) - 1, 0), int(columns[-1]) + 2
    if (bottom - top) % 2:  # a line is two rows
        top, bottom = (top, bottom + 1) if bottom < image.shape[0] else (top - 1, bottom)
    pixels = image[top:bottom, left:right].tolist()
    return [half_blocks(upper, lower, True) for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)]


def sample_lines(samples: "Samples", width: int, has_colour: bool) -> list[Text]:
    """Draw samples in half-blocks at half their size, each above its label, as many as fit into `width` columns."""
    small = samples.images[:, 0].float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4)).byte()  # (N, 14, 14)
    wide = small.shape[2]
    count = max(1, (width + 1) // (wide + 1))
    pictures = small[:count].tolist()
    labels = [f"{label:^{wide}}" for label in samples.labels[:count].tolist()]
    tops = range(0, small.shape[1], 2)
    lines = (Text(" ").join(half_blocks(rows[top], rows[top + 1], has_colour) for rows in pictures) for top in tops)
    return [*lines, Text(" ".join(labels))]
