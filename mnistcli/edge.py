"""Where expected failures end: a line on standard error, an object under --json, and an exit code."""

import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from mnistcli.config import plain, spell_options
from mnistcli.errors import ConfigError, ExitCode, MnistCliError
from mnistcli.files import answering, discard_output
from mnistcli.interrupt import SignalError, is_launched

_Function = TypeVar("_Function", bound=Callable[..., Any])

# How long the other processes of a machine wait while the first one tells what is wrong in all of them. They seldom
# wait so long, for once the first one has ended, torchrun ends them; if one of them ended before it, torchrun would end
# the first one before it has told.
FIRST_TELLS_SECONDS = 30.0

# Typer's own, which answer while options are parsed.
SHOW_COMPLETION, INSTALL_COMPLETION = "--show-completion", "--install-completion"


class _EdgeHelp:
    """How the program and each of its commands are shown in help: a part of both classes below."""

    def get_params(self, ctx: typer.Context) -> list[Any]:
        """Give all arguments and options, typer's own too."""
        return _as_shown(super().get_params(ctx), ctx)  # type: ignore[misc]  # typer's class, which comes after this

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:
        """Name what must be given without braces, as other programs do."""
        pieces = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        """Show the help, which typer writes by itself."""
        with _edge(ctx), answering(sys.stdout):
            super().format_help(ctx, formatter)  # type: ignore[misc]


class EdgeCommand(_EdgeHelp, TyperCommand):  # type: ignore[misc]  # typer's methods name a context of its own
    """A command of the group below, under whose care its failures are."""


class EdgeGroup(_EdgeHelp, TyperGroup):  # type: ignore[misc]
    """Translate the expected failures of all commands, in one place.

    A bug is no expected failure and keeps its traceback; with --debug expected ones show theirs too.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Note the two options that decide how failures look: when parsing fails, no parsed options can be asked."""
        words = args[: args.index("--")] if "--" in args else args
        ctx.meta.update(as_json="--json" in words, debug="--debug" in words)
        if not args:  # shows the help, by an exception
            return super().parse_args(ctx, args)
        answers = SHOW_COMPLETION in words or INSTALL_COMPLETION in words
        with _edge(ctx), answering(sys.stdout) if answers else nullcontext():
            if any(word == "" or re.fullmatch("--[^=]*=", word) for word in words):
                raise ConfigError("an argument is empty; is a variable in it not set?")
            with _installing() if INSTALL_COMPLETION in words else nullcontext():
                return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command that was asked for."""
        with _edge(ctx):
            return super().invoke(ctx)


class EdgeApp(typer.Typer):
    """An app of that group and of such commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=EdgeGroup, **settings)

    def command(self, *names: Any, **settings: Any) -> Callable[[_Function], _Function]:
        """Declare a command, as typer does."""
        return super().command(*names, cls=EdgeCommand, **settings)


@contextmanager
def _installing() -> Iterator[None]:
    """Translate the errors of a block that writes the shell's settings, and then says so."""
    try:
        yield
    except OSError as error:
        if error.filename is None:  # standard output's
            raise
        raise MnistCliError(
            f"cannot install completion: {error.strerror}: {error.filename}; {SHOW_COMPLETION} prints its script"
        ) from None


def _as_shown(params: list[Any], ctx: typer.Context) -> list[Any]:
    """Let no flag be shown as if it took a value, and no type as Python has it, as typer would.

    What an option takes is in capitals where it is a kind of value, and otherwise a choice of words.
    """
    for param in params:
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: None
        elif param.is_flag:
            param.metavar = ""
        elif param.metavar is None:
            kind = param.display_type(ctx).strip("<>").removesuffix(" range")
            param.metavar = kind if "|" in kind else kind.upper()
    return params


def launched_ranks() -> tuple[int, int]:
    """Give this process's number in all, and on this machine, if torchrun started it; else 0 and 0.

    Wrong usage is wrong in all processes of a machine alike, so that the first one tells it for all.
    """
    if not is_launched():
        return 0, 0
    return int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])


@contextmanager
def _edge(ctx: typer.Context) -> Iterator[None]:
    try:
        yield
    except (MnistCliError, typer.TyperException) as error:
        lines, exit_code = _lines(error, ctx), error.exit_code
        if ctx.meta["debug"]:
            traceback.print_exc()
    except KeyboardInterrupt as interrupt:
        # Where it came just as a block of a context manager was entered or left, the manager's end was not called: the
        # exception holds it, unfinished, until the program ends, and so its temporary file would stay.
        traceback.clear_frames(interrupt.__traceback__)
        ended = SignalError.of(interrupt)
        lines, exit_code = [str(ended)], ended.exit_code
    except BrokenPipeError:  # nobody reads the answer any more; typer would fail where standard error is closed as well
        if sys.stdout:
            discard_output(sys.stdout.fileno())
        raise typer.Exit(ExitCode.FAILED) from None
    else:
        return
    from mnistcli.report import Report

    rank, local_rank = launched_ranks()
    is_told_by_first = local_rank > 0 and exit_code == ExitCode.USAGE
    if is_told_by_first:
        time.sleep(FIRST_TELLS_SECONDS)
    report = Report(as_json=ctx.meta["as_json"] and rank == 0, muted=is_told_by_first)
    with suppress(MnistCliError):  # standard output cannot be written: standard error has told the person
        report.fail(lines if rank == 0 else [f"process {rank}: {lines[0]}", *lines[1:]], exit_code)
    raise typer.Exit(exit_code)


def _lines(error: MnistCliError | typer.TyperException, ctx: typer.Context) -> list[str]:
    if isinstance(error, MnistCliError):
        return [spell_options(line) for line in error.lines]
    command = f"{ctx.info_name} {ctx.invoked_subcommand or ''}".strip()
    return [f"{plain(error.format_message()).rstrip('.')} (see {command} --help)"]
