"""What tests share: a small MNIST, a mirror of it, the real one where it can be had, drawings, and the command line."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner, Result

from mirror import Mirror
from mnistcli import download
from mnistcli.cli import app
from mnistcli.config import Invert, TrainConfig
from mnistcli.download import MNIST_FILES, RawFile, missing_files, unsound_files
from mnistcli.glyphs import place
from mnistcli.idx import idx_bytes, raw_folder, raw_names
from mnistcli.images import Glyph, Picture, read_picture
from mnistcli.layout import find_digits
from mnistcli.single import find_digit
from mnistcli.sources import Source, find_sources

if TYPE_CHECKING:
    from mnistcli.checkpoint import Checkpoint
    from mnistcli.data import Normalization, Samples
    from mnistcli.model import Classifier
    from mnistcli.rejection import Rejector

# Tests compare bits, which differ from device to device; those that need CUDA run where TEST_CUDA is set.
if "TEST_CUDA" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

REAL_DATA_DIR = os.environ.get("MNISTCLI_DATA_DIR")
TRAIN_SIZE, TEST_SIZE = 600, 200

# Options of `train` with which the synthetic digits are learned whatever the seed and the rounding; momentum and a high
# rate do it sooner, but from one seed of three not at all.
LEARNS_SYNTHETIC_DIGITS = ("--epochs", 12, "--optimizer", "adamw", "--lr", 0.003, "--batch-size", 32)

SHEET_DIGIT_PX = 100
BLACK, PAPER = 20, 220  # grey levels of a drawn sheet

MakeConfig = Callable[..., TrainConfig]
RunCli = Callable[..., Result]
RunProcess = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _hear_interrupts() -> None:
    """Let what the tests start be stopped by Ctrl-C, which a shell has its background jobs ignore."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Keep the caller's settings out of the tests, and help texts wide and plain."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MNISTCLI_")]:
            patch.delenv(name)
        for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("COLUMNS", "200")
        patch.setenv("TERM", "xterm-256color")  # a dumb one gets lines, and whoever runs the tests may have one
        yield


