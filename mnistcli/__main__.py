"""The program's start: `mnistcli`, and `python -m mnistcli`."""

import atexit
import gc

from mnistcli.errors import ExitCode
from mnistcli.interrupt import SignalError, end_by_signals


def main() -> None:
    """Run the command line; Ctrl-C is no failure, not even while the command line itself is loading."""
    atexit.register(gc.freeze)  # else the garbage of all that torch has is looked for at the end
    end_by_signals()
    try:
        from mnistcli.cli import app

        app(prog_name="mnistcli")
    except KeyboardInterrupt as error:
        raise SystemExit(error.exit_code if isinstance(error, SignalError) else ExitCode.INTERRUPTED) from None


if __name__ == "__main__":
    main()
