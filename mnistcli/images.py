"""People's pictures: read from any file, shrunk, and their ink drawn as the images that the network was trained on."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from mnistcli.config import Invert
from mnistcli.errors import ImageError
from mnistcli.glyphs import Grey, cut, draw, without_hairs
from mnistcli.idx import SIDE_PX
from mnistcli.ink import Ink
from mnistcli.paper import flat_colour
from mnistcli.planes import Mask, Pixels, border_pixels, bounding_window, is_straight, longer_side, resize

WORKING_PX = 1024  # the longer side that a larger picture is shrunk to
# Times its height: what is wider is a dash, and what is straight already from the second on. Of MNIST's 70,000 digits
# and of 15,000 others none is wider than 2.5 times its height; of MNIST's straight ones the widest is so 1.43 times.
# These are, where ink is more than half of white, 5,806 1s and five of 3, 6 and 7; with lighter ink fewer and narrower.
FLATTEST, FLATTEST_STRAIGHT = 3.0, 1.5
DRAFTED = ("L", "RGB")  # the kinds of pixels for which a JPEG file is decoded no larger than needed
MOST_DRAFTED_PX = 300_000_000  # of such a file, width times height: more than a telephone's camera has
TURNED = (5, 6, 7, 8)  # orientations that EXIF data may tell, in which width and height have changed places
OFF_CENTRE_PX = 0.6  # of an image of the data set at most; of all 70,000 it is 0.52
COARSE_PX = 128  # about the longer side at which a drawing is looked at first
LIGHT_INK = 127  # of 255: lighter ink is laid on black
SEE_THROUGH = 0.5  # opacity: a picture with less than this anywhere was made for another background
NO_DATA_SHARE = 0.001  # of the pixels: so few may have a level, far below 0, that stands for none
WHITE_LEVELS = (1, 255, 1023, 4095, 16383, 65535)  # of floats, and of 8, 10, 12, 14 and 16 bits
# Of a black and white picture whose shorter side has at least so many pixels, more than this share are alone in their
# row where its greys are dots; a Gaussian with this standard deviation, in pixels, makes greys of them again.
DITHERED_PX, DITHERED_SHARE, DITHER_PX = 64, 0.05, 2.0
MOST_OVERSHOOT = 1.25  # times white, for floats: resizing makes the lighter side of an edge lighter yet

Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the upright picture


@dataclass(frozen=True, eq=False)  # arrays have no equality that is true or false
class Picture:
    """A picture, upright and opaque; equal to itself alone."""

    pixels: Pixels = field(repr=False)  # (H, W, 1) or (H, W, 3), at most 1,024 pixels a side
    size: tuple[int, int]  # width and height that it had, in pixels
    name: str  # for messages

    def box(self, left: int, top: int, width: int, height: int) -> Box:
        """Give a box in the pixels that the picture had."""
        across, down = self.size[0] / self.pixels.shape[1], self.size[1] / self.pixels.shape[0]
        first_x, first_y = round(left * across), round(top * down)
        last_x, last_y = round((left + width) * across), round((top + height) * down)
        return first_x, first_y, last_x - first_x, last_y - first_y


@dataclass(frozen=True, eq=False)
class Glyph:
    """A digit that was found in a picture; equal to itself alone."""

    image: Grey = field(repr=False)  # (28, 28), 0 = paper, 255 = ink: what the network sees
    box: Box
    is_no_digit: bool = False  # whatever a network says: it is a blot, as flat as a dash, or one of a pattern

    @property
    def width(self) -> int:
        """Give the box's width."""
        return self.box[2]

    @property
    def height(self) -> int:
        """Give the box's height."""
        return self.box[3]

    def moved(self, window: Box) -> "Glyph":
        """Give it where it is in a larger picture, from which this one was cut out at a window in its pixels."""
        left, top, width, height = self.box
        return replace(self, box=(left + window[0], top + window[1], width, height))


