"""The file format: self-describing, strict, safe to load, never half written."""

import os
import pickle
import runpy
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import make_loop, no_room_for_files
from mnistcli import checkpoint as checkpoint_module
from mnistcli.bundled import BUNDLED_PATH, checkpoint_name, find_checkpoint
from mnistcli.checkpoint import Checkpoint, load
from mnistcli.config import ModelName, TrainConfig, Weights, read_config
from mnistcli.data import Normalization
from mnistcli.errors import CheckpointError, MnistCliError
from mnistcli.loop import EpochDone, start
from mnistcli.model import MODELS, LeNet, build_model
from mnistcli.rejection import Rejector
from mnistcli.saving import save

REMOVED = object()
BEST: dict[str, Any] = {"epoch": 1, "val_accuracy": 0.5, "weights": {}}
EPOCH = asdict(EpochDone(epoch=1, epochs=1, loss=0.5, accuracy=0.5, seconds=1.0, images_per_second=1.0))


def edited(path: Path, **changes: Any) -> Path:
    """Change or remove parts of a saved checkpoint."""
    content = torch.load(path, weights_only=True) | changes
    torch.save({name: part for name, part in content.items() if part is not REMOVED}, path)
    return path


def test_what_is_saved_is_loaded(saved: Path) -> None:
    loaded = load(saved)
    assert loaded.run_id == "run"
    assert loaded.model == {"name": "lenet", "arguments": {}}
    assert loaded.train_config() == TrainConfig(lr=0.1, momentum=0.9, schedule="onecycle")
    assert loaded.pixel_normalization() == Normalization(0.1307, 0.3081)
    assert set(loaded.versions) == {"mnistcli", "torch", "python"}


def test_a_rebuilt_network_gives_the_same_logits(tmp_path: Path) -> None:
    net, images = LeNet().eval(), torch.randn(5, 1, 28, 28)
    config = TrainConfig()
    save(Checkpoint.of("run", start(config, net, 64), Normalization(), config, train_checksum=0), tmp_path / "a.pt")
    assert torch.equal(load(tmp_path / "a.pt").build_model().eval()(images), net(images))


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps({"a": 1})])
def test_junk_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ckpt.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path} is not a checkpoint, or a damaged one"):
        load(path)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.7, 0.99])  # of 0.1, torch looks before the start
def test_a_part_of_a_checkpoint_is_named(saved: Path, share: float) -> None:
    os.truncate(saved, int(share * saved.stat().st_size))
    with pytest.raises(CheckpointError, match=f"{saved} is not a checkpoint, or a damaged one"):
        load(saved)


