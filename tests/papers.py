"""Made pictures: data set digits drawn with ink on paper, photographed, scanned or saved, all from a seed."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]  # (H, W)
Photo = NDArray[Any]  # (420, 360, 3) float32, 0..255, or larger with what is around
Cover = NDArray[Any]  # (420, 360) float32, how much ink covers of each place, 0..1
Random = np.random.Generator

DIGIT_PX = 280  # a 28 x 28 image at ten times its size
ROW_PX, RIM_PX = 84, 40  # each one's of several side by side, at most three; and how far they are from the rim
PAGE_PX = (420, 360)  # height and width; the digit lies somewhere on it


def ink_of(digit: Grey, random: Random, size_px: int = DIGIT_PX) -> Cover:
    """Lay a (28, 28) digit, enlarged to a size and a little tilted, anywhere on a page: (420, 360), 0..1."""
    height, width = PAGE_PX
    angle = random.uniform(-5, 5)
    return _lay(digit, size_px, angle, random.uniform(0, width - size_px), random.uniform(0, height - size_px))


def row_of(digits: Sequence[Grey], random: Random) -> Cover:
    """Lay a few (28, 28) digits side by side, each enlarged and a little tilted, somewhere on a page: (420, 360)."""
    height, width = PAGE_PX
    left = random.uniform(RIM_PX, width - ROW_PX * len(digits) - RIM_PX)
    top = random.uniform(RIM_PX, height - ROW_PX - RIM_PX)
    covers = [
        _lay(digit, ROW_PX, random.uniform(-5, 5), left + ROW_PX * place, top + random.normal(0, 2))
        for place, digit in enumerate(digits)
    ]
    cover: Cover = np.max(covers, axis=0)
    return cover


def _lay(digit: Grey, size_px: int, angle: float, left: float, top: float) -> Cover:
    """Lay an enlarged digit on a page, tilted by some degrees."""
    height, width = PAGE_PX
    turn = cv2.getRotationMatrix2D((14.0, 14.0), angle, size_px / 28)
    turn[0, 2] += left + size_px / 2 - 14
    turn[1, 2] += top + size_px / 2 - 14
    page = cv2.warpAffine(digit.astype(np.float32) / 255, turn, (width, height), flags=cv2.INTER_CUBIC)
    cover: Cover = np.clip((page - 0.35) / 0.3, 0, 1)  # a pen's edge is sharper than an enlarged pixel's
    return cover


def write(paper: Photo, ink: Cover, colour: tuple[int, int, int]) -> Photo:
    """Put ink of an RGB colour on paper."""
    cover = ink[..., None]
    written: Photo = paper * (1 - cover) + np.array(colour, np.float32) * cover
    return written


def sheet(colour: tuple[int, int, int]) -> Photo:
    """Make empty paper of an RGB colour."""
    return np.full((*PAGE_PX, 3), colour, np.float32)


def squares(colour: tuple[int, int, int], random: Random, least_px: int = 38, most_px: int = 52) -> Photo:
    """Make squared paper of an RGB colour, with squares of a size between two."""
    page, gap = sheet(colour), int(random.integers(least_px, most_px))
    page[int(random.integers(gap)) :: gap] = (140, 160, 200)
    page[:, int(random.integers(gap)) :: gap] = (140, 160, 200)
    return page


def dark_pen(ink: Cover, random: Random) -> Photo:
    """Write with a dark pen on evenly lit paper."""
    return grain(write(sheet((225, 222, 214)), ink, (35, 35, 40)), random, 4)


def plain(ink: Cover, random: Random) -> Photo:
    """Black on white, as drawn with a mouse."""
    return write(sheet((255, 255, 255)), ink, (0, 0, 0))


def blackboard(ink: Cover, random: Random) -> Photo:
    """Chalk on a dark board, with its grain."""
    return grain(write(sheet((40, 48, 44)), ink, (225, 225, 215)), random, 6)


def coloured(ink: Cover, random: Random) -> Photo:
    """Red pen on yellow paper: nearly the same grey."""
    return grain(write(sheet((235, 215, 110)), ink, (200, 40, 50)), random, 4)


def photographed(ink: Cover, random: Random) -> Photo:
    """A blue pen on paper that the lamp lights from one side."""
    page = grain(write(sheet((225, 222, 214)), ink, (40, 50, 120)), random, 5)
    return light(page, random)


def shaded(ink: Cover, random: Random) -> Photo:
    """A dark pen on paper with the edge of a shadow across it."""
    page = dark_pen(ink, random)
    rows, columns = np.mgrid[: PAGE_PX[0], : PAGE_PX[1]]
    angle, place = random.uniform(0, 2 * np.pi), random.uniform(-80, 80)
    across = (columns - PAGE_PX[1] / 2) * np.cos(angle) + (rows - PAGE_PX[0] / 2) * np.sin(angle) - place
    shade = 0.62 + 0.38 / (1 + np.exp(-across / 12))
    lit: Photo = page * shade[..., None].astype(np.float32)
    return lit


def under_a_phone(ink: Cover, random: Random) -> Photo:
    """A dark pen on paper with the soft shadow of a phone over it."""
    page = dark_pen(ink, random)
    left, top = int(random.integers(-60, 200)), int(random.integers(60, 300))
    shade = np.zeros(PAGE_PX, np.float32)
    shade[top:, max(left, 0) : left + 200] = 0.4
    lit: Photo = page * (1 - cv2.GaussianBlur(shade, (0, 0), random.uniform(4, 25)))[..., None]
    return lit


def on_a_table(ink: Cover, random: Random) -> Photo:
    """A dark pen on paper, and the dark table that it lies on along one or two sides."""
    page = dark_pen(ink, random)
    (height, width), wide = PAGE_PX, 140
    left, top = ((0, wide // 2), (wide, wide // 2), (wide // 2, 0), (wide // 2, wide))[int(random.integers(4))]
    table = np.full((height + wide, width + wide, 3), random.uniform(40, 120), np.float32)
    table += random.normal(0, 5, table.shape).astype(np.float32)
    table[top : top + height, left : left + width] = page
    return table


def on_a_desk(ink: Cover, random: Random) -> Photo:
    """A sheet of paper, not quite level, seen whole on the brown desk that it lies on, lit from one side."""
    page = dark_pen(ink, random)
    (height, width), wide = PAGE_PX, 120
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-4, 4), 1)
    turn[:, 2] += wide
    size = width + 2 * wide, height + 2 * wide
    cover = cv2.warpAffine(np.ones(PAGE_PX, np.float32), turn, size)[..., None]
    desk = np.array((120, 90, 60)) + random.normal(0, 5, (*size[::-1], 1))
    return light(desk * (1 - cover) + cv2.warpAffine(page, turn, size) * cover, random)


def framed(ink: Cover, random: Random) -> Photo:
    """A dark pen in a box that was drawn with it, as in a form."""
    page, wide = dark_pen(ink, random), 40
    box = cv2.copyMakeBorder(page, *(6,) * 4, cv2.BORDER_CONSTANT, value=(35, 35, 40))
    return cv2.copyMakeBorder(box, *(wide,) * 4, cv2.BORDER_CONSTANT, value=(225, 222, 214))


def on_a_screen(ink: Cover, random: Random) -> Photo:
    """A photograph as a telephone shows it, with black above and below."""
    return cv2.copyMakeBorder(photographed(ink, random), 150, 150, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))


def ruled(ink: Cover, random: Random) -> Photo:
    """A black pen on lined paper."""
    page = sheet((245, 244, 238))
    first, gap = int(random.integers(20, 60)), int(random.integers(48, 64))
    for row in range(first, PAGE_PX[0], gap):
        page[row : row + 2] = (120, 145, 195)
    return grain(write(page, ink, (30, 30, 35)), random, 4)


def squared(ink: Cover, random: Random) -> Photo:
    """A blue pen on squared paper."""
    page = squares((246, 246, 242), random)
    return grain(write(page, ink, (30, 40, 130)), random, 4)


def askew(ink: Cover, random: Random) -> Photo:
    """A dark pen on squared paper that the lamp lights from one side, photographed at an angle."""
    return aslant(squares((235, 234, 228), random), ink, random)


def finely_squared(ink: Cover, random: Random) -> Photo:
    """The same on fine squares."""
    return aslant(squares((235, 234, 228), random, 13, 22), ink, random)


def divided(ink: Cover, random: Random) -> Photo:
    """The same on squares that fainter lines divide, as on graph paper."""
    page, gap = sheet((246, 246, 242)), 5 * int(random.integers(10, 16))
    for step, colour in ((gap // 5, (190, 203, 225)), (gap, (140, 160, 200))):
        for lines in (page, page.transpose(1, 0, 2)):
            lines[::step] = colour
            if step == gap:
                lines[1::step] = colour
    return aslant(page, ink, random)


def aslant(page: Photo, ink: Cover, random: Random) -> Photo:
    """Write on a page with a dark pen, light it from one side, and photograph it at an angle."""
    lit = light(grain(write(page, ink, (30, 30, 35)), random, 4), random)
    height, width = PAGE_PX
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-4, 4), 1.15)  # no corner is left empty
    turned: Photo = cv2.warpAffine(lit, turn, (width, height))
    return turned


def wooden(ink: Cover, random: Random) -> Photo:
    """A marker on a board, or on cardboard, with its grain across."""
    board = sheet((196, 156, 110)) + texture(random, 9, across=40, down=1.5)
    return grain(write(board, ink, (40, 30, 30)), random, 4)


def crumpled(ink: Cover, random: Random) -> Photo:
    """A dark pen on paper that was crumpled, with light and shade all over."""
    page: Photo = dark_pen(ink, random) * (1 + texture(random, 0.12, across=12, down=12))
    return page


def pencil(ink: Cover, random: Random) -> Photo:
    """Faint grey on white, with specks of dirt."""
    page = sheet((238, 238, 236))
    for _ in range(8):
        cv2.circle(page, (int(random.integers(PAGE_PX[1])), int(random.integers(PAGE_PX[0]))), 2, (110, 110, 110), -1)
    return grain(write(page, ink, (150, 150, 152)), random, 6)


def light(page: Photo, random: Random) -> Photo:
    """Light a page from one side, to about half at the other."""
    rows, columns = np.mgrid[-1 : 1 : page.shape[0] * 1j, -1 : 1 : page.shape[1] * 1j]
    angle = random.uniform(0, 2 * np.pi)
    shade = 0.76 + 0.17 * (columns * np.cos(angle) + rows * np.sin(angle))
    lit: Photo = page * shade[..., None].astype(np.float32)
    return lit


def texture(random: Random, amount: float, across: float, down: float) -> NDArray[Any]:
    """Make what is uneven all over a page, (420, 360, 1), as wide and as high as is given in pixels, of a deviation."""
    uneven = cv2.GaussianBlur(random.normal(0, 1, PAGE_PX), (0, 0), sigmaX=across, sigmaY=down)
    scaled: NDArray[Any] = (uneven * (amount / uneven.std()))[..., None]
    return scaled


def grain(page: Photo, random: Random, amount: float) -> Photo:
    """Add the paper's and the camera's noise; `amount` is its standard deviation in grey levels."""
    coarse = cv2.resize(random.normal(0, 1, (PAGE_PX[0] // 3, PAGE_PX[1] // 3)), PAGE_PX[::-1])
    fine = random.normal(0, 1, PAGE_PX)
    grainy: Photo = page + ((coarse + fine) * amount / 2)[..., None]
    return grainy


PAPERS: dict[str, Callable[[Cover, Random], Photo]] = {
    paper.__name__: paper
    for paper in (
        plain,
        blackboard,
        coloured,
        photographed,
        shaded,
        under_a_phone,
        on_a_table,
        on_a_desk,
        framed,
        on_a_screen,
        ruled,
        squared,
        askew,
        finely_squared,
        divided,
        wooden,
        crumpled,
        pencil,
    )
}


def draw(paper: str, digit: Grey, random: Random, size_px: int = DIGIT_PX) -> Image.Image:
    """Draw a (28, 28) data set digit, light on dark, on a paper of `PAPERS`, and save it as a camera would."""
    return photograph(paper, ink_of(digit, random, size_px), random)


def photograph(paper: str, ink: Cover, random: Random) -> Image.Image:
    """Put ink on a paper of `PAPERS`, and save it as a camera would."""
    page = np.clip(PAPERS[paper](ink, random), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(page).save(file, "JPEG", quality=int(random.integers(60, 90)))
    return Image.open(file)
