"""The program's start: `mnistcli`, and `python -m mnistcli`."""

import atexit
import gc

from mnistcli.interrupt import SignalError, end_at_once_by_signals, end_by_signals


def main() -> None:
    """Run the command line; Ctrl-C is told in a line, even while the command line itself is loading."""
    atexit.register(gc.freeze)  # else the garbage of all that torch has is looked for at the end
    end_by_signals()
    try:
        from mnistcli.cli import app

        app(prog_name="mnistcli")
    except KeyboardInterrupt as interrupt:
        error = SignalError.of(interrupt)
        error.tell()
        raise SystemExit(error.exit_code) from None
    finally:
        end_at_once_by_signals()


if __name__ == "__main__":
    main()