def read_picture(source: Path | BinaryIO, name: str | None = None) -> Picture:
    """Read a picture: its first frame, upright, laid on a background that contrasts with its ink, and not too large.

    Args:
        source: a file of any format that Pillow reads by itself.
        name: what messages call it; the path if None.

    Raises:
        ImageError: the file is missing or is no picture.
    """
    name = name or str(source)
    try:
        with _open(source) as picture:
            if picture.format == "EPS":
                raise ValueError("it is PostScript, a program that Ghostscript would have to run")
            size = picture.size
            if picture.mode in DRAFTED:
                picture.draft(picture.mode, (WORKING_PX, WORKING_PX))
            upright, is_turned = _upright(picture)
            return Picture(_shrink(_opaque(upright)), size[::-1] if is_turned else size, name)
    except FileNotFoundError:
        raise ImageError(f"no picture at {name}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is {'empty' if _is_empty(source) else 'not a picture that can be read'}") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} is too large a picture; shrink it, to some thousand pixels a side") from None
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}") from None
    except MemoryError:
        raise
    except Exception as error:  # its decoders trip over damaged bytes in ways of their own
        raise ImageError(f"cannot read {name}: {' '.join(str(error).split()) or type(error).__name__}") from error


def _open(source: Path | BinaryIO) -> Image.Image:
    """Open a picture, even one that is too large for Pillow if it is a JPEG file that is decoded smaller.

    As it has 65,535 pixels a side at most, draft leaves a fourth of them or fewer. Of a progressive one, all
    coefficients are held in memory whatever the size it is decoded at.
    """
    try:
        return Image.open(source)
    except Image.DecompressionBombError:
        if not isinstance(source, Path):
            source.seek(0)
        with suppress(SyntaxError):  # so Pillow says that it is another format
            picture = JpegImageFile(source)
            is_drafted = picture.mode in DRAFTED and "progressive" not in picture.info
            if is_drafted and picture.width * picture.height <= MOST_DRAFTED_PX:
                return picture
            picture.close()
        raise


def _is_empty(source: Path | BinaryIO) -> bool:
    try:
        return isinstance(source, Path) and source.is_file() and source.stat().st_size == 0
    except OSError:  # it is gone meanwhile
        return False


def _upright(picture: Image.Image) -> tuple[Image.Image, bool]:
    """Turn a picture as its EXIF data tell, and tell whether width and height changed places.

    Where these data are damaged, it stays as it is.
    """
    picture.load()  # what is wrong with its pixels is told
    try:
        is_turned = picture.getexif().get(ExifTags.Base.Orientation) in TURNED
        return ImageOps.exif_transpose(picture), is_turned
    except Exception:  # as in read_picture
        return picture, False


def _opaque(picture: Image.Image) -> Pixels:
    """Turn any kind of pixel into grey or RGB levels of 8 bits."""
    if picture.mode[0] in "IF":
        return _opaque_deep(picture)
    if picture.has_transparency_data:
        covered, factor = picture.convert("RGBA"), max(picture.size) // WORKING_PX
        if factor > 1:  # as floats it would take much memory; multiplied by it, colour that is not seen weighs nothing
            covered = covered.convert("RGBa").reduce(factor).convert("RGBA")
        return _on_contrast(np.asarray(covered, np.float32))
    if picture.mode == "1":
        return _without_dither(np.asarray(picture.convert("L")))[..., None]
    if picture.mode == "L":
        return np.asarray(picture)[..., None]
    return np.asarray(picture.convert("RGB"))


def _without_dither(levels: Grey) -> Grey:
    """Smooth a picture in black and white, (H, W), whose greys are dots, as Pillow makes them by default."""
    left, middle, right = levels[:, :-2], levels[:, 1:-1], levels[:, 2:]
    is_dithered = min(levels.shape) >= DITHERED_PX and np.mean((middle != left) & (middle != right)) > DITHERED_SHARE
    if not is_dithered:
        return levels
    smooth: Grey = cv2.GaussianBlur(levels, (0, 0), DITHER_PX).astype(np.uint8, copy=False)
    return smooth


def _opaque_deep(picture: Image.Image) -> Pixels:
    """Turn grey of more than 8 bits, and floats, into 8 bits; a PNG file may name a level that is transparent."""
    levels = np.asarray(picture, np.float64 if picture.mode == "F" else None)
    grey = _eight_bit(levels, MOST_OVERSHOOT if picture.mode == "F" else 1)
    transparent = picture.info.get("transparency")
    if transparent is None:
        return grey[..., None]
    return _on_contrast(np.stack([grey, np.where(levels == transparent, 0, 255)], 2).astype(np.float32))


