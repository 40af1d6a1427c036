"""The failures this package foresees, and the exit code each one ends the command with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means; the README lists the same codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BELOW_THRESHOLD = 3
    DATA = 4
    UNREADABLE = 5
    INTERRUPTED = 130


class MnistCliError(Exception):
    """An expected failure. Its text says what failed, on which file, and what to do next.

    Options are named by their keys in Python, in backticks, such as `val_size`; the command line spells them its way.

    Args:
        lines: the text, usually one line; several faults that were found at once have a line each. A line break within
            one of them, as in a file's name, begins no other.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ConfigError(MnistCliError):
    """An option, an environment variable or a configuration file that cannot be used."""

    exit_code = ExitCode.USAGE


class DataError(MnistCliError):
    """The MNIST files are missing, damaged or cannot be fetched."""

    exit_code = ExitCode.DATA


class CheckpointError(MnistCliError):
    """A checkpoint that cannot be read, or not be used for what was asked."""

    exit_code = ExitCode.UNREADABLE


class ImageError(MnistCliError):
    """A picture that cannot be read."""

    exit_code = ExitCode.UNREADABLE


class DivergedError(MnistCliError):
    """Training reached a loss, a weight or a statistic that is not a finite number."""
