"""The program's start: `mnistcli`, and `python -m mnistcli`."""


def main() -> None:
    """Run the command line; Ctrl-C is no failure, not even while the command line itself is loading."""
    try:
        from mnistcli.cli import app

        app(prog_name="mnistcli")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