def _on_contrast(pixels: np.ndarray) -> Pixels:
    """Lay (H, W, C + 1), levels and then opacity, on black where light ink is on a transparent rest, else on white."""
    colours, cover = pixels[..., :-1], pixels[..., -1:] / 255
    ink = float((colours.mean(2, keepdims=True) * cover).sum() / max(float(cover.sum()), 1))  # 0..255
    background = 0.0 if ink > LIGHT_INK and float(cover.min()) < SEE_THROUGH else 255.0
    opaque: Pixels = (colours * cover + background * (1 - cover)).round().astype(np.uint8)
    return opaque


def _eight_bit(levels: np.ndarray, overshoot: float) -> Grey:
    """Scale integers of more than 8 bits, and floats, by the white level of their kind; Pillow would clip them all.

    It is the lowest that, times `overshoot`, no level is over; levels between the two are clipped to white, and levels
    as little below 0, as resizing leaves them, to black. Levels that go farther below 0, or do not reach the white of
    their kind, were normalised around 0: then the lowest is black, and the highest white.
    """
    levels = np.where(np.isfinite(levels), levels, 0)
    lowest, highest = float(levels.min()), float(levels.max())
    white = next((white for white in WHITE_LEVELS if highest <= overshoot * white), highest)
    if lowest < 0:
        lowest = float(np.quantile(levels, NO_DATA_SHARE))
    if lowest < 0 and (lowest < (1 - overshoot) * white or (white > 1 and overshoot * highest < white)):
        levels, white = levels - lowest, (highest - lowest) or 1
    # What each level becomes is looked up where there are few: floats of all pixels would take much memory.
    is_short = levels.dtype.kind == "u" and levels.dtype.itemsize == 2  # in either order of bytes
    scale = np.arange(2**16) if is_short else levels
    scaled: Grey = np.clip(scale * (255 / white), 0, 255).round().astype(np.uint8)
    return scaled[levels] if is_short else scaled


def _shrink(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = WORKING_PX / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = resize(pixels, *size)
    is_grey = pixels.shape[2] == 3 and bool((pixels == pixels[..., :1]).all())
    return pixels[..., :1] if is_grey else pixels


def sample_of(pixels: Pixels, invert: Invert) -> Grey | None:
    """Give the picture itself, or its negative, if it is an image as the data set has them; else None.

    Args:
        pixels: of any size.
        invert: `yes` takes dark ink on light paper only, `no` light ink only, auto either.
    """
    if pixels.shape != (SIDE_PX, SIDE_PX, 1):
        return None
    light, dark = pixels[..., 0], 255 - pixels[..., 0]
    for grey in {"auto": (light, dark), "yes": (dark,), "no": (light,)}[invert]:
        # All 70,000 have a longer side of 20 pixels, but for 16 of 19, and a border that is black but for some pixels.
        is_like_one = grey.any() and np.median(border_pixels(grey[..., None])) == 0 and longer_side(grey) in (19, 20)
        if is_like_one and _is_centred(grey):
            return grey
    return None


def _is_centred(grey: Grey) -> bool:
    """Tell whether the centre of mass, as the data set has it, is at pixel 14, counted from 0, down and across."""
    moments = cv2.moments(grey)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    return bool((abs(centre - SIDE_PX / 2) < OFF_CENTRE_PX).all())


def shrink_drawing(picture: Picture) -> Picture | None:
    """Give a smaller copy of a drawing, to look at first: on its even paper, ink shows without every pixel.

    None for a picture that is small already, or is no drawing.
    """
    height, width = picture.pixels.shape[:2]
    factor = max(height, width) // COARSE_PX
    if factor < 2 or min(height, width) < factor or flat_colour(picture.pixels) is None:
        return None
    return replace(picture, pixels=resize(picture.pixels, width // factor, height // factor))


def draw_glyph(picture: Picture, ink: Ink, mask: Mask, left: int = 0, top: int = 0) -> Glyph:
    """Draw the ink under a mask as a digit.

    Args:
        picture: where it is from.
        ink: of the whole picture, or of a window in it.
        mask: which of that ink is the digit's, the same size.
        left: the first column of the window in the picture.
        top: its first row.
    """
    rows, columns = bounding_window(mask)
    box = picture.box(left + columns.start, top + rows.start, columns.stop - columns.start, rows.stop - rows.start)
    stroke = without_hairs(cut(ink, mask))
    flatness = (columns.stop - columns.start) / (rows.stop - rows.start)
    is_dash = flatness > FLATTEST or (flatness > FLATTEST_STRAIGHT and is_straight(mask))
    return Glyph(draw(stroke), box, stroke.is_blot or is_dash)
