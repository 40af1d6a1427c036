"""How many of people's own pictures are read when other things lie around them: desks, frames, screens, shadows.

    python tests/benchmarks/surroundings.py FOLDER

FOLDER is as for pictures.py. Only pictures of 60 pixels or more are taken, a smaller one was cut out already; shadows
fall on photographs alone.
"""

import argparse
import csv
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import mnistcli
from mnistcli.images import read_picture

LEAST_PX = 60  # of the longer side
Photo = np.ndarray  # (H, W, 3) float32, 0..255
Random = np.random.Generator


def as_it_is(photo: Photo, random: Random) -> Photo:
    """Leave it as it is."""
    return photo


def on_a_page(photo: Photo, random: Random) -> Photo:
    """Put it in the middle of a white page."""
    return border(photo, 0.5, 0.5, (255, 255, 255))


def on_a_dark_page(photo: Photo, random: Random) -> Photo:
    """Put it in the middle of a dark page."""
    return border(photo, 0.3, 0.3, (30, 30, 30))


def on_a_canvas(photo: Photo, random: Random) -> Photo:
    """Put it in the middle of a grey canvas, as an editor or a slide does."""
    return border(photo, 0.3, 0.3, (160, 160, 160))


def made_square(photo: Photo, random: Random) -> Photo:
    """Put bands of its border's usual colour around it."""
    edge = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]])
    red, green, blue = (int(level) for level in np.median(edge, axis=0))
    return border(photo, 0.3, 0.3, (red, green, blue))


def on_a_screen(photo: Photo, random: Random) -> Photo:
    """Leave black above and below it."""
    return border(photo, 0.35, 0, (0, 0, 0))


