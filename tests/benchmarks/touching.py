"""How often `predict --multi` reads digits that touch, and how often it cuts a single one apart.

    python tests/benchmarks/touching.py DATA_DIR [--split val] [--count 400]

Digits are enlarged to a height of 70 to 130 pixels, up to 15 % more or less, and pushed to the left until they touch,
and then up to 4 pixels further. The weights are the bundled ones; `val` are the images that their training held out.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mnistcli
from mnistcli.bundled import find_checkpoint
from mnistcli.checkpoint import load
from mnistcli.data import Samples, hold_out, load_split

LENGTHS = {1: 2.0, 2: 1.0, 3: 0.5, 5: 0.25}  # of the rows of digits, with the share of --count that each is drawn
PAGE_PX, MARGIN_PX = 400, 40
INKED = 100  # of 255
MOST_OVERLAP_PX = 4


def main() -> None:
    """Read rows of digits that touch; print how many are right, and how many are cut into as many digits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data_dir", type=Path, help="the folder that holds MNIST/raw")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="whose digits")
    parser.add_argument("--count", type=int, default=400, help="pairs; twice as many single digits, fewer longer rows")
    arguments = parser.parse_args()
    samples = load_split(arguments.data_dir, "train" if arguments.split == "val" else "test")
    if arguments.split == "val":
        config = load(find_checkpoint("bundled")).train_config()
        _, held_out = hold_out(samples, config.val_size, config.seed)
        assert held_out is not None
        samples = held_out
    for length, share in LENGTHS.items():
        show(samples, length, int(arguments.count * share))


def show(samples: Samples, length: int, count: int) -> None:
    """Print how many of so many rows of so many digits are read."""
    random = np.random.default_rng(length)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(count)]
        texts = [draw(samples, length, random, path) for path in paths]
        answers = list(mnistcli.predict_multi(paths, checkpoint="bundled"))
    pairs = [
        ("".join(str(digit.top(1)[0][0]) for digit in answer.digits), text)
        for answer, text in zip(answers, texts, strict=True)
    ]
    right = np.mean([read == text for read, text in pairs])
    counted = np.mean([len(read) == len(text) for read, text in pairs])
    misread = np.mean(
        [answer.status == "ok" and answer.text != text for answer, text in zip(answers, texts, strict=True)]
    )
    print(
        f"{count} rows of {length}: {right:.1%} right, {counted:.1%} cut into as many; {misread:.1%} surely wrong",
        flush=True,
    )


def draw(samples: Samples, length: int, random: np.random.Generator, path: Path) -> str:
    """Draw a row of digits, dark on light, and give its text."""
    page = np.zeros((PAGE_PX, 200 * (length + 1)), np.uint8)
    chosen = random.integers(0, len(samples), length)
    height, right = int(random.integers(70, 130)), MARGIN_PX
    for number, place in enumerate(chosen.tolist()):
        digit = enlarge(samples.images[place, 0].numpy(), int(height * random.uniform(0.85, 1.15)))
        high, wide = digit.shape
        top = PAGE_PX // 2 - high // 2 + int(random.normal(0, 5))
        left = right
        if number:
            left = touch(page[top : top + high], digit, right + 5) - int(random.integers(0, MOST_OVERLAP_PX + 1))
        window = page[top : top + high, left : left + wide]
        np.maximum(window, digit, out=window)
        right = left + wide
    Image.fromarray(255 - page[:, : right + MARGIN_PX]).save(path)
    return "".join(str(label) for label in samples.labels[chosen].tolist())


def enlarge(image: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Crop a digit, and scale it to a height; what would be much wider than that is squeezed."""
    ink = Image.fromarray(image)
    ink = ink.crop(ink.getbbox())
    width = min(round(ink.width * height / ink.height), int(1.3 * height))
    return np.asarray(ink.resize((width, height), Image.Resampling.BICUBIC))


def touch(band: NDArray[np.uint8], digit: NDArray[np.uint8], left: int) -> int:
    """Move a digit to the left until its ink meets what is in a band of the page."""
    wide = digit.shape[1]
    while left > 0 and not ((band[:, left : left + wide] > INKED) & (digit > INKED)).any():
        left -= 1
    return left


if __name__ == "__main__":
    main()
