"""How many of people's own pictures are read, the plain ways and `predict`'s, by kind of picture.

    python tests/benchmarks/pictures.py FOLDER [CKPT...]

FOLDER holds pictures and an INDEX.tsv, tab-separated with a head, whose columns `file`, `label` and `kind` are read.
The plain ways: the picture in grey, stretched to 28 x 28; and the same, inverted where its border is light.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import mnistcli
from mnistcli.bundled import find_checkpoint
from mnistcli.checkpoint import load
from mnistcli.scoring import ask


def main() -> None:
    """Read all pictures every way with every checkpoint; print the shares that were read right, and the failures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="pictures and their INDEX.tsv")
    parser.add_argument("checkpoints", nargs="*", default=["bundled"], help="the bundled one if none is named")
    arguments = parser.parse_args()
    with (arguments.folder / "INDEX.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    paths = [arguments.folder / row["file"] for row in rows]
    for checkpoint in arguments.checkpoints:
        show(f"{checkpoint}, plainly", plainly(paths, checkpoint, is_inverted=False), rows)
        show(f"{checkpoint}, inverted where the border is light", plainly(paths, checkpoint, is_inverted=True), rows)
        answers = list(mnistcli.predict(paths, checkpoint=checkpoint, min_confidence=0))
        show(f"{checkpoint}, as `predict`", [answer.digit for answer in answers], rows)
        for answer, row in zip(answers, rows, strict=True):
            if str(answer.digit) != row["label"]:
                print(f"    {row['file']}: {answer.text} at {answer.confidence or 0:.0%}, is {row['label']}")


def plainly(paths: Iterable[Path], checkpoint: str, *, is_inverted: bool) -> list[int]:
    """Read pictures as tutorials do."""
    images = []
    for path in paths:
        image = np.asarray(Image.open(path).convert("L").resize((28, 28)))
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        images.append(255 - image if is_inverted and np.median(border) > 127 else image)
    loaded = load(find_checkpoint(checkpoint))
    logits = ask(loaded.build_model(), torch.from_numpy(np.stack(images))[:, None], loaded.pixel_normalization()).logits
    return logits.argmax(1).tolist()


def show(name: str, digits: Iterable[int | None], rows: list[dict[str, str]]) -> None:
    """Print a line of shares."""
    counts = Counter(row["kind"] for row in rows)
    right = Counter(row["kind"] for digit, row in zip(digits, rows, strict=True) if str(digit) == row["label"])
    parts = [f"{kind} {right[kind] / count:.1%} of {count}" for kind, count in sorted(counts.items())]
    print(f"{name}: {right.total() / len(rows):.1%} of {len(rows)}; {', '.join(parts)}")


if __name__ == "__main__":
    main()
