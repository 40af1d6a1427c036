"""The data set as tensors: loading, splitting, normalising."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mnistcli.config import Split
from mnistcli.errors import ConfigError, DataError
from mnistcli.files import as_argument
from mnistcli.idx import SIDE_PX, damaged, raw_folder, raw_names, read_idx

FILE_PREFIX: dict[Split, str] = {"train": "train", "test": "t10k"}


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Samples:
    """Images and their labels, in the same order and on the same device; equal to themselves alone."""

    images: Tensor  # (N, 1, 28, 28) uint8, 0 = paper, 255 = ink
    labels: Tensor  # (N,) int64, 0..9

    def __len__(self) -> int:
        """Give the number of images."""
        return self.images.shape[0]

    def take(self, indices: Tensor) -> "Samples":
        """Give the samples at `indices`, (M,) int64, as a copy."""
        return Samples(self.images.index_select(0, indices), self.labels.index_select(0, indices))

    def checksum(self) -> int:
        """Give the CRC-32 of samples on the CPU, which tells them from others."""
        return zlib.crc32(self.labels.numpy().data, zlib.crc32(self.images.numpy().data))

    def to(self, device: torch.device) -> "Samples":
        """Give the same samples on `device`."""
        return Samples(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Normalization:
    """The one definition of what the network sees: (x / 255 - mean) / std.

    0.1307 and 0.3081 are the mean and the standard deviation of all training pixels scaled to 0..1; the PyTorch
    MNIST example uses the same two numbers.
    """

    mean: float = 0.1307
    std: float = 0.3081

    def __call__(self, images: Tensor) -> Tensor:
        """Turn (B, 1, 28, 28) pixels, 0..255, into the same shape of float32.

        With the default numbers, MNIST's training pixels, all taken together, come out with mean 0 and deviation 1.
        """
        return images.to(torch.float32, copy=True).sub_(255 * self.mean).div_(255 * self.std)


def load_split(data_dir: Path, split: Split) -> Samples:
    """Load the training or the test images with their labels.

    Args:
        data_dir: the folder that holds MNIST/raw; torchvision's `root`.
        split: which of the two.

    Returns:
        N > 0 samples on the CPU, in the order of the files.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not belong together.
    """
    images_path, labels_path = (raw_folder(data_dir) / name for name in raw_names(FILE_PREFIX[split]))
    try:
        images, labels = (torch.from_numpy(read_idx(path)) for path in (images_path, labels_path))
        if images.shape[1:] != (SIDE_PX, SIDE_PX) or len(images) == 0:
            raise damaged(images_path, f"it holds {tuple(images.shape)}, not N images of 28 x 28")
        if labels.shape != images.shape[:1]:
            raise damaged(labels_path, f"it holds {tuple(labels.shape)} labels for {len(images):,} images")
        if labels.max() > 9:
            raise damaged(labels_path, f"it holds the label {int(labels.max())}, and digits end at 9")
    except DataError as error:
        # A download keeps a file's permissions, and replaces no folder.
        if isinstance(error.__cause__, PermissionError | IsADirectoryError | NotADirectoryError):
            raise
        raise DataError(f"{error}; mend it with: mnistcli download --data-dir {as_argument(data_dir)}") from None
    return Samples(images.unsqueeze(1), labels.long())


def hold_out(samples: Samples, count: int, seed: int) -> tuple[Samples, Samples | None]:
    """Split off the last samples of a seeded permutation, for validation.

    Args:
        samples: on the CPU.
        count: of samples to hold out, 0 or more.
        seed: of the permutation.

    Returns:
        The samples to train on and the held-out ones; all of them and None where `count` is 0.

    Raises:
        ConfigError: nothing would be left to train on.
    """
    if count == 0:
        return samples, None
    if count >= len(samples):
        raise ConfigError(
            f"`val_size` {count} leaves nothing to train on: the training set has {len(samples):,} images"
        )
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    return samples.take(order[:-count]), samples.take(order[-count:])


def pick(samples: Samples, count: int, digits: Sequence[int], seed: int) -> Samples:
    """Draw samples at random.

    Returns:
        Up to `count` samples, of the given digits only; of all where `digits` is empty.

    Raises:
        DataError: there is no such sample.
    """
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    if digits:
        order = order[torch.isin(samples.labels[order], torch.tensor(digits))]
    if len(order) == 0:
        raise DataError(f"there is no sample of the digits {', '.join(map(str, digits))}")
    return samples.take(order[:count])
