"""Everything rich, and all output: answers on standard output, everything else on standard error."""

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from mnistcli import download
    from mnistcli.api import Prediction
    from mnistcli.data import Samples
    from mnistcli.loop import Evaluation
    from mnistcli.run import TrainEvent

SCHEMA = 1  # of every JSON object; raised when a key changes its meaning or goes
BAR_WIDTH = 30


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person's terminal, that can move its cursor, is at the other end."""
    return stream.isatty() and not _console(stream).is_dumb_terminal


def _console(stream: TextIO) -> Console:
    # Text is shown as it is: a path may look like markup or an emoji code, and must not be wrapped when piped.
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)


class Report:
    """Says what a command has to say.

    Args:
        as_json: answers are JSON objects.
        quiet: nothing on standard error but failures.
        progress: bars where there is a terminal.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, progress: bool = True) -> None:
        self.as_json = as_json
        self.out, self.err = _console(sys.stdout), _console(sys.stderr)
        self.err.quiet = quiet
        self.to_person = is_terminal(sys.stdout)
        # Objects that come between the bars on the same screen would tear both.
        mingles = as_json and self.to_person
        self.bars = progress and not quiet and not mingles and is_terminal(sys.stderr)

    def say(self, text: str) -> None:
        """Tell the person something that is not the answer."""
        self.err.print(text)

    def answer(self, text: str) -> None:
        """Give the answer as text, to the letter: rich would turn a tab into spaces."""
        self.out.file.write(text + "\n")
        self.out.file.flush()

    def document(self, **content: Any) -> None:
        """Give the answer as a JSON object in a line."""
        # NaN and infinity are no JSON; the core gives None where there is no number.
        self.answer(json.dumps({"schema": SCHEMA, **content}, allow_nan=False))

    def downloading(self, events: Iterable["download.Event"]) -> bool:
        """Follow a download to its end; tell whether there was anything to fetch."""
        from mnistcli.download import Placed, Received, Retrying, SourceFailed, Trying, Wanted

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
        bar = Progress(*columns, console=self.err, transient=True, disable=not self.bars)
        is_wanted = False
        with bar:
            task = bar.add_task("downloading", total=None)
            for event in events:
                match event:
                    case Wanted(size):
                        is_wanted = True
                        bar.update(task, total=size)
                    case Received(size):
                        bar.advance(task, size)
                    case Trying(source):
                        self.say(f"asking {source}")
                    case Retrying(source, reason):
                        self.say(f"  {reason}; trying again")
                    case SourceFailed(source, reason):
                        self.say(f"  {reason}")
                    case Placed(name):
                        self.say(f"  {name} is there, verified")
        return is_wanted

    def downloaded(self, folder: Path, fetched: Sequence["download.RawFile"]) -> None:
        """Answer where the files are."""
        if self.as_json:
            self.document(folder=str(folder), fetched=[file.name for file in fetched])
        else:
            self.answer(str(folder))

    def samples(self, samples: "Samples", output: Path) -> None:
        """Answer where the grid is; show a person a few of its samples."""
        if self.as_json:
            self.document(output=str(output), labels=samples.labels.tolist())
            return
        if self.to_person:
            self.preview(samples.images)
        self.answer(str(output))

    def epoch(self, event: "TrainEvent") -> None:
        """Answer with each epoch, where answers are JSON."""
        if not self.as_json:
            return
        from mnistcli.loop import EpochDone

        if isinstance(event, EpochDone):
            self.document(event="epoch", **asdict(event))

    def trained(self, last: "TrainEvent") -> None:
        """Answer with the checkpoint, once the last event has come."""
        from mnistcli.run import Finished, Stopped

        match last:
            case Finished(checkpoint, history, advice):
                if self.as_json:
                    self.document(event="end", checkpoint=str(checkpoint), epochs=len(history), advice=advice)
                else:
                    self.answer(str(checkpoint))
                if advice:
                    self.say(f"warning: {advice}")
                self.say(f"saved; now try: mnistcli eval {shlex.quote(str(checkpoint))}")
            case Stopped(checkpoint, epoch, step):
                resume = f"mnistcli train --resume {shlex.quote(str(checkpoint))}"
                if self.as_json:
                    self.document(event="stopped", checkpoint=str(checkpoint), epoch=epoch, step=step, resume=resume)
                self.say(f"stopped after {epoch} epochs and {step:,} steps; saved as {checkpoint}")
                self.say(f"continue with: {resume}")

    def evaluation(self, result: "Evaluation", checkpoint: Path, seconds: float) -> None:
        """Answer with the scores, in tables."""
        if self.as_json:
            self.document(
                checkpoint=str(checkpoint),
                accuracy=result.accuracy,
                loss=result.loss,
                correct=result.correct,
                total=result.total,
                per_digit=[asdict(score) for score in result.per_digit],
                confusion=result.confusion.tolist(),
                seconds=seconds,
            )
            return
        self.answer(
            f"accuracy {result.accuracy:.2%} ({result.correct:,} of {result.total:,})  loss {result.loss:.4f}\n"
        )
        scores = _table("per digit", "digit", "precision", "recall", "count")
        for score in result.per_digit:
            scores.add_row(str(score.digit), _percent(score.precision), _percent(score.recall), f"{score.count:,}")
        confusion = _table("row: digit, column: answer", "", *map(str, range(10)))
        for digit, row in enumerate(result.confusion.tolist()):
            cells = [
                Text(str(count) if count else ".", style="bold" if digit == answer else "")
                for answer, count in enumerate(row)
            ]
            confusion.add_row(Text(str(digit), style="bold"), *cells)
        self.out.print(scores)
        self.out.print(confusion)

    def prediction(self, answer: "Prediction", checkpoint: Path, top_k: int) -> None:
        """Answer what one picture is taken for: bars to a person, a line of three fields to a program."""
        if answer.error:
            self.err.quiet = False
            self.say(f"error: {answer.error}")
        if self.as_json:
            self.document(
                path=answer.path,
                status=answer.status,
                digit=answer.digit,
                confidence=answer.confidence,
                probabilities=answer.probabilities,
                checkpoint=str(checkpoint),
                **({"error": answer.error} if answer.error else {}),
            )
            return
        if answer.error:
            return
        if not self.to_person:
            self.answer(f"{answer.path}\t{answer.digit}\t{answer.confidence:.4f}")
            return
        self.answer(answer.path)
        for rank, (digit, probability) in enumerate(answer.top(top_k)):
            bar = "█" * round(probability * BAR_WIDTH)
            line = Text(f"  {digit}  {bar:<{BAR_WIDTH}}  {probability:7.2%}", style="" if rank else "bold")
            self.out.print(line)

    def preview(self, images: "Tensor") -> None:
        """Show (N, 1, 28, 28) uint8 images in half-blocks at half their size, as many as fit a line."""
        if not self.out.encoding.startswith("utf"):
            return
        small = images[:, 0].float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4)).byte()  # (N, 14, 14)
        count = max(1, (self.out.width + 1) // (small.shape[2] + 1))
        has_colour = self.out.color_system is not None and not self.out.no_color
        for top in range(0, small.shape[1], 2):
            line = Text(" ").join(
                half_blocks(image[top].tolist(), image[top + 1].tolist(), has_colour) for image in small[:count]
            )
            self.out.print(line)


def half_blocks(upper: list[int], lower: list[int], has_colour: bool) -> Text:
    """Draw two rows of pixels, 0..255, as one line of characters, each half a pixel above another."""
    if has_colour:
        line = Text()
        for above, below in zip(upper, lower, strict=True):
            style = Style(color=f"rgb({above},{above},{above})", bgcolor=f"rgb({below},{below},{below})")
            line.append("▀", style)
        return line
    return Text("".join(" ▀▄█"[(above > 127) + 2 * (below > 127)] for above, below in zip(upper, lower, strict=True)))


def failure(message: str, exit_code: int, *, as_json: bool) -> None:
    """Report an expected failure on standard error, and as an object too where answers are JSON.

    It is one line; several faults found at once have a line each.
    """
    Report().say("error: " + message.replace("\n", "\n       "))
    if as_json:
        Report().document(event="error", status="error", error=message, exit_code=int(exit_code))


def _table(title: str, *headers: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for header in headers:
        table.add_column(header, justify="right")
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
