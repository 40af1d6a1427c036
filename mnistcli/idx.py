"""Where the four raw files lie, and their format, IDX, as described on http://yann.lecun.com/exdb/mnist/.

Two zero bytes, the type code, the number of dimensions, each dimension as a big-endian 32-bit integer, then the
values, the last dimension running fastest.
"""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistcli.errors import DataError

SIDE_PX = 28  # of every image
UINT8 = 0x08  # the type code of unsigned bytes, the only one MNIST uses


def raw_folder(data_dir: Path) -> Path:
    """Give the folder in which torchvision keeps, and looks for, the four files."""
    return data_dir / "MNIST" / "raw"


def data_dir_of(folder: Path) -> Path:
    """Give the data folder that a raw folder lies in: the inverse of `raw_folder`."""
    return folder.parent.parent


def raw_names(prefix: str) -> tuple[str, str]:
    """Give the names of a split's two files, images and labels; the prefix is `train` or `t10k`."""
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, whole.

    Returns:
        An array of the shape that the file's header states.

    Raises:
        DataError: the file is missing, cannot be read, is no such file, or is not as long as its header says.
    """
    try:
        with path.open("rb") as file:
            zeros, kind, dimensions = struct.unpack(">HBB", file.read(4))
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            content = np.fromfile(file, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except struct.error:
        raise damaged(path, "its header is cut short") from None
    if zeros != 0 or kind != UINT8:
        raise damaged(path, "it is not an IDX file of unsigned bytes")
    expected = math.prod(shape)
    if len(content) != expected:
        raise damaged(path, f"its header announces {expected:,} bytes and {len(content):,} follow")
    try:
        return content.reshape(shape)
    except ValueError:  # too many dimensions, or, where one is 0, others that are too long
        raise damaged(path, f"its header announces {dimensions} dimensions of sizes that no array can have") from None


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Give an array of any shape as the content of an IDX file."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UINT8, array.ndim, *array.shape)
    return header + array.tobytes()


def damaged(path: Path, reason: str) -> DataError:
    """Say that a raw file cannot be trusted, and why."""
    return DataError(f"{path} is damaged: {reason}")
