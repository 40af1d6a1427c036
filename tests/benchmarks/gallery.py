"""Make docs/gallery.png: test digits on made papers, as `mnistcli predict --picture` draws what it understood.

    python tests/benchmarks/gallery.py DATA_DIR

The last one is the first of the squared papers that is read wrong or not at all.
"""

import argparse
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import mnistcli
from mnistcli.data import Samples, load_split
from mnistcli.explain import ReadingPictures
from papers import draw

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery.png"
SHOWN = ("on_a_desk", "shaded", "ruled", "blackboard", "coloured")


def main() -> None:
    """Draw the readings and put them together, two beside each other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data_dir", type=Path, help="the folder that holds MNIST/raw")
    test = load_split(parser.parse_args().data_dir, "test")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # so that names are short
        readings = [read(test, paper, number) for number, paper in enumerate(SHOWN)]
        tried = (read(test, "squared", number) for number in range(len(test)))
        readings.append(next(answer for answer in tried if answer.text != Path(answer.path).stem[-1]))
        drawings = ReadingPictures(Path("drawn"), [])
        for answer in readings:
            drawings.draw(answer)
        drawn = [Image.open(Path("drawn") / f"{Path(answer.path).stem}.png") for answer in readings]
        width, height = drawn[0].size
        gallery = Image.new("RGB", (2 * width, 3 * height), "white")
        for number, picture in enumerate(drawn):
            gallery.paste(picture.convert("RGB"), (number % 2 * width, number // 2 * height))
    gallery.quantize(256).save(GALLERY, optimize=True)


def read(test: Samples, paper: str, number: int) -> mnistcli.Prediction:
    """Draw a test digit on a paper, and read it with the bundled weights."""
    path = Path(f"{paper}-{number}-is-{test.labels[number]}.png")
    draw(paper, test.images[number, 0].numpy(), np.random.default_rng(number)).save(path)
    return next(mnistcli.predict([path], checkpoint="bundled", keep_pictures=True))


if __name__ == "__main__":
    main()
