"""All output but a training run's progress: answers on standard output, everything else on standard error."""

import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mnistcli.bundled import checkpoint_name
from mnistcli.config import TrainConfig, spell_options
from mnistcli.errors import ConfigError, MnistCliError
from mnistcli.files import answering, as_argument, discard_output
from mnistcli.screen import (
    candidates,
    confusion_table,
    counted,
    doubt,
    glyph_lines,
    number_lines,
    percent,
    printable,
    sample_lines,
    table,
)

if TYPE_CHECKING:
    from torch import Tensor

    from mnistcli import download
    from mnistcli.data import Samples
    from mnistcli.reading import MultiPrediction, Prediction
    from mnistcli.run import Finished, Stopped, TrainEvent
    from mnistcli.scoring import Evaluation, Follow

_T = TypeVar("_T")

SCHEMA = 1  # of every JSON object; raised when a key changes its meaning or goes
BAR_WIDTH = 30
BLANK = "  ?  blank: nothing stands out"
UNKNOWN_WIDTH = 80  # columns, where COLUMNS is 0
SURROGATES = r"[\ud800-\udfff]"  # Python's place-holders for a path's bytes that are not UTF-8


def _usable(stream: TextIO | None) -> TextIO:
    """Make sure that every text can be written to a standard stream."""
    if stream is None:  # closed by whoever started the program
        return io.StringIO()
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a path may hold what the stream's encoding does not
    return stream


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a stream leads to a person's terminal, and to one that can move its cursor."""
    return stream.isatty() and not _console(stream).is_dumb_terminal


def _is_pipe(stream: IO[str]) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it is closed, or not a file of the operating system
        return False


class _Aside(Console):
    """A console for all but the answer, which still comes if this text cannot be written: the text is then dropped."""

    def print(self, *objects: Any, **manner: Any) -> None:
        """Print as rich does."""
        try:
            super().print(*objects, **manner)
        except OSError:
            discard_output(self.file.fileno())

    def on_broken_pipe(self) -> None:
        """End the program, as rich does, only if the answer goes to the same reader, who is gone."""
        with suppress(OSError, ValueError):  # standard output is closed, so that the answer goes nowhere
            if sys.stdout and os.path.sameopenfile(self.file.fileno(), sys.stdout.fileno()):
                super().on_broken_pipe()
        discard_output(self.file.fileno())


def _console(stream: TextIO, kind: type[Console] = Console) -> Console:
    # Text is shown as it is: a path may look like markup or an emoji code, and must not be wrapped when piped.
    console = kind(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)
    if console.width == 0:  # rich would show nothing at all
        console.width = UNKNOWN_WIDTH
    return console


