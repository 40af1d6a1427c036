"""Several processes train as one does: real ones, started by torchrun, over gloo."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import RunCli, rejector_for, write_split
from mnistcli.checkpoint import Checkpoint, load
from mnistcli.data import hold_out, load_split
from mnistcli.idx import raw_folder
from mnistcli.ranks import Ranks
from mnistcli.rejection import make_examples
from mnistcli.scoring import ask, score

Completed = subprocess.CompletedProcess[str]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mnistcli"]

START = "from mnistcli.__main__ import main\nmain()\n"  # for a program that begins with something else

# A whole run, one that the second rank stops as soon as it is asked within a validation, and that one continued.
STOPPED_IN_VALIDATION = """
import sys

import torch

from mnistcli.config import TrainConfig
from mnistcli.loop import ValStepDone
from mnistcli.ranks import joined
from mnistcli.run import open_run, opened_run_events

with joined(torch.device("cpu")) as ranks:
    for output, resume, is_stopped in (("whole.pt", None, 0), ("parts.pt", None, 1), ("parts.pt", "parts.pt", 0)):
        events = []
        config = TrainConfig(data_dir=sys.argv[1], output=output, lr=0.1, val_size=700, outliers=0.1, threads=1)
        should_stop = lambda: is_stopped and ranks.rank == 1 and isinstance(events[-1], ValStepDone)
        for event in opened_run_events(*open_run(config, resume), should_stop, ranks):
            events.append(event)
        if ranks.rank == 0:
            print(sum(isinstance(event, ValStepDone) for event in events), type(events[-1]).__name__)
        ranks.wait()  # until the first one has saved
"""


def train(folder: Path, *arguments: object, program: str = "") -> Completed:
    """Run `train`, or a program that ends in it, as two ranks, a thread each."""
    torchrun = [*TORCHRUN[:-2], program] if program else TORCHRUN
    return subprocess.run(
        [*torchrun, "train", "--threads", "1", *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def farthest(one: Checkpoint, other: Checkpoint) -> float:
    """Give the largest difference between two checkpoints' weights."""
    pairs = zip(one.weights.values(), other.weights.values(), strict=True)
    return max(float((mine - theirs).abs().max()) for mine, theirs in pairs)