def test_a_cut_file_is_named(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load(saved)


def test_weights_that_were_damaged_are_told_by_their_checksums(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(255 - byte for byte in content[middle : middle + 200])
    saved.write_bytes(content)
    torch.load(saved, weights_only=True)  # does not notice
    with pytest.raises(CheckpointError, match="damaged: its checksums are wrong"):
        load(saved)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit a program's memory")
def test_a_file_for_which_there_is_no_memory_is_not_called_damaged(saved: Path) -> None:
    edited(saved, weights={"fc1.weight": torch.zeros(16, 1024, 1024)})  # 64 MB, in a piece
    with no_room_in_memory(), pytest.raises(CheckpointError, match=f"^cannot read {saved}: .* too little memory"):
        load(saved)
    load(saved)


@contextmanager
def no_room_in_memory() -> Iterator[None]:
    """Let this process have hardly more memory than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**20, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_network_for_which_there_is_no_memory_is_not_called_damaged(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "lenet", lambda: torch.empty(1 << 50))
    with pytest.raises(CheckpointError, match=f"^{saved} cannot be used: there is too little memory for it$"):
        load(saved).build_model()


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*; make one with: mnistcli train"):
        load(tmp_path / "ckpt.pt")


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"cannot read {tmp_path}: Is a directory"):
        load(tmp_path)


def test_code_in_the_file_is_not_executed(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"format": Harm()}, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError):
        load(tmp_path / "ckpt.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": REMOVED}, "was not written by mnistcli"),
        ({"format": torch.tensor([1, 2])}, "was not written by mnistcli"),
        ({"format_version": 99}, "has checkpoint format 99"),
        ({"format_version": 1}, "has checkpoint format 1"),
        ({"format_version": REMOVED}, "missing, unknown or wrong parts: format_version"),
        ({"format_version": torch.tensor([2, 2])}, "missing, unknown or wrong parts: format_version"),
        ({"weights": REMOVED}, "missing, unknown or wrong parts: weights"),
        ({"extra": 1, "epoch": "one"}, "missing, unknown or wrong parts: epoch, extra"),
        ({"model": {"name": "lenet"}}, "wrong parts: model"),
        ({"normalization": {"mean": 0.1}}, "wrong parts: normalization"),
        ({"normalization": {"mean": 0.1, "std": 0.0}}, "wrong parts: normalization"),
        ({"normalization": {"mean": float("nan"), "std": 1.0}}, "wrong parts: normalization"),
        ({"best": {"val_accuracy": 0.5, "weights": {}}}, "wrong parts: best"),
        ({"best": {**BEST, "temperature": 0.0}}, "wrong parts: best"),
        ({"rejector": {"weights": [0.0, float("inf")], "bias": 0.0}}, "wrong parts: rejector"),
        ({"best": {**BEST, "rejector": {"weights": ["one"], "bias": 0.0}}}, "wrong parts: best"),
        ({"partial": {"step": "one"}}, "wrong parts: partial"),
        ({"history": [EPOCH | {"loss": float("nan")}]}, "wrong parts: history"),
        ({"history": [EPOCH | {"val_accuracy": "high"}]}, "wrong parts: history"),
    ],
)
def test_parts_that_are_not_as_they_should_be(saved: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        load(edited(saved, **changes))


def test_weights_that_do_not_fit_are_refused(saved: Path) -> None:
    loaded = load(edited(saved, weights={**build_model("lenet").state_dict(), "conv1.weight": torch.zeros(1)}))
    told = f"{saved} cannot be used: its weights do not fit its network: size mismatch for conv1.weight"
    with pytest.raises(CheckpointError, match=told) as caught:
        loaded.build_model()
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"Missing key\(s\).* \.\.\.$"):
        load(edited(saved, weights={}, model={"name": "allconv", "arguments": {}})).build_model()


def test_an_unknown_network_is_named(saved: Path) -> None:
    loaded = load(edited(saved, model={"name": "resnet", "arguments": {}}))
    with pytest.raises(CheckpointError, match=f"^{saved} cannot be used: no network is called 'resnet'; known: "):
        loaded.build_model()


def test_a_run_is_not_continued_with_best_weights_that_do_not_fit(saved: Path) -> None:
    loaded = load(edited(saved, best={**BEST, "weights": {"conv1.weight": torch.zeros(1)}}))
    with pytest.raises(CheckpointError, match=r"its run cannot be continued: .*Missing key"):
        loaded.restore(start(TrainConfig(momentum=0.9), LeNet(), 64), train_checksum=0)


@pytest.mark.parametrize("misfitting", ["last", "best"])
def test_a_rejector_that_does_not_fit_is_refused(saved: Path, misfitting: Weights) -> None:
    fitting, misfit = ({"weights": [0.5] * count, "bias": 0.0} for count in (84, 83))  # LeNet has 84 features
    last, best = (misfit, fitting) if misfitting == "last" else (fitting, misfit)
    weights = build_model("lenet").state_dict()
    loaded = load(edited(saved, rejector=last, best={**BEST, "weights": weights, "rejector": best}))
    other: Weights = "best" if misfitting == "last" else "last"
    loaded.build_model(other)
    assert loaded.calibration(other).rejector == Rejector((0.5,) * 84, 0.0)
    with pytest.raises(CheckpointError, match=f"{saved} cannot be used: its rejector is of 83 features, .* has 84"):
        loaded.build_model(misfitting)


def test_the_best_epochs_weights_are_its_own(saved: Path) -> None:
    weights = build_model("lenet").state_dict()
    loaded = load(edited(saved, best={**BEST, "weights": weights}))
    assert torch.equal(loaded.build_model("best").state_dict()["fc3.bias"], weights["fc3.bias"])
    assert torch.equal(loaded.build_model("last").state_dict()["fc3.bias"], loaded.weights["fc3.bias"])
    assert not torch.equal(weights["fc3.bias"], loaded.weights["fc3.bias"])


@pytest.mark.parametrize(("model", "tensor"), [("lenet", "fc3.bias"), ("strided", "layers.1.running_var")])
def test_weights_have_to_be_finite(saved: Path, model: ModelName, tensor: str) -> None:
    weights = build_model(model).state_dict()
    weights[tensor][0] = torch.nan
    loaded = load(edited(saved, weights=weights, model={"name": model, "arguments": {}}))
    with pytest.raises(CheckpointError, match="not finite"):
        loaded.build_model()


@pytest.mark.parametrize("part", ["weights", "average", "optimizer"])
def test_a_run_is_not_continued_from_numbers_that_are_not_finite(tmp_path: Path, part: str) -> None:
    config = TrainConfig(ema_decay=0.9, momentum=0.9)
    save(Checkpoint.of("run", start(config, LeNet(), 64), Normalization(), config, 0), tmp_path / "ckpt.pt")
    weights = torch.load(tmp_path / "ckpt.pt", weights_only=True)[part]
    last = weights["fc3.bias"] if part != "optimizer" else next(iter(weights.values()))[-1]
    last[0] = torch.nan
    loaded = load(edited(tmp_path / "ckpt.pt", **{part: weights}))
    with pytest.raises(CheckpointError, match="not finite"):
        loaded.restore(start(config, LeNet(), 64), train_checksum=0)


def test_a_configuration_of_another_version_is_told_in_a_line(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=f"{saved} cannot be used: its configuration .*: epochs, extra$"):
        load(edited(saved, config={"extra": 1, "epochs": 0})).train_config()


def test_best_weights_have_to_be_there(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no best epoch; train with `val_size`"):
        load(saved).build_model("best")
    config = TrainConfig(val_size=10).model_dump(mode="json")
    with pytest.raises(CheckpointError, match=r"no best epoch; none is finished yet$"):
        load(edited(saved, config=config)).build_model("best")
    with pytest.raises(CheckpointError, match=r"no best epoch; it was saved for use, with its last weights alone$"):
        load(saved).for_use().build_model("best")


def test_the_file_holds_tensors_and_plain_values_only(saved: Path) -> None:
    def check(value: object) -> None:
        if isinstance(value, dict):
            assert all(isinstance(key, (str, int)) for key in value)
            for part in value.values():
                check(part)
        elif isinstance(value, list):
            for part in value:
                check(part)
        else:
            assert isinstance(value, (torch.Tensor, str, int, float, bool, type(None))), value

    check(torch.load(saved, weights_only=True))
    assert checkpoint_module.FORMAT_VERSION == 2


def test_a_checkpoint_for_use_is_small_and_answers_alike(tmp_path: Path) -> None:
    config = TrainConfig(optimizer="adamw", ema_decay=0.9, output=tmp_path / "secret" / "ckpt.pt")
    state = start(config, LeNet(), 64)
    assert state.average is not None
    next(state.average.parameters()).data += 1
    whole = Checkpoint.of("run", state, Normalization(), config, train_checksum=0)
    save(whole, tmp_path / "whole.pt")
    save(whole.for_use(), tmp_path / "small.pt")
    small, images = load(tmp_path / "small.pt"), torch.randn(5, 1, 28, 28)
    assert torch.equal(small.build_model()(images), whole.build_model()(images))
    assert (tmp_path / "small.pt").stat().st_size < (tmp_path / "whole.pt").stat().st_size / 3
    assert b"secret" not in (tmp_path / "small.pt").read_bytes()
    assert small.train_config().ema_decay == 0.9
    with pytest.raises(CheckpointError, match="their training cannot be continued"):
        small.restore(start(config, LeNet(), 64), train_checksum=0)


def test_the_bundled_checkpoint_is_small_and_for_use() -> None:
    assert BUNDLED_PATH.stat().st_size <= 2_000_000
    assert list(BUNDLED_PATH.parent.iterdir()) == [BUNDLED_PATH]
    bundled = load(find_checkpoint("bundled"))
    assert bundled.optimizer is None
    assert not bundled.config.keys() & {"output", "data_dir"}
    bundled.build_model()
    trained = bundled.train_config().model_dump()
    recipe = {**read_config("robust"), "precision": "bf16"}  # which `auto` is on the processor that they come from
    assert {key: trained[key] for key in recipe} == recipe


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_new_weights_take_the_place_of_the_bundled_ones_only_once_they_are_written(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, bundled = str(Path(__file__).parent / "benchmarks" / "bundle.py"), tmp_path / "weights" / "bundled.pt"
    bundled.parent.mkdir()
    shutil.copy(BUNDLED_PATH, bundled)
    monkeypatch.setattr("mnistcli.bundled.BUNDLED_PATH", bundled)
    monkeypatch.setattr(sys, "argv", [script, str(saved)])
    with no_room_for_files(), pytest.raises(MnistCliError, match="cannot write"):
        runpy.run_path(script, run_name="__main__")
    assert bundled.read_bytes() == BUNDLED_PATH.read_bytes()
    runpy.run_path(script, run_name="__main__")
    assert list(bundled.parent.iterdir()) == [bundled]
    assert load(bundled).run_id == load(saved).run_id


def test_which_checkpoint_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(None) == BUNDLED_PATH
    Path("ckpt.pt").touch()
    assert find_checkpoint(None) == Path("ckpt.pt")
    assert find_checkpoint("other.pt") == Path("other.pt")
    assert [checkpoint_name(path) for path in (BUNDLED_PATH, Path("a.pt"))] == ["bundled", "a.pt"]
    assert find_checkpoint("bundled") == BUNDLED_PATH
    assert find_checkpoint("./bundled") == find_checkpoint(Path("bundled")) == Path("bundled")
    assert find_checkpoint(checkpoint_name(Path("bundled"))) == Path("bundled")
    with pytest.raises(CheckpointError, match=r"^no checkpoint at ./bundled; .* --output bundled.pt$"):
        load(Path("bundled"))


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_link_of_the_usual_name_is_meant_wherever_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ckpt.pt").symlink_to(make_loop(tmp_path))
    with pytest.raises(CheckpointError, match=r"cannot read ckpt\.pt: Too many levels of symbolic links"):
        load(find_checkpoint(None))
