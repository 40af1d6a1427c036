"""MNIST as a pickle of numpy arrays, turned back into the four raw files without executing what it may hold."""

import pickle
from typing import Any, BinaryIO

import numpy as np
from numpy._core import multiarray

from mnistcli.idx import SIDE_PX, idx_bytes, raw_names


class _ArrayUnpickler(pickle.Unpickler):
    """Admit what numpy arrays are rebuilt with, and nothing else: a pickle can name any function to call."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return multiarray._reconstruct
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"the pickle names {module}.{name}, which is no part of an array")


def rebuild_idx(pickled: BinaryIO) -> dict[str, bytes]:
    """Make the four raw files from a pickle of three (images, labels) pairs: training, validation, test.

    Args:
        pickled: images are (N, 784) float32 = pixel / 256, labels (N,) int64. The first 50,000 and the next 10,000
            are the training images in their original order, as in the `mnist.pkl.gz` of deeplearning.net.

    Raises:
        pickle.UnpicklingError: the pickle holds something else.
    """
    try:
        train, val, test = _ArrayUnpickler(pickled, encoding="latin1").load()
        sets = {"train": [np.concatenate(pair) for pair in zip(train, val, strict=True)], "t10k": test}
        files = {}
        for prefix, (images, labels) in sets.items():
            pixels = np.rint(images * 256).astype(np.uint8)
            images_name, labels_name = raw_names(prefix)
            files[images_name] = idx_bytes(pixels.reshape(-1, SIDE_PX, SIDE_PX))
            files[labels_name] = idx_bytes(labels.astype(np.uint8))
    except (ValueError, TypeError, AttributeError) as error:
        raise pickle.UnpicklingError(f"the pickle is not three pairs of images and labels: {error}") from None
    return files