@pytest.fixture(scope="module")
def fifty_batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a data folder of 3,696 training digits.

    501 of them held out, a last part of one image, are two full shares and an empty one; the rest is 50 steps of the
    default recipe, the last of 59 images.
    """
    root = tmp_path_factory.mktemp("fifty")
    write_split(raw_folder(root), "train", 3195 + 501, seed=1)
    return root


def test_two_ranks_take_the_steps_of_one_process_and_either_continues_the_other(
    cli: RunCli, fifty_batches: Path, tmp_path: Path
) -> None:
    options = ["--data-dir", fifty_batches, "--val-size", 501, "--json"]
    one = cli("train", "--threads", 1, *options, "--output", "one.pt")
    two = train(tmp_path, *options, "--output", "two.pt")
    assert (one.exit_code, two.returncode) == (0, 0), two.stderr
    alone, together = (load(tmp_path / name) for name in ("one.pt", "two.pt"))
    assert farthest(alone, together) < 1e-5
    # The first rank alone answers, and its counts are of all images.
    epochs = [[json.loads(line) for line in done.stdout.splitlines()] for done in (one, two)]
    assert [event["event"] for event in epochs[1]] == ["epoch", "end"]
    for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert epochs[0][0][key] == pytest.approx(epochs[1][0][key], abs=1e-5)

    shutil.copy(tmp_path / "one.pt", tmp_path / "one-then-two.pt")
    done = train(tmp_path, "--resume", "one-then-two.pt", "--epochs", 2)
    assert done.returncode == 0, done.stderr
    for name in ("two.pt", "one.pt"):
        assert cli("train", "--threads", 1, "--resume", name, "--epochs", 2).exit_code == 0
    whole = load(tmp_path / "one.pt")
    for name in ("one-then-two.pt", "two.pt"):
        other = load(tmp_path / name)
        assert other.epoch == 2
        assert farthest(whole, other) < 1e-4


def test_two_ranks_train_a_whole_recipe(data_dir: Path, tmp_path: Path) -> None:
    recipe = ["--model", "strided", "--rotation-degrees", 10, "--optimizer", "adamw", "--outliers", 0.2]
    options = ["--data-dir", data_dir, "--epochs", 3, "--lr", 0.01, "--batch-size", 50, "--val-size", 51]
    done = train(tmp_path, *options, *recipe)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ckpt.pt\n"
    assert done.stderr.count("epoch 3/3") == 1
    val = hold_out(load_split(data_dir, "train"), 51, seed=0)[1]
    assert val is not None
    checkpoint = load(tmp_path / "ckpt.pt")
    model, normalization = checkpoint.build_model(), checkpoint.pixel_normalization()
    logits = ask(model, val.images, normalization).logits
    assert checkpoint.history[-1]["val_loss"] == pytest.approx(score(logits, val.labels).loss, rel=1e-4)
    whole = rejector_for(model, val, normalization, checkpoint.train_config())
    together = checkpoint.calibration().rejector
    assert together is not None
    for images in next(make_examples(val, checkpoint.train_config())):
        known = ask(model, images, normalization).features
        torch.testing.assert_close(
            together.digit_probabilities(known), whole.digit_probabilities(known), atol=1e-3, rtol=0
        )


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_run_and_leaves_the_last_checkpoint(
    data_dir: Path, tmp_path: Path, rank: int
) -> None:
    note = "import os\nwith open(os.environ['RANK'], 'w') as file:\n    file.write(str(os.getpid()))\n"
    (tmp_path / "noted.py").write_text(note + START)
    command = [*TORCHRUN[:-2], "noted.py", "train", "--data-dir", str(data_dir), "--epochs", "100000", "--threads", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            wait_for(tmp_path / "ckpt.pt")
            os.kill(int((tmp_path / str(rank)).read_text()), signal.SIGKILL)
            assert process.wait(timeout=60) != 0
        finally:
            end(process)
    checkpoint = load(tmp_path / "ckpt.pt")
    assert checkpoint.epoch == len(checkpoint.history) >= 1
    checkpoint.build_model()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_stop_is_agreed_upon_and_saved(cli: RunCli, data_dir: Path, tmp_path: Path) -> None:
    command = [*TORCHRUN, "train", "--data-dir", str(data_dir), "--epochs", "100000", "--threads", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(tmp_path / "ckpt.pt")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            end(process)
    assert process.returncode != 0
    assert errors.count("continue with: mnistcli train --resume ckpt.pt") == 1
    stopped = load(tmp_path / "ckpt.pt")
    assert cli("train", "--threads", 1, "--resume", "ckpt.pt", "--epochs", stopped.epoch + 1).exit_code == 0
    assert load(tmp_path / "ckpt.pt").epoch == stopped.epoch + 1


def test_a_stop_within_a_validation_is_agreed_upon_and_continued(fifty_batches: Path, tmp_path: Path) -> None:
    # Of its 14 parts, two ask about held-out images and twelve about examples of digits and other shapes.
    (tmp_path / "stop.py").write_text(STOPPED_IN_VALIDATION)
    command = [*TORCHRUN[:-2], "stop.py", str(fifty_batches)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout.splitlines() == ["14 Finished", "10 Stopped", "14 Finished"], done.stderr
    whole, parts = load(tmp_path / "whole.pt"), load(tmp_path / "parts.pt")
    assert farthest(whole, parts) == 0
    assert whole.calibration() == parts.calibration()
    assert whole.history[0]["val_loss"] == parts.history[0]["val_loss"]


def end(process: "subprocess.Popen[Any]") -> None:
    """End torchrun with its ranks, which one that is killed would leave behind."""
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ranks_end_in_peace(tmp_path: Path) -> None:
    # A long switch interval leaves gloo's threads waiting for the interpreter; without rest some of the pairs abort.
    (tmp_path / "end.py").write_text(
        "import sys, torch\n"
        "from mnistcli.ranks import joined\n"
        "sys.setswitchinterval(10)\n"
        "with joined(torch.device('cpu')) as ranks:\n"
        "    network = ranks.replicate(torch.nn.Linear(1, 1))\n"
        "    assert not any(ranks.any(False) for _ in range(50))\n"
    )
    command = [*TORCHRUN[:-2], "end.py"]
    pairs = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [pair.communicate(timeout=180)[1] for pair in pairs]
    assert [pair.returncode for pair in pairs] == [0] * 3, errors


@pytest.fixture(scope="module")
def refused(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Completed]]:
    """Start runs that cannot be, side by side, and give the folder of each and how it ended."""
    differ = "import os\nos.environ['MNISTCLI_SEED'] = os.environ['RANK']\n"
    late = "import os, time\ntime.sleep(2 * (os.environ['RANK'] == '0'))\n"  # torchrun ends all once one has ended
    folders = {name: tmp_path_factory.mktemp(name) for name in ("differ", "late", "nowhere")}
    for name, first in (("differ", differ), ("late", late)):
        (folders[name] / f"{name}.py").write_text(first + START)
    with ThreadPoolExecutor() as pool:
        runs = {
            "differ": pool.submit(train, folders["differ"], "--data-dir", data_dir, program="differ.py"),
            "late": pool.submit(train, folders["late"], "--lr", "fast", program="late.py"),
            "nowhere": pool.submit(train, folders["nowhere"], "--data-dir", "nowhere", "--no-download"),
        }
        return {name: (folders[name], run.result()) for name, run in runs.items()}


def test_ranks_that_would_train_different_runs_are_refused(refused: dict[str, tuple[Path, Completed]]) -> None:
    folder, done = refused["differ"]
    assert done.returncode != 0
    assert "error: the processes of this run differ in data, configuration, precision or" in done.stderr
    assert not (folder / "ckpt.pt").exists()


def test_what_is_wrong_in_all_ranks_is_told_once(refused: dict[str, tuple[Path, Completed]]) -> None:
    _, done = refused["late"]
    assert done.returncode != 0
    assert done.stderr.count("error: --lr = fast") == 1


def test_what_is_wrong_in_the_first_rank_is_a_line_in_each(refused: dict[str, tuple[Path, Completed]]) -> None:
    _, done = refused["nowhere"]
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error: nowhere/MNIST/raw lacks ")]
    assert "mnistcli/ranks.py" not in done.stderr  # no traceback of ours


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_shares_are_the_batch(size: int, count: int) -> None:
    batch = slice(10, 10 + count)
    shares = [Ranks(torch.device("cpu"), rank, size).share(batch) for rank in range(size)]
    positions = [range(part.start, part.stop) for part, _ in shares]
    taken = [place for part, (_, counted) in zip(positions, shares, strict=True) for place in part[:counted]]
    assert sorted(taken) == list(range(10, 10 + count))
    assert all(positions)  # nobody stands idle
