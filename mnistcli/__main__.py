"""The program's start: `mnistcli`, and `python -m mnistcli`."""

import atexit
import gc
import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C is told in a line, even while the command line itself is loading.

    Until its handler is installed, while the first modules load, Ctrl-C ends the process silently.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a line can be told, else Python shows what it was loading
    from mnistcli.interrupt import SignalError, end_at_once_by_signals, end_by_signals

    atexit.register(_keep_garbage)
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


def _keep_garbage() -> None:
    """Let Python not look for garbage among all that torch has, before it ends.

    Triton, which torchvision's and DDP's imports may load, would report as a leak whatever is not collected.
    """
    if "triton._C.libtriton" not in sys.modules:
        gc.freeze()


if __name__ == "__main__":
    main()
