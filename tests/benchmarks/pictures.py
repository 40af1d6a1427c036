"""How many of people's own pictures checkpoints read, by kind of picture.

    python tests/benchmarks/pictures.py FOLDER [CKPT...]

FOLDER holds pictures and an INDEX.tsv, tab-separated with a head, whose columns `file`, `label` and `kind` are read.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

import mnistcli


def main() -> None:
    """Read all pictures with every checkpoint, and print the shares that were read right."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="pictures and their INDEX.tsv")
    parser.add_argument("checkpoints", nargs="*", default=["bundled"], help="the bundled one if none is named")
    arguments = parser.parse_args()
    with (arguments.folder / "INDEX.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    paths = [arguments.folder / row["file"] for row in rows]
    counts = Counter(row["kind"] for row in rows)
    for checkpoint in arguments.checkpoints:
        answers = mnistcli.predict(paths, checkpoint=checkpoint)
        is_right = [str(answer.digit) == row["label"] for answer, row in zip(answers, rows, strict=True)]
        right = Counter(row["kind"] for row, right in zip(rows, is_right, strict=True) if right)
        parts = [f"{kind} {right[kind] / count:.1%} of {count}" for kind, count in sorted(counts.items())]
        print(f"{checkpoint}: {sum(is_right) / len(rows):.1%} of {len(rows)}; {', '.join(parts)}")


if __name__ == "__main__":
    main()