def in_a_screenshot(photo: Photo, random: Random) -> Photo:
    """The same with a line of small writing on the black, as a telephone shows a photograph."""
    screen = on_a_screen(photo, random).astype(np.uint8)
    height, width = screen.shape[:2]
    size = width / 600  # so that the whole line is in it
    for text, row in (("12:41  IMG 2041.jpg", 0.1), ("Share  Edit  Delete", 0.95)):
        place = int(0.05 * width), int(row * height)
        cv2.putText(screen, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
    return screen.astype(np.float32)


def framed(photo: Photo, random: Random) -> Photo:
    """Draw a dark line around it, near its border."""
    drawn, longest = photo.copy(), max(photo.shape)
    gap, bottom, right = int(0.03 * longest), photo.shape[0] - 1, photo.shape[1] - 1
    cv2.rectangle(drawn, (gap, gap), (right - gap, bottom - gap), (40, 40, 50), max(1, longest // 100))
    return drawn


def on_a_desk(photo: Photo, random: Random) -> Photo:
    """Lay it on a desk, tilted by up to 12 degrees."""

    def desk(height: int, width: int) -> Photo:
        grained: Photo = np.array((1, 0.9, 0.75)) * random.uniform(30, 120) + random.normal(0, 6, (height, width, 3))
        return grained

    return tilted(photo, random, desk)


def in_a_room(photo: Photo, random: Random) -> Photo:
    """Hold it up, tilted by up to 12 degrees, before things of all colours that are out of focus."""

    def room(height: int, width: int) -> Photo:
        blurred: Photo = cv2.resize(random.normal(120, 60, (12, 12, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        return blurred.clip(0, 255)

    return tilted(photo, random, room)


def tilted(photo: Photo, random: Random, ground: Callable[[int, int], Photo]) -> Photo:
    """Tilt it by up to 12 degrees, in front of what is made of a height and a width."""
    height, width = photo.shape[:2]
    around = int(0.35 * max(height, width))
    size = width + 2 * around, height + 2 * around
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-12, 12), 1)
    turn[:, 2] += around
    cover = cv2.warpAffine(np.ones((height, width), np.float32), turn, size)[..., None]
    seen: Photo = cv2.warpAffine(photo, turn, size) * cover + ground(*size[::-1]) * (1 - cover)
    return seen


def on_a_desk_from_aside(photo: Photo, random: Random) -> Photo:
    """Lay it on a desk that is seen from aside, each corner up to a fifth of its shorter side off."""
    height, width = photo.shape[:2]
    around = int(0.35 * max(height, width))
    size, off = (width + 2 * around, height + 2 * around), 0.2 * min(height, width)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = (corners + around + random.uniform(-off, off, (4, 2))).astype(np.float32)
    aside = cv2.getPerspectiveTransform(corners, seen)
    cover = cv2.warpPerspective(np.ones((height, width), np.float32), aside, size)[..., None]
    desk = random.uniform(30, 120) + random.normal(0, 6, (*size[::-1], 1))
    lying: Photo = cv2.warpPerspective(photo, aside, size) * cover + desk * (1 - cover)
    return lying


def beside_a_table(photo: Photo, random: Random) -> Photo:
    """Show the table that it lies on, along one side."""
    wide = int(0.2 * max(photo.shape[:2]))
    sides = [(0, 0), (0, 0), (0, 0)]
    sides[int(random.integers(2))] = (wide, 0) if random.random() < 0.5 else (0, wide)
    is_paper = np.pad(np.ones((*photo.shape[:2], 1), bool), sides)
    table = random.uniform(30, 110) + random.normal(0, 5, is_paper.shape)
    return np.where(is_paper, np.pad(photo, sides), table)


def shaded(depth: float) -> Callable[[Photo, Random], Photo]:
    """Make what throws a shadow across it, in which so much of the light is left."""

    def shade(photo: Photo, random: Random) -> Photo:
        rows, columns = np.mgrid[-1 : 1 : photo.shape[0] * 1j, -1 : 1 : photo.shape[1] * 1j]
        angle, place = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
        across = columns * np.cos(angle) + rows * np.sin(angle) - place
        dimmed: Photo = photo * (depth + (1 - depth) / (1 + np.exp(-across / 0.05)))[..., None]
        return dimmed

    return shade


def border(photo: Photo, down: float, across: float, colour: tuple[int, int, int]) -> Photo:
    """Put a border around it, in shares of its height and width."""
    rows, columns = int(down * photo.shape[0]), int(across * photo.shape[1])
    with_border: Photo = cv2.copyMakeBorder(photo, rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=colour)
    return with_border


WAYS: dict[str, Callable[[Photo, Random], Photo]] = {
    "as it is": as_it_is,
    "on a white page": on_a_page,
    "on a dark page": on_a_dark_page,
    "on a grey canvas": on_a_canvas,
    "with bands of its border's colour": made_square,
    "black above and below": on_a_screen,
    "in a screenshot": in_a_screenshot,
    "in a frame": framed,
    "on a desk, tilted": on_a_desk,
    "on a desk, seen from aside": on_a_desk_from_aside,
    "beside a table": beside_a_table,
    "held up in a room": in_a_room,
}
SHADOWS = {f"in a shadow with {depth:.2f} of the light": shaded(depth) for depth in (0.75, 0.6, 0.45)}


def main() -> None:
    """Read all pictures with each surrounding, and print how many are misread or turned away."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="pictures and their INDEX.tsv")
    folder = parser.parse_args().folder
    with (folder / "INDEX.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    pictures = [(row, read_picture(folder / row["file"]).pixels) for row in rows]
    pictures = [(row, pixels) for row, pixels in pictures if max(pixels.shape) >= LEAST_PX]
    for name, change in WAYS.items():
        show(name, change, pictures)
    for name, change in SHADOWS.items():
        show(name, change, [(row, pixels) for row, pixels in pictures if row["kind"] == "photo"])


def show(
    name: str, change: Callable[[Photo, Random], Photo], pictures: list[tuple[dict[str, str], np.ndarray]]
) -> None:
    """Read pictures that were changed, at the usual --min-confidence, and print how many are misread."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(pictures))]
        for number, (path, (_, pixels)) in enumerate(zip(paths, pictures, strict=True)):
            photo = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.float32)
            changed = change(photo, np.random.default_rng(number)).clip(0, 255).astype(np.uint8)
            Image.fromarray(changed).save(path, compress_level=1)
        answers = list(mnistcli.predict(paths, checkpoint="bundled"))
    wrong = sum(answer.text != row["label"] for answer, (row, _) in zip(answers, pictures, strict=True))
    print(f"{name}: {wrong} of {len(pictures)} misread or turned away", flush=True)


if __name__ == "__main__":
    main()
