"""What the commands do, as functions: the same core modules put together, without printing."""

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mnistcli.config import EVAL_BATCH_SIZE, Device, Split, TrainConfig, Weights, check_choice, check_range
from mnistcli.data import load_split
from mnistcli.devices import pick_device, within_memory
from mnistcli.download import fetch, wanted_files
from mnistcli.idx import raw_folder
from mnistcli.interrupt import StopRequest
from mnistcli.loop import EpochDone
from mnistcli.network import Network, open_network
from mnistcli.ranks import joined
from mnistcli.run import Finished, Stopped, open_run, opened_run_events
from mnistcli.scoring import Evaluation, Follow, score
from mnistcli.sources import find_sources


class TrainResult(NamedTuple):
    """What `train` gives back."""

    checkpoint: Path
    history: Sequence[EpochDone]


def train(config: TrainConfig | None = None, *, resume: str | Path | None = None) -> TrainResult:
    """Train a network on MNIST's training images and save it; under torchrun, together with the other processes.

    Nothing is printed; `train_events` tells what happens, and stops when it is asked to. In the main thread, Ctrl-C
    stops the run between two steps, and saves it; a second one stops at once. Where a program has its own handler of
    SIGINT, that is left to it.

    Args:
        config: what to train and how; the classic tutorial's run if None.
        resume: a checkpoint whose run is continued up to `config.epochs`; keys that `config` does not set are the
            run's own.

    Returns:
        Where the checkpoint lies, and the figures of every epoch.

    Raises:
        ConfigError: keys of `config` do not go together, the device is missing, the held-out set too large, or `config`
            would make it another run.
        DataError: the training images are missing or damaged; `download_mnist` gets them.
        CheckpointError: `resume` cannot be read.
        DivergedError: the loss, a weight or a statistic is no longer finite; the last good epoch, if any, is still in
            the output or in `resume`.
        MnistCliError: the checkpoint cannot be written, or there is too little memory for so many images at a time.
        KeyboardInterrupt: Ctrl-C; once training has begun, the run is saved before, and `resume` continues it where it
            is not finished.
    """
    config, checkpoint = open_run(config or TrainConfig(), resume)  # a resumed run may name the device
    heard = [signal.SIGINT] if signal.getsignal(signal.SIGINT) is signal.default_int_handler else []
    with joined(pick_device(config.device)) as ranks, StopRequest(heard) as stop:
        for last in opened_run_events(config, checkpoint, stop, ranks):  # noqa: B007  # to keep no other
            pass
    assert isinstance(last, Finished | Stopped)
    if stop() or isinstance(last, Stopped):  # a stop that was asked for after the last step counts, too
        rest = "`resume` continues it" if isinstance(last, Stopped) else "it is finished"
        raise KeyboardInterrupt(f"the run is saved as {last.checkpoint}; {rest}")
    return TrainResult(last.checkpoint, last.history)


def evaluate(
    checkpoint: str | Path | None = None,
    *,
    split: Split = "test",
    data_dir: str | Path = "data",
    batch_size: int = EVAL_BATCH_SIZE,
    device: Device = "auto",
    weights: Weights = "last",
    tta: bool = False,
) -> Evaluation:
    """Score a checkpoint on a split of MNIST.

    Args:
        checkpoint: the network to score, a file or `bundled`; None is `ckpt.pt` where that exists, else `bundled`.
        split: which images to score it on.
        data_dir: the folder that holds MNIST/raw.
        batch_size: images at a time; it limits memory, and changes the loss by rounding only.
        device: where to compute.
        weights: `last`, those after the last step, averaged where the run keeps an average, or `best`, those of the
            best epoch.
        tta: whether to look at each image seven times: as it is, shifted to each side, and turned either way.

    Returns:
        The counts and the mean loss over all images of the split; no loss where the network answers no finite numbers.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds no best epoch where that is asked for.
        ConfigError: the device is missing, or an argument is none of its choices.
        DataError: the split's files are missing or damaged; `download_mnist` gets them.
        MnistCliError: there is too little memory for so many images at a time.
    """
    check_choice("split", split, Split)
    check_range("batch_size", batch_size, 1, math.inf)
    return score_network(open_network(checkpoint, weights, device), split, Path(data_dir), batch_size, tta=tta)


def score_network(
    network: Network, split: Split, data_dir: Path, batch_size: int, *, tta: bool, follow: Follow = iter
) -> Evaluation:
    """Score a network that is already open; the rest is as in `evaluate`, and `follow` as in `mnistcli.scoring.ask`."""
    samples = load_split(data_dir, split)
    with within_memory():
        return score(network.ask(samples.images, batch_size, tta=tta, follow=follow).logits, samples.labels)


def download_mnist(
    data_dir: str | Path = "data", *, places: str | Path | Sequence[str | Path] = (), force: bool = False
) -> Path:
    """Get the four MNIST files where they are missing, and verify them.

    Args:
        data_dir: the folder for them; torchvision's `root`.
        places: folders, archives, HTTP bases or URLs of archives to try before the public sources, or a single one.
        force: fetch them even if they are there already.

    Returns:
        The folder of the raw files.

    Raises:
        DataError: no source gave them, or the folder cannot be written.
    """
    folder = raw_folder(Path(data_dir))
    wanted = wanted_files(folder, force=force)
    if wanted:
        for _ in fetch(folder, wanted, find_sources([places] if isinstance(places, str | Path) else places)):
            pass
    return folder
