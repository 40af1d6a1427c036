"""The Python API: what is trained, scored and read through it, and the arguments that it refuses."""

import re
import signal
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from pydantic import ValidationError

import mnistcli
from conftest import MakeConfig, draw_digit, draw_digits
from mnistcli.checkpoint import load
from mnistcli.config import TrainConfig
from mnistcli.errors import ConfigError
from mnistcli.finding import PICTURES_AT_ONCE
from mnistcli.ranks import Ranks, joined
from mnistcli.run import TrainEvent
from mnistcli.saving import save


def test_the_synthetic_digits_are_learned(make_config: MakeConfig, data_dir: Path, tmp_path: Path) -> None:
    result = mnistcli.train(make_config(epochs=12, optimizer="adamw", lr=0.003, batch_size=32, val_size=100))
    scores = mnistcli.evaluate(result.checkpoint, data_dir=data_dir)
    assert scores.accuracy > 0.9
    assert scores.total == scores.confusion.sum() == 200
    assert mnistcli.evaluate(result.checkpoint, data_dir=data_dir, weights="best").accuracy > 0.9

    digits = np.array([3, 1, 4], np.uint8)
    paths = [tmp_path / f"{digit}.png" for digit in digits]
    for path, image in zip(paths, draw_digits(digits, seed=9), strict=True):
        Image.fromarray(image).save(path)
    answers = list(mnistcli.predict([*paths, tmp_path / "none.png"], checkpoint=result.checkpoint))
    assert [answer.path for answer in answers] == [*map(str, paths), str(tmp_path / "none.png")]
    assert [answer.digit for answer in answers[:3]] == [3, 1, 4]
    assert sum(answers[0].probabilities) == pytest.approx(1)
    assert answers[0].confidence == max(answers[0].probabilities)
    assert answers[0].top(10)[0] == (3, answers[0].confidence)
    assert (answers[3].status, answers[3].digit, answers[3].confidence) == ("error", None, None)


def test_a_checkpoints_own_normalisation_is_used(make_config: MakeConfig, data_dir: Path, tmp_path: Path) -> None:
    path = mnistcli.train(make_config()).checkpoint
    picture = tmp_path / "five.png"
    draw_digit(5, seed=0).save(picture)
    loss = mnistcli.evaluate(path, data_dir=data_dir).loss
    (answer,) = mnistcli.predict([picture], checkpoint=path)
    content = torch.load(path, weights_only=True)
    content["normalization"] = {"mean": 0.5, "std": 2.0}
    torch.save(content, path)
    assert mnistcli.evaluate(path, data_dir=data_dir).loss != loss
    assert next(mnistcli.predict([picture], checkpoint=path)).probabilities != answer.probabilities


