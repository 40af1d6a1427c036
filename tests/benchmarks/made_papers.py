"""How many test digits are read on each of the papers that tests/papers.py makes, beside what `eval` has of the same.

    python tests/benchmarks/made_papers.py DATA_DIR [--count 500] [--size-px 280] [--rows] [PAPER...]

The weights are the bundled ones.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import mnistcli
from mnistcli.config import MIN_CONFIDENCE
from mnistcli.data import Samples, load_split
from mnistcli.network import open_network
from papers import DIGIT_PX, PAPERS, draw, photograph, row_of


def main() -> None:
    """Read the first test digits on each paper with the bundled weights; print the shares, and the failures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data_dir", type=Path, help="the folder that holds MNIST/raw")
    parser.add_argument("--count", type=int, default=500, help="digits on each paper")
    parser.add_argument("--size-px", type=int, default=DIGIT_PX, help="of a digit's image; the paper has 420 x 360")
    parser.add_argument("--rows", action="store_true", help="three beside each other, read with --multi")
    parser.add_argument(
        "papers", nargs="*", default=list(PAPERS), help=f"of {', '.join(PAPERS)}; all where none is named"
    )
    arguments = parser.parse_args()
    for unknown in set(arguments.papers) - set(PAPERS):
        parser.error(f"there is no paper {unknown}")
    test = load_split(arguments.data_dir, "test")
    digits = Samples(test.images[: arguments.count], test.labels[: arguments.count])
    answers = open_network("bundled", "last", "cpu").ask(digits.images).logits.argmax(1)
    print(f"eval: {(answers == digits.labels).double().mean():.1%} of {len(digits)}")
    for paper in arguments.papers:
        if arguments.rows:
            show_rows(paper, digits)
        else:
            show(paper, digits, arguments.size_px)


def show(paper: str, digits: Samples, size_px: int) -> None:
    """Print what is read on one paper, and what is named at the usual --min-confidence."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(digits))]
        for number, path in enumerate(paths):
            picture = draw(paper, digits.images[number, 0].numpy(), np.random.default_rng(number), size_px)
            picture.save(path, compress_level=1)
        answers = list(mnistcli.predict(paths, checkpoint="bundled", min_confidence=0))
    is_right = np.array([answer.digit == label for answer, label in zip(answers, digits.labels.tolist(), strict=True)])
    is_sure = np.array([(answer.confidence or 0) >= MIN_CONFIDENCE for answer in answers])
    missed = ", ".join(map(str, np.flatnonzero(~is_right)))
    print(f"{paper}: {is_right.mean():.1%} read, {(is_right & is_sure).mean():.1%} surely; not {missed}", flush=True)


def show_rows(paper: str, digits: Samples) -> None:
    """Print how many rows of three are read on one paper, and how many are taken for three digits."""
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(digits) // 3)]
        for number, path in enumerate(paths):
            three, random = slice(3 * number, 3 * number + 3), np.random.default_rng(number)
            texts.append("".join(map(str, digits.labels[three].tolist())))
            photograph(paper, row_of(list(digits.images[three, 0].numpy()), random), random).save(path)
        answers = list(mnistcli.predict_multi(paths, checkpoint="bundled", min_confidence=0))
    is_right = np.array([answer.text == text for answer, text in zip(answers, texts, strict=True)])
    is_counted = np.array([[len(row) for row in answer.rows] == [3] for answer in answers])
    missed = ", ".join(map(str, np.flatnonzero(~is_right)))
    print(
        f"{paper}: {is_right.mean():.1%} of {len(texts)} rows read, {is_counted.mean():.1%} as three; not {missed}",
        flush=True,
    )


if __name__ == "__main__":
    main()