def draw_digits(labels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Draw one digit an image, (N, 28, 28) uint8, light on dark, 20 pixels high; off the centre, each by its draw."""
    rng = np.random.default_rng(seed)
    font = ImageFont.load_default(size=60)
    images = []
    for label in labels:
        big = Image.new("L", (80, 80))
        ImageDraw.Draw(big).text((20, 10), str(label), fill=255, font=font, anchor="lt")
        ink = big.crop(big.getbbox()).resize((int(rng.integers(9, 15)), 20), Image.Resampling.BOX)
        image = Image.new("L", (28, 28))
        image.paste(ink, tuple(rng.integers((6, 3), (9, 6)).tolist()))
        images.append(np.asarray(image))
    return np.stack(images)


def draw_digit(digit: int, seed: int) -> Image.Image:
    """Draw such a digit as a picture."""
    return Image.fromarray(draw_digits(np.array([digit], np.uint8), seed)[0])


def draw_sample(digit: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a digit as the data set has it: (28, 28) uint8, light on dark, 20 pixels high, centred by its mass."""
    small = draw_digit(digit, seed)
    return place(np.asarray(small.crop(small.getbbox()), np.float32))


def draw_ink(digit: int, height: int = 120) -> NDArray[np.uint8]:
    """Draw a digit's ink alone, light on dark: (height, five eighths of it)."""
    small = draw_digit(digit, seed=digit)
    return np.asarray(small.crop(small.getbbox()).resize((height * 5 // 8, height), Image.Resampling.BICUBIC))


def draw_big(digit: int = 3, size: tuple[int, int] = (280, 200)) -> NDArray[np.uint8]:
    """Draw a digit light on dark, stretched and off the centre, in a picture of (height, width)."""
    small = draw_digit(digit, seed=0)
    picture = Image.new("L", (size[1], size[0]))
    picture.paste(small.resize((size[1] // 2, size[0] // 2), Image.Resampling.BICUBIC), (5, 9))
    return np.array(picture)


def make_samples(count: int, seed: int = 0) -> "Samples":
    """Make images of noise, with labels that say nothing of them."""
    import torch  # takes seconds, and most tests of pictures need none

    from mnistcli.data import Samples

    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)
    return Samples(images, torch.randint(10, (count,), generator=generator))


def rejector_for(
    model: "Classifier", val: "Samples", normalization: "Normalization", config: TrainConfig
) -> "Rejector":
    """Fit what tells digits from shapes, as one process does after an epoch."""
    import torch

    from mnistcli.rejection import fit_rejector, make_examples
    from mnistcli.scoring import ask

    features = [
        [ask(model, images, normalization).features for images in examples] for examples in make_examples(val, config)
    ]
    of_digits, of_shapes = map(torch.cat, zip(*features, strict=True))
    return fit_rejector(of_digits, of_shapes)


def find_glyph(picture: Picture, invert: Invert = "auto") -> tuple[Glyph | None, bool]:
    """Find a picture's digit, all that is connected taken for one, and tell whether it seems to hold several."""
    found = find_digit(picture, invert)
    return next((run.whole for row in found.rows for run in row), None), found.are_several


def find_glyphs(picture: Picture, invert: Invert = "auto") -> list[list[Glyph]]:
    """Find a picture's digits, all that is connected taken for one."""
    return [[run.whole for run in row] for row in find_digits(picture, invert).rows]


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlate two images."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def assert_found_at(left: int, top: int, pixels: np.ndarray, page: np.ndarray, least: float = 0.9) -> None:
    """Make sure that in a picture, (H, W), the digit is found that is on a page, whose corner lies at left and top."""
    glyph, _ = find_glyph(as_picture(pixels))
    alone, _ = find_glyph(as_picture(page))
    assert glyph is not None
    assert alone is not None
    assert likeness(glyph.image, alone.image) > least
    x, y, *size = alone.box
    assert glyph.box == pytest.approx((x + left, y + top, *size), abs=4)


def sheet(*digits: int) -> np.ndarray:
    """Draw digits side by side, black on a sheet of light paper: (160, 120 a digit) uint8."""
    inks = [draw_digit(digit, seed=digit) for digit in digits]
    page = np.full((160, 120 * len(digits)), PAPER, np.uint8)
    for number, ink in enumerate(inks):
        big = np.asarray(ink.resize((SHEET_DIGIT_PX, SHEET_DIGIT_PX), Image.Resampling.BICUBIC))
        page[30 : 30 + SHEET_DIGIT_PX, 120 * number + 10 : 120 * number + 10 + SHEET_DIGIT_PX][big > 127] = BLACK
    return page


def around(page: np.ndarray, level: int, wide: int = 80) -> np.ndarray:
    """Put a page on something of one grey level."""
    return np.pad(page, wide, constant_values=level)


def as_picture(pixels: np.ndarray) -> Picture:
    """Take grey pixels, (H, W), for a picture."""
    return Picture(pixels[..., None], pixels.shape[::-1], "a picture")


def save(picture: np.ndarray | Image.Image, kind: str = "PNG") -> io.BytesIO:
    """Save a picture as a file in memory."""
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind)
    file.seek(0)
    return file


def see(picture: np.ndarray | Image.Image, invert: Invert = "auto", kind: str = "PNG") -> NDArray[np.uint8]:
    """Give what the network would see of a picture: (28, 28)."""
    glyph, _ = find_glyph(read_picture(save(picture, kind), "a picture"), invert)
    assert isinstance(glyph, Glyph)
    assert glyph.image.shape == (28, 28)
    assert glyph.image.dtype == np.uint8
    return glyph.image


def write_split(folder: Path, prefix: str, count: int, seed: int) -> None:
    """Write one split as IDX files."""
    labels = np.random.default_rng(seed).integers(0, 10, count, dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(raw_names(prefix), (draw_digits(labels, seed), labels), strict=True):
        (folder / name).write_bytes(idx_bytes(array))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a data folder with 600 training and 200 test digits of our own drawing."""
    root = tmp_path_factory.mktemp("synthetic")
    write_split(raw_folder(root), "train", TRAIN_SIZE, seed=1)
    write_split(raw_folder(root), "t10k", TEST_SIZE, seed=2)
    return root


@pytest.fixture
def make_config(tmp_path: Path, data_dir: Path) -> MakeConfig:
    """Configure a small run on the synthetic set."""

    def make(**keys: object) -> TrainConfig:
        defaults = {"data_dir": data_dir, "output": tmp_path / "ckpt.pt", "lr": 0.1}
        return TrainConfig.model_validate(defaults | keys)

    return make


def make_checkpoint(run_id: str = "run") -> "Checkpoint":
    """Take down a run that has not begun."""
    from mnistcli.checkpoint import Checkpoint
    from mnistcli.data import Normalization
    from mnistcli.loop import start
    from mnistcli.model import LeNet

    config = TrainConfig(lr=0.1, momentum=0.9, schedule="onecycle")
    return Checkpoint.of(run_id, start(config, LeNet(), 64), Normalization(), config, train_checksum=0)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Save such a checkpoint."""
    from mnistcli.saving import save

    path = tmp_path / "ckpt.pt"
    save(make_checkpoint(), path)
    return path


@pytest.fixture
def contents(data_dir: Path) -> dict[str, bytes]:
    """Give the four synthetic files."""
    return {file.name: (raw_folder(data_dir) / file.name).read_bytes() for file in MNIST_FILES}


@pytest.fixture
def files(contents: dict[str, bytes]) -> list[RawFile]:
    """Describe the four synthetic files as the official ones are described."""
    return [RawFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()]


@pytest.fixture
def mirror(contents: dict[str, bytes]) -> Iterator[Mirror]:
    """Serve the four synthetic files."""
    with Mirror(contents) as mirror:
        yield mirror


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a failed request be tried again at once."""
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="session")
def real_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a data folder with the real files, from MNISTCLI_DATA_DIR, ./data or any source that answers."""
    for candidate in (REAL_DATA_DIR, "data"):
        if candidate and not missing_files(raw_folder(Path(candidate))):
            return Path(candidate).resolve()
    root = tmp_path_factory.mktemp("mnist")
    command = [sys.executable, "-m", "mnistcli", "download", "--data-dir", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no source gives the real MNIST: {done.stderr.strip()}")
    assert not missing_files(raw_folder(root), MNIST_FILES)
    return root


def run_cli(*arguments: object) -> Result:
    """Run a command in this process; bugs raise."""
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, words, prog_name="mnistcli", catch_exceptions=False)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunCli:
    """Run commands in this process, in an empty folder; bugs raise."""
    monkeypatch.chdir(tmp_path)
    return run_cli


def _processes(folder: Path, *start: str) -> RunProcess:
    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [*start, sys.executable, "-W", "error", "-m", "mnistcli", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def process(tmp_path: Path) -> RunProcess:
    """Run a command as a program of its own, without a terminal, in an empty folder."""
    return _processes(tmp_path)


@pytest.fixture
def ordinary_process(tmp_path: Path) -> RunProcess:
    """Run it as one that has to heed permissions, also where root, who is above them, runs the tests."""
    heed = ("setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search")
    return _processes(tmp_path, *(heed if os.geteuid() == 0 else ()))


@contextmanager
def no_room_for_files() -> Iterator[None]:
    """Let every file of more than a kilobyte fail to be written, as on a full disk."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def make_loop(folder: Path) -> Path:
    """Make two symbolic links that lead to each other, and give one."""
    one, other = folder / "loop", folder / "back"
    one.symlink_to(other)
    other.symlink_to(one)
    return one


def plain(text: str) -> str:
    """Strip ANSI control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def documents(result: Result) -> list[dict[str, Any]]:
    """Parse JSON Lines; every object carries the schema."""
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(document["schema"] == 1 for document in objects)
    return objects


def assert_fails(result: Result | subprocess.CompletedProcess[str], exit_code: int, *parts: str) -> None:
    """Hold a failure to its exit code and to one line that says these parts."""
    code = result.exit_code if isinstance(result, Result) else result.returncode
    assert (code, result.stdout) == (exit_code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def at(*places: str | Path, timeout_seconds: float = 5.0) -> list[Source]:
    """Give the sources at these places alone, without the public ones."""
    return list(islice(find_sources(places, timeout_seconds), len(places)))


def assert_complete(folder: Path, files: list[RawFile]) -> None:
    assert unsound_files(folder, files) == []
    assert {path.name for path in folder.iterdir()} == {file.name for file in files}