def test_whoever_wants_no_more_readings_waits_for_none_and_gets_all_as_it_was(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    for path, size in ((small, 28), (large, 900)):
        ImageOps.invert(draw_digit(7, seed=0)).resize((size, size)).save(path)
    threads = cv2.getNumThreads()
    answers = mnistcli.predict([small] * PICTURES_AT_ONCE + [large] * PICTURES_AT_ONCE, checkpoint="bundled")
    assert next(answers).path == str(small)
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    finders = [thread for thread in threading.enumerate() if thread.name.startswith("finder")]
    for finder in finders:
        finder.join(timeout=2)  # the picture that it is at; those in line would take longer
    assert not any(finder.is_alive() for finder in finders)
    assert cv2.getNumThreads() == threads


@pytest.mark.parametrize(
    "arguments", [{"split": "val"}, {"weights": "bst"}, {"device": "gpu"}, {"batch_size": 0}], ids=str
)
def test_evaluate_takes_no_argument_that_it_does_not_know(data_dir: Path, arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(ConfigError, match=f"`{name}` is .*; it must be"):
        mnistcli.evaluate("bundled", data_dir=data_dir, **arguments)


@pytest.mark.parametrize("read", [mnistcli.predict, mnistcli.predict_multi])
@pytest.mark.parametrize(
    "arguments",
    [
        {"invert": True},
        {"min_confidence": 70},
        {"min_confidence": "high"},
        {"processes": -1},
        {"processes": 1001},
        {"weights": "bst"},
        {"device": "gpu"},
    ],
    ids=str,
)
def test_predict_takes_no_argument_that_it_does_not_know(read: Any, arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(ConfigError, match=f"`{name}` is .*; it must be"):
        read([], checkpoint="bundled", **arguments)


def test_all_events_of_a_run_are_public() -> None:
    assert {event.__name__ for event in get_args(TrainEvent)} <= set(mnistcli.__all__)


def test_the_public_names_are_listed() -> None:
    assert set(mnistcli.__all__) <= set(dir(mnistcli))


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_a_missing_device_is_named(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="`device` cuda"):
        mnistcli.train(make_config(device="cuda"))


def test_processes_join_by_the_device_of_the_run_that_is_continued(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mnistcli.train(make_config(device="cpu")).checkpoint
    devices: list[torch.device] = []

    def note(device: torch.device) -> AbstractContextManager[Ranks]:
        devices.append(device)
        return joined(device)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # what a run whose device is not told would take
    monkeypatch.setattr("mnistcli.api.joined", note)
    mnistcli.train(TrainConfig(epochs=2), resume=path)
    assert devices == [torch.device("cpu")]


@pytest.mark.parametrize("config", ["fast", {"epochs": 1}])
def test_what_is_no_configuration_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError, match=r"`config` is .*; it must be a TrainConfig"):
        mnistcli.train(config)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA and TEST_CUDA")
def test_a_checkpoint_moves_between_devices(make_config: MakeConfig, data_dir: Path) -> None:
    on_gpu = mnistcli.train(make_config(device="cuda")).checkpoint
    cpu, gpu = (mnistcli.evaluate(on_gpu, data_dir=data_dir, device=device) for device in ("cpu", "cuda"))
    assert cpu.loss == pytest.approx(gpu.loss, rel=1e-3)
    mnistcli.train(TrainConfig(epochs=2, device="cpu"), resume=on_gpu)


def test_every_public_name_is_there() -> None:
    for name in mnistcli.__all__:
        assert getattr(mnistcli, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mnistcli.nothing  # type: ignore[attr-defined]  # a type checker notices, too


def test_each_public_name_has_a_home() -> None:
    assert {*mnistcli._HOMES, "MnistCliError", "__version__"} == set(mnistcli.__all__)


def test_ctrl_c_saves_a_run_that_can_be_continued(make_config: MakeConfig) -> None:
    config = make_config(epochs=1_000)

    def interrupt() -> None:
        until = time.monotonic() + 60
        while not config.output.exists() and time.monotonic() < until:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    waiting = threading.Thread(target=interrupt, daemon=True)
    waiting.start()
    told = re.escape(f"the run is saved as {config.output}; `resume` continues it")
    with pytest.raises(KeyboardInterrupt, match=told):
        mnistcli.train(config)
    waiting.join()
    saved = load(config.output)
    assert 1 <= saved.epoch < 1_000
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert next(mnistcli.train_events(resume=saved.path)).epoch == saved.epoch  # type: ignore[union-attr]


@pytest.fixture
def _interrupted_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come whenever a checkpoint is about to be saved."""

    def interrupted(*arguments: Any) -> Path | None:
        signal.raise_signal(signal.SIGINT)
        return save(*arguments)

    monkeypatch.setattr("mnistcli.run.save", interrupted)


@pytest.mark.usefixtures("_interrupted_saves")
def test_ctrl_c_in_the_last_save_is_not_lost(make_config: MakeConfig) -> None:
    config = make_config()
    told = re.escape(f"the run is saved as {config.output}; it is finished")
    with pytest.raises(KeyboardInterrupt, match=told):
        mnistcli.train(config)
    assert load(config.output).epoch == 1


@pytest.mark.usefixtures("_interrupted_saves")
def test_a_programs_own_handler_hears_ctrl_c(make_config: MakeConfig) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        assert len(mnistcli.train(make_config(epochs=2)).history) == 2
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT] * 2


def test_a_run_in_another_thread_leaves_signals_alone(make_config: MakeConfig) -> None:
    results: list[mnistcli.TrainResult] = []
    training = threading.Thread(target=lambda: results.append(mnistcli.train(make_config())))
    training.start()
    training.join()
    assert len(results[0].history) == 1


def test_a_recipe_is_taken_by_its_name_or_file_and_changed(tmp_path: Path) -> None:
    assert TrainConfig.from_recipe("lenet") == TrainConfig()
    (tmp_path / "mine.toml").write_text('model = "strided"\nepochs = 3\n', encoding="utf-8")
    assert TrainConfig.from_recipe(tmp_path / "mine.toml", epochs=4) == TrainConfig(model="strided", epochs=4)
    with pytest.raises(ConfigError, match=r"no config '/.*/fast'"):
        TrainConfig.from_recipe(Path("fast"))
    with pytest.raises(ConfigError, match=r"did you mean fast\?"):
        TrainConfig.from_recipe("fats")
    with pytest.raises(ValidationError, match="epocs"):
        TrainConfig.from_recipe("fast", epocs=3)


@pytest.mark.parametrize("wrong", [Image.new("L", (28, 28)), None, b"digit.png", 3])
def test_a_picture_that_is_no_path_is_refused(wrong: Any) -> None:
    for given in (wrong, [wrong]):
        with pytest.raises(ConfigError, match=f"by its path, and not as {type(wrong).__name__}"):
            list(mnistcli.predict(given))
