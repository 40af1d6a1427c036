"""How `predict` reads the digits of fonts, of which those that imitate handwriting are a hand each, and their letters.

    python tests/benchmarks/fonts.py FOLDER [CKPT...]

FOLDER holds font files, also in folders of its own: TrueType, OpenType, or either as WOFF.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import mnistcli

SUFFIXES = (".ttf", ".otf", ".woff")
DIGITS = "0123456789"
LETTERS = "AEFHKMNPRTWXY" + "aefhkmnrtuvwxyz" + "+"  # none that can pass for a digit, but z
SIZE_PX, SIDE_PX, PAPER, INK = 200, 360, 255, 20


def main() -> None:
    """Read the characters of all fonts with every checkpoint; print the shares, and what was misread."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="font files")
    parser.add_argument("checkpoints", nargs="*", default=["bundled"], help="the bundled one if none is named")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(arguments.folder, Path(folder))
        for checkpoint in arguments.checkpoints:
            show(checkpoint, paths)


def draw(fonts: Path, folder: Path) -> list[Path]:
    """Draw the characters of all fonts that have them."""
    paths = []
    for number, path in enumerate(sorted(path for path in fonts.rglob("*") if path.suffix in SUFFIXES)):
        font = ImageFont.truetype(path, SIZE_PX)
        lacking = bytes(font.getmask("\N{REPLACEMENT CHARACTER}"))  # what a font draws in place of what it has not
        if any(bytes(font.getmask(character)) == lacking for character in DIGITS + LETTERS):
            continue
        for character in DIGITS + LETTERS:
            picture = Image.new("L", (SIDE_PX, SIDE_PX), PAPER)
            left, top, right, bottom = font.getbbox(character, anchor="ls")
            at = (SIDE_PX - left - right) / 2, (SIDE_PX - top - bottom) / 2
            ImageDraw.Draw(picture).text(at, character, INK, font, anchor="ls")
            paths.append(folder / f"{number}-{ord(character)}.png")
            picture.save(paths[-1])
    return paths


def shown(path: Path) -> str:
    """Give what a picture shows, by its name."""
    return chr(int(path.stem.rpartition("-")[2]))


def show(checkpoint: str, paths: list[Path]) -> None:
    """Print what one checkpoint reads."""
    read, named, wrong, passed, misread = [], [], [], [], Counter[str]()
    for path, answer in zip(paths, mnistcli.predict(paths, checkpoint=checkpoint), strict=True):
        character = shown(path)
        if character not in DIGITS:
            passed.append(answer.digit is not None)
            continue
        best = str(np.argmax(answer.probabilities)) if answer.probabilities else "nothing"
        read.append(best == character)
        named.append(answer.text == character)
        wrong.append(answer.digit is not None and not named[-1])
        if not read[-1]:
            misread[f"{character} as {best}"] += 1
    print(
        f"{checkpoint}: of {len(read):,} digits {np.mean(read):.1%} are read, sure or not, {np.mean(named):.1%} are "
        f"named and {np.mean(wrong):.1%} are named wrongly; of {len(passed):,} letters {np.mean(passed):.1%} are named"
    )
    print("  " + ", ".join(f"{pair} {count}" for pair, count in misread.most_common(8)))


if __name__ == "__main__":
    main()