class Report:
    """Says what a command has to say.

    Args:
        as_json: give answers as JSON objects.
        quiet: say nothing on standard error but failures, stops, a missed --fail-under, and that digits were left out.
        progress: draw bars where there is a terminal.
        muted: say nothing at all; failures are told by another `Report`.
    """

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, progress: bool = True, muted: bool = False
    ) -> None:
        self.as_json, self.muted = as_json, muted
        out, err = _usable(None if muted else sys.stdout), _usable(None if muted else sys.stderr)
        self.out, self.err = _console(out), _console(err, _Aside)
        self.err.quiet = quiet
        self.to_person = is_terminal(out)
        # Objects that come between the bars on the same screen would tear both.
        mingles = as_json and self.to_person
        self.bars = progress and not quiet and not mingles and is_terminal(err)

    def say(self, *lines: str) -> None:
        """Tell the person something that is not the answer."""
        for line in lines:
            self.err.print(printable(line))

    def insist(self, *lines: str) -> None:
        """Tell the same way what even a person who asked for quiet has to know."""
        quiet, self.err.quiet = self.err.quiet, False
        self.say(*lines)
        self.err.quiet = quiet

    def fail(self, lines: Sequence[str], exit_code: int) -> None:
        """Report an expected failure on standard error, and as an object too where answers are JSON.

        It is one line; several faults found at once have a line each.
        """
        first, *others = lines
        self.insist(f"error: {first}", *(f"       {line}" for line in others))
        if self.as_json:
            self.document(event="error", status="error", error="\n".join(lines), exit_code=int(exit_code))

    def answer(self, text: str) -> None:
        """Give the answer as text, to the letter; rich would turn a tab into spaces.

        Raises:
            MnistCliError: it cannot be written, because standard output is closed or a disk is full.
            BrokenPipeError: nobody reads it any more.
        """
        if self.muted:
            return
        with answering(sys.stdout):
            self.out.file.write(text + "\n")
            self.out.file.flush()

    def draw(self, *renderables: RenderableType) -> None:
        """Give the answer as tables and styled text."""
        with self.out.capture() as captured:
            for renderable in renderables:
                self.out.print(renderable)
        self.answer("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def document(self, **content: Any) -> None:
        """Give the answer as a JSON object in a line."""
        # NaN and infinity are no JSON; the core gives None where there is no number.
        self.answer(json.dumps({"schema": SCHEMA, **content}, allow_nan=False))

    def configuration(self, config: TrainConfig, origins: dict[str, str]) -> None:
        """Answer with a configuration as TOML that `--config` takes, each key with what decided it.

        Raises:
            ConfigError: a path has bytes that are no UTF-8, which TOML cannot say.
        """
        values = config.model_dump(mode="json")
        if self.as_json:
            self.document(config=values, origins=origins)
            return
        for key, value in values.items():
            if re.search(SURROGATES, str(value)):
                raise ConfigError(f"`{key}` is a path that is not UTF-8, which TOML cannot say; --json can")
        # Texts, numbers and booleans as JSON writes them are TOML too, but for DEL. What the output's encoding may lack
        # is escaped as TOML has it, for of JSON's escapes TOML takes no surrogates.
        escaped = "\x7f" if self._has_unicode else r"[^\x20-\x7e]"
        texts = [
            re.sub(escaped, lambda character: f"\\U{ord(character[0]):08x}", json.dumps(value, ensure_ascii=False))
            for value in values.values()
        ]
        assignments = [f"{key} = {text}" for key, text in zip(values, texts, strict=True)]
        width = max(map(len, assignments))
        lines = zip(assignments, origins.values(), strict=True)
        self.answer("\n".join(f"{assignment:<{width}}  # {printable(origin)}" for assignment, origin in lines))

    def downloading(self, events: Iterable["download.Event"]) -> None:
        """Follow a download to its end."""
        from mnistcli.download import Placed, Received, Retrying, SourceFailed, Trying, Wanted

        with self._bar("downloading", DownloadColumn(), is_shown=self.bars) as bar:
            task = bar.add_task("downloading", total=None)
            for event in events:
                match event:
                    case Wanted(size):
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
                        self.say(f"  {name} is in its place, verified")

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
            self.preview(samples)
        self.answer(str(output))

    def epoch(self, event: "TrainEvent", checkpoint: Path) -> None:
        """Answer with each epoch if answers are JSON; if that fails, tell how to continue, for the epoch is saved."""
        if not self.as_json:
            return
        from mnistcli.loop import EpochDone

        if not isinstance(event, EpochDone):
            return
        try:
            self.document(event="epoch", **asdict(event))
        except BrokenPipeError:
            self.insist(f"stopped: nobody reads the answers any more; continue with: {_resumption(checkpoint)}")
            raise
        except MnistCliError as error:
            raise MnistCliError(f"{error}; continue with: {_resumption(checkpoint)}") from None

    def trained(self, last: "Finished | Stopped") -> None:
        """Answer with the checkpoint, once the last event has come, and tell where it is if that fails."""
        try:
            self._trained(last)
        except MnistCliError as error:
            raise MnistCliError(f"{error}; what was trained is saved as {last.checkpoint}") from None

    def _trained(self, last: "Finished | Stopped") -> None:
        from mnistcli.run import Finished, Stopped

        match last:
            case Finished(checkpoint, data_dir, history, best_epoch, is_early, advice):
                spelled = advice and spell_options(advice)
                if is_early:
                    self.say(f"stopped early: no epoch was better than epoch {best_epoch} (--weights best takes it)")
                elif best_epoch not in (None, len(history)):
                    self.say(f"epoch {best_epoch} was the best by its validation (--weights best takes it)")
                if self.as_json:
                    self.document(
                        event="end",
                        checkpoint=str(checkpoint),
                        epochs=len(history),
                        best_epoch=best_epoch,
                        is_early=is_early,
                        advice=spelled,
                    )
                else:
                    self.answer(str(checkpoint))
                if spelled:
                    self.say(f"warning: {spelled}")
                is_usual = data_dir == TrainConfig.model_fields["data_dir"].default
                where = "" if is_usual else f" --data-dir {as_argument(data_dir)}"
                self.say(f"now try: mnistcli eval {as_argument(checkpoint_name(checkpoint))}{where}")
            case Stopped(checkpoint, epoch, step):
                resume = _resumption(checkpoint)
                self.insist(  # before the object, which may fail to be written
                    f"stopped after {counted(epoch, 'epoch')} and {counted(step, 'step')}; saved as {checkpoint}",
                    f"continue with: {resume}",
                )
                if self.as_json:
                    self.document(event="stopped", checkpoint=str(checkpoint), epoch=epoch, step=step, resume=resume)

    def _bar(self, work: str, *counts: ProgressColumn, is_shown: bool) -> Progress:
        columns = TextColumn(work), BarColumn(), *(counts or (MofNCompleteColumn(), TimeRemainingColumn()))
        return Progress(*columns, console=self.err, transient=True, disable=not is_shown)

    def weights(self, checkpoint: str, weights: str) -> None:
        """Tell which weights answer; JSON objects carry the same."""
        self.say(f"weights: {checkpoint}{', of its best epoch' if weights == 'best' else ''}")

    @contextmanager
    def scoring(self) -> Iterator["Follow"]:
        """Draw a bar of how many images were scored, of the batches that are passed through what this gives."""
        with self._bar("scoring", is_shown=self.bars) as bar:

            def follow(batches: Sequence["Tensor"]) -> Iterator["Tensor"]:
                task = bar.add_task("scoring", total=sum(map(len, batches)))
                for batch in batches:
                    yield batch
                    bar.advance(task, len(batch))

            yield follow

    def evaluation(
        self, result: "Evaluation", checkpoint: str, weights: str, *, split: str, tta: bool, seconds: float
    ) -> None:
        """Answer with the scores, in tables."""
        if self.as_json:
            self.document(
                checkpoint=checkpoint,
                weights=weights,
                split=split,
                tta=tta,
                accuracy=result.accuracy,
                loss=result.loss,
                correct=result.correct,
                total=result.total,
                per_digit=[asdict(score) for score in result.per_digit],
                confusion=result.confusion.tolist(),
                seconds=seconds,
            )
            return
        loss = "-" if result.loss is None else f"{result.loss:.4f}"
        self.answer(f"accuracy {result.accuracy:.2%} ({result.correct:,} of {result.total:,})  loss {loss}\n")
        scores = table("per digit", "digit", "precision", "recall", "count")
        for score in result.per_digit:
            scores.add_row(str(score.digit), percent(score.precision), percent(score.recall), f"{score.count:,}")
        confusion = confusion_table(result.confusion.tolist())
        self.out.width = max(self.out.width, self.out.measure(confusion).maximum)  # rich would cut numbers to fit
        self.draw(scores, confusion)

    def reading(self, answers: Iterable[_T], count: Callable[[], int]) -> Iterator[_T]:
        """Pass on answers, and draw a bar where the answers themselves do not show how far the reading is.

        `count` gives how many there will be, and is asked only for a bar: it may have to look through many folders.
        Answers that go to a pipe get no bar: the program that reads them usually writes to the same screen, and its
        text and the bar would tear each other.
        """
        total = count() if self.bars and not self.to_person and not _is_pipe(self.out.file) else 0
        with self._bar("reading", is_shown=total > 1) as bar:
            yield from bar.track(answers, total=total)

    def read(self, answer: "Prediction | MultiPrediction", checkpoint: str, weights: str, top_k: int) -> None:
        """Answer what one picture is taken for: a drawing to a person, a line of three fields to a program."""
        from mnistcli.reading import MultiPrediction

        if not isinstance(answer, MultiPrediction) and answer.is_one_of_several:
            self.say(f"{printable(answer.path)}: this seems to show several digits, which --multi reads")
        if isinstance(answer, MultiPrediction) and answer.has_more:
            # Also where all else is quiet, for a line of text and confidence does not tell that digits are missing.
            self.insist(f"{printable(answer.path)}: of too many marks, only the largest were read; cut it into several")
        if answer.error:
            self.insist(f"error: {printable(answer.error)}")
        if self.as_json:
            content = (
                _number_content(answer)
                if isinstance(answer, MultiPrediction)
                else _digit_content(answer) | {"is_one_of_several": answer.is_one_of_several}
            )
            self.document(
                path=answer.path,
                status=answer.status,
                **content,
                checkpoint=checkpoint,
                weights=weights,
                **({"error": answer.error} if answer.error else {}),
            )
        elif answer.error:
            return
        elif not self.to_person:
            self.answer(f"{printable(answer.path)}\t{answer.text or '?'}\t{answer.confidence or 0:.4f}")
        elif answer.status == "blank":
            self.draw(printable(answer.path), BLANK)
        elif isinstance(answer, MultiPrediction):
            self.draw(printable(answer.path), *number_lines(answer))
        else:
            self.draw(printable(answer.path), *self._digit_lines(answer, top_k))

    @property
    def _has_unicode(self) -> bool:
        return self.out.encoding.startswith("utf")

    @property
    def _has_colour(self) -> bool:
        return self.out.color_system is not None and not self.out.no_color

    def _digit_lines(self, answer: "Prediction", top_k: int) -> list[Text]:
        """Show what the network saw, where half-blocks can show its greys, and what it may be."""
        has_greys = self._has_unicode and self._has_colour
        seen = glyph_lines(answer.glyph.image) if answer.glyph and has_greys else []
        return [*(Text("  ") + line for line in seen), *self._candidate_lines(answer, top_k)]

    def _candidate_lines(self, answer: "Prediction", top_k: int) -> list[Text]:
        block = "█" if self._has_unicode else "#"
        lines = [] if answer.status == "ok" else [Text(f"  ?  unsure: {doubt(answer)}")]
        for name, share in candidates(answer, top_k):
            bar = block * round(share * BAR_WIDTH)
            line = Text(f"  {name}  {bar:<{BAR_WIDTH}}  {share:7.2%}", "bold" if name == str(answer.digit) else "")
            lines.append(line)
        return lines

    def preview(self, samples: "Samples") -> None:
        """Show samples, as many as fit a line, where the terminal can."""
        if self._has_unicode:
            self.draw(*sample_lines(samples, self.out.width, self._has_colour))


def _resumption(checkpoint: Path) -> str:
    """Give the command that continues a run."""
    return f"mnistcli train --resume {as_argument(checkpoint_name(checkpoint))}"


def _digit_content(answer: "Prediction") -> dict[str, Any]:
    """Give what JSON says of a digit."""
    return {
        "digit": answer.digit,
        "confidence": answer.confidence,
        "probabilities": answer.probabilities,
        "no_digit_probability": answer.no_digit_probability,
        "box": answer.glyph.box if answer.glyph else None,
    }


def _number_content(answer: "MultiPrediction") -> dict[str, Any]:
    """Give what JSON says of a picture of several digits."""
    return {
        "text": answer.text,
        "rows": answer.lines,
        "digits": [_digit_content(digit) for digit in answer.digits],
        "has_more": answer.has_more,
    }
