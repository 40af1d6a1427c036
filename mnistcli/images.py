"""From a picture that a person has to the image that the network was trained on."""

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from mnistcli.errors import ImageError

Invert = Literal["auto", "yes", "no"]
Grey = NDArray[np.uint8]  # (height, width), 0..255

SIZE_PX = 28
INK_SIZE_PX = 20  # the digit's longer side; LeCun et al. 1998 made the data set so, and centred it by its mass
INK_THRESHOLD = 64  # of 255: fainter pixels are paper texture when the ink's extent is measured
BLANK_CONTRAST = 16  # of 255: less between the darkest and the lightest pixel, and nothing is drawn


def load_image(path: Path, invert: Invert = "auto") -> Tensor:
    """Read a picture of one digit as the data set would show it.

    A picture that is one of the data set's own making already, 28 x 28 and light on dark, passes bit for bit.

    Args:
        path: any format that Pillow reads.
        invert: whether the picture is dark on light and has to be inverted; auto judges by its border.

    Returns:
        (1, 28, 28) uint8, 0 = paper, 255 = ink.

    Raises:
        ImageError: the file is missing, is no picture, or shows nothing.
    """
    return torch.from_numpy(prepare(read_grey(path), invert, path))[None]


def read_grey(path: Path) -> Grey:
    """Read a picture upright, laid on white where it is transparent, in grey.

    Raises:
        ImageError: the file is missing or is no picture.
    """
    try:
        # Pillow warns of what it can read all the same; what it cannot, it raises.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright)
            return _eight_bit(upright)
    except FileNotFoundError:
        raise ImageError(f"no picture at {path}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a picture that can be read") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path} is too large a picture") from None
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # its decoders trip over damaged bytes in ways of their own
        raise ImageError(f"cannot read {path}: {' '.join(str(error).split()) or type(error).__name__}") from error


def _eight_bit(picture: Image.Image) -> Grey:
    """Turn any kind of pixel into grey levels of 8 bits; Pillow would cut off the deeper kinds at 255."""
    white = {"I": 65535.0, "F": 1.0}.get(picture.mode[0])  # 16-bit whole numbers and floats, by their usual ranges
    if white is None:
        return np.array(picture.convert("L"))
    levels = np.clip(np.asarray(picture, np.float64) * (255 / white), 0, 255).round()
    return levels.astype(np.uint8)


def prepare(grey: Grey, invert: Invert, path: Path) -> Grey:
    """Turn a grey picture of any size into (28, 28) uint8, light ink on black paper.

    Raises:
        ImageError: the picture shows nothing; `path` is only for its text.
    """
    if invert == "yes" or (invert == "auto" and is_dark_on_light(grey)):
        grey = 255 - grey
    if int(grey.max()) - int(grey.min()) < BLANK_CONTRAST:
        raise ImageError(f"{path} is blank: nothing on it stands out")
    if is_mnist_like(grey):
        return grey
    ink = fit(crop_to_ink(stretch(grey)))
    if not ink.any():  # a few lone pixels, far apart, average out to nothing
        raise ImageError(f"{path} is blank: nothing on it is left at {INK_SIZE_PX} pixels")
    return centre_by_mass(ink)


def border(grey: Grey) -> Grey:
    """Give the outermost pixels, (M,) uint8."""
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def is_dark_on_light(grey: Grey) -> bool:
    """Judge by the border, which is paper nearly everywhere in a picture of one digit."""
    return float(np.median(border(grey))) > 127


def is_mnist_like(grey: Grey) -> bool:
    """Tell whether a picture has the data set's size and black rim."""
    return grey.shape == (SIZE_PX, SIZE_PX) and float(np.median(border(grey))) == 0


def stretch(grey: Grey) -> Grey:
    """Spread the greys between paper, the border's median, and the lightest ink over 0..255."""
    paper, ink = float(np.median(border(grey))), float(grey.max())
    if ink <= paper:
        paper = float(grey.min())
    stretched: Grey = np.clip((grey - paper) * (255 / (ink - paper)), 0, 255).round().astype(np.uint8)
    return stretched


def crop_to_ink(grey: Grey) -> Grey:
    """Cut away the rows and columns around the ink."""
    rows, columns = np.nonzero(grey >= INK_THRESHOLD)
    return grey[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def fit(ink: Grey) -> Grey:
    """Scale the ink so that its longer side is 20 pixels, its shape kept, with area averaging."""
    height, width = ink.shape
    scale = INK_SIZE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(ink).resize(size, resample))


def centre_by_mass(ink: Grey) -> Grey:
    """Place the ink in 28 x 28 so that its centre of mass is at the centre, as near as whole pixels allow."""
    canvas: Grey = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    top = _offset(ink.sum(1, dtype=np.float64))
    left = _offset(ink.sum(0, dtype=np.float64))
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def _offset(mass: NDArray[np.float64]) -> int:
    """Say where a profile of at most 20 values begins when its centre of mass lies at pixel 14 of 28.

    Pixel 14, counted from 0, is where the data set has it: 14.00 +- 0.29 over the training images, down and across.
    """
    centre = float(mass @ np.arange(len(mass)) / mass.sum())
    return int(np.clip(round(SIZE_PX / 2 - centre), 0, SIZE_PX - len(mass)))
