"""Make the checkpoint that comes with the package out of one that `train` saved.

    python tests/benchmarks/bundle.py CKPT

What is kept is what `predict` and `eval` need: the answering weights, the normalisation, the recipe and its figures.
"""

import argparse
from pathlib import Path

from mnistcli.bundled import BUNDLED_PATH
from mnistcli.checkpoint import load
from mnistcli.saving import save


def main() -> None:
    """Write the package's checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint that `train` saved")
    new = load(parser.parse_args().checkpoint).for_use()
    if backup := save(new, BUNDLED_PATH):  # the old one, which was another run's
        backup.unlink()
    print(f"{BUNDLED_PATH}: {BUNDLED_PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
