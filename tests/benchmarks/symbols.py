"""How many handwritten digits are read and turned away, and how much that is none is given a digit.

    python tests/benchmarks/symbols.py FOLDER [CKPT...]

FOLDER holds the symbols of the Basic Handwritten Math Symbols Dataset (https://github.com/wblachowski/bhmsds), named as
7-12.png or plus-34.png. A minus and a slash are left out: both can pass for a 1. Noise is made here.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import mnistcli

AMBIGUOUS = ("minus", "slash")
CONFIDENCES = (0.5, 0.7, 0.9)
NOISE_COUNT, NOISE_PX = 200, 200


def main() -> None:
    """Read all symbols with every checkpoint; print the shares for some values of --min-confidence."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="symbols")
    parser.add_argument("checkpoints", nargs="*", default=["bundled"], help="the bundled one if none is named")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.glob("*.png") if symbol(path) not in AMBIGUOUS)
    with tempfile.TemporaryDirectory() as folder:
        paths += draw_noise(Path(folder))
        for checkpoint in arguments.checkpoints:
            show(checkpoint, paths)


def symbol(path: Path) -> str:
    """Give what a file shows, by its name."""
    return path.stem.split("-")[0]


def show(checkpoint: str, paths: list[Path]) -> None:
    """Print what one checkpoint reads."""
    right, confidences = [], defaultdict(list)
    for path, answer in zip(paths, mnistcli.predict(paths, checkpoint=checkpoint, min_confidence=0), strict=True):
        shown = symbol(path)
        confidences["digits" if shown.isdigit() else shown].append(answer.confidence if answer.status == "ok" else 0.0)
        if shown.isdigit():
            right.append(answer.text == shown)
    digits = np.array(confidences.pop("digits"))
    noise = np.array(confidences.pop("noise"))
    print(f"{checkpoint}: {np.mean(right):.1%} of {len(right):,} digits are read, sure or not")
    for least in CONFIDENCES:
        sure = {shown: float(np.mean(np.array(values) >= least)) for shown, values in confidences.items()}
        print(
            f"  --min-confidence {least}: {np.mean(digits < least):.1%} of the digits turned away; taken for digits: "
            f"{', '.join(f'{shown} {share:.0%}' for shown, share in sure.items())}, all of these "
            f"{np.mean(np.concatenate(list(confidences.values())) >= least):.1%}; noise {np.mean(noise >= least):.0%}"
        )


def draw_noise(folder: Path) -> list[Path]:
    """Draw pictures of noise, every other one blurred to blotches."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(NOISE_COUNT):
        grain = random.normal(0, 1, (NOISE_PX, NOISE_PX))
        noise = cv2.GaussianBlur(grain, (0, 0), random.uniform(0.5, 12)) if number % 2 else grain
        levels = np.clip(128 + noise / noise.std() * random.uniform(5, 60), 0, 255).astype(np.uint8)
        paths.append(folder / f"noise-{number}.png")
        Image.fromarray(levels).save(paths[-1])
    return paths


if __name__ == "__main__":
    main()
