"""IDX files, splits and normalisation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_samples
from mnistcli.data import Normalization, Samples, hold_out, load_split, pick
from mnistcli.errors import ConfigError, DataError
from mnistcli.idx import idx_bytes, raw_folder, read_idx


def test_idx_round_trip(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "file"
    path.write_bytes(idx_bytes(array))
    assert np.array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut short"),
        (b"\0\0\x08\x03\0\0", "cut short"),
        (idx_bytes(np.zeros((2, 3), np.uint8))[:-1], "announces 6 bytes and 5 follow"),
        (idx_bytes(np.zeros((2, 3), np.uint8)) + b"\0", "announces 6 bytes and 7 follow"),
        (b"\0\0\x0d\x01\0\0\0\0", "not an IDX file of unsigned bytes"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "announces [0-9,]+ bytes and 0 follow"),
        (b"\0\0\x08\xff" + b"\0" * 4 * 255, "announces 255 dimensions"),
        (b"\0\0\x08\x04" + b"\xff" * 12 + b"\0" * 4, "announces 4 dimensions"),
        (b"<html>not found</html>", "cut short|not an IDX file"),
    ],
)
def test_a_damaged_file_says_so(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_splits_have_the_data_sets_shape(data_dir: Path) -> None:
    train = load_split(data_dir, "train")
    assert (train.images.shape, train.images.dtype) == ((600, 1, 28, 28), torch.uint8)
    assert (train.labels.shape, train.labels.dtype) == ((600,), torch.int64)
    assert len(load_split(data_dir, "test")) == 200


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (np.zeros((3, 28, 28), np.uint8), np.zeros(2, np.uint8), r"\(2,\) labels for 3 images"),
        (np.zeros((3, 28, 27), np.uint8), np.zeros(3, np.uint8), "28 x 28"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "28 x 28"),
        (np.zeros((3, 28, 28), np.uint8), np.full(3, 10, np.uint8), "the label 10"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, reason: str
) -> None:
    folder = raw_folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    with pytest.raises(DataError, match=rf"{reason}.*; mend it with: mnistcli download --data-dir {tmp_path}"):
        load_split(tmp_path, "test")


def test_what_no_download_mends_is_told_without_one(tmp_path: Path) -> None:
    (raw_folder(tmp_path) / "t10k-images-idx3-ubyte").mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot read .*t10k-images-idx3-ubyte: Is a directory$"):
        load_split(tmp_path, "test")


def test_normalisation_is_the_tutorials() -> None:
    from torchvision.transforms.functional import normalize

    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    expected = normalize(pixels.float() / 255, [0.1307], [0.3081])
    torch.testing.assert_close(Normalization()(pixels), expected, rtol=0, atol=1e-6)
    assert pixels.flatten().tolist() == list(range(256))  # the set itself is left alone


def _numbered(count: int) -> Samples:
    labels = torch.arange(count)
    return Samples(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28), labels)


def test_held_out_samples_are_the_end_of_a_seeded_permutation() -> None:
    train, val = hold_out(_numbered(100), 20, seed=5)
    assert val is not None
    order = torch.randperm(100, generator=torch.Generator().manual_seed(5))
    assert torch.equal(val.labels, order[-20:])
    assert torch.equal(torch.cat([train.labels, val.labels]).sort().values, torch.arange(100))
    assert torch.equal(train.images[:, 0, 0, 0].long(), train.labels)


def test_samples_have_another_checksum_with_other_images_and_with_other_labels() -> None:
    samples = make_samples(10)
    others = [Samples(samples.images.flip(0), samples.labels), Samples(samples.images, samples.labels.flip(0))]
    assert len({each.checksum() for each in (samples, *others)}) == 3
    assert make_samples(10).checksum() == samples.checksum()


def test_nothing_held_out_is_no_copy() -> None:
    samples = _numbered(3)
    assert hold_out(samples, 0, seed=0) == (samples, None)


def test_holding_everything_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="`val_size` 3 leaves nothing"):
        hold_out(_numbered(3), 3, seed=0)


def test_pick_says_when_there_is_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="no sample of the digits 7, 8"):
        pick(_numbered(5), 4, [7, 8], seed=0)


def test_pick_draws_the_asked_digits_only() -> None:
    samples = _numbered(10)
    assert set(pick(samples, 4, [3, 7], seed=0).labels.tolist()) == {3, 7}
    assert torch.equal(pick(samples, 4, [], seed=1).labels, pick(samples, 4, [], seed=1).labels)
    assert len(pick(samples, 4, [], seed=1)) == 4
