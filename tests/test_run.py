"""Whole runs: reproducible, resumable, with the promised events and backups, and nothing lost where they diverge."""

import io
import itertools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import mnistcli
from conftest import MakeConfig, make_loop, no_room_for_files, write_split
from mnistcli import run
from mnistcli.checkpoint import Checkpoint, load
from mnistcli.config import TrainConfig, choices, read_config
from mnistcli.data import Samples, hold_out
from mnistcli.errors import CheckpointError, ConfigError, DataError, DivergedError, MnistCliError
from mnistcli.idx import raw_folder
from mnistcli.loop import EpochDone
from mnistcli.progress import TrainingView
from mnistcli.run import BackedUp, Finished, Started, Stopped, TrainEvent, train_events


def assert_equal(one: object, other: object) -> None:
    """Hold nested values to be equal, tensors to the bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        for mine, theirs in zip(one, other, strict=True):
            assert_equal(mine, theirs)
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def assert_same_run(one: Checkpoint, other: Checkpoint) -> None:
    """Hold two checkpoints to bit-equal weights, optimizer state and history (but for the clock)."""
    for part in ("weights", "average", "optimizer", "generators", "best", "epoch", "temperature", "rejector"):
        assert_equal(getattr(one, part), getattr(other, part))
    assert one.partial["step"] == other.partial["step"]
    clocks = {"seconds", "images_per_second", "epochs"}
    mine, theirs = (
        [{key: figure for key, figure in done.items() if key not in clocks} for done in run.history]
        for run in (one, other)
    )
    assert mine == theirs


def test_the_same_seed_gives_the_same_bits(make_config: MakeConfig, tmp_path: Path) -> None:
    results = [mnistcli.train(make_config(output=tmp_path / name)) for name in ("a.pt", "b.pt")]
    assert_same_run(*(load(result.checkpoint) for result in results))
    other = mnistcli.train(make_config(output=tmp_path / "c.pt", seed=1))
    assert not torch.equal(load(other.checkpoint).weights["fc3.bias"], load(tmp_path / "a.pt").weights["fc3.bias"])


def test_training_leaves_the_callers_generator_alone(make_config: MakeConfig) -> None:
    before = torch.get_rng_state()
    mnistcli.train(make_config())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"momentum": 0.9, "val_size": 100},
        {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01},
        {"model": "strided", "ema_decay": 0.9, "val_size": 50},
        {"precision": "bf16", "label_smoothing": 0.1},
        {"shift_px": 2, "rotation_degrees": 10, "scale": 0.1, "shear": 0.1, "elastic_px": 1, "thickness": 0.5},
        {"styles": 0.5, "outliers": 0.3, "shift_px": 1},
        {"written": 0.3, "outliers": 0.3},
    ],
)
def test_two_epochs_are_one_and_a_resumed_one(make_config: MakeConfig, tmp_path: Path, keys: dict[str, object]) -> None:
    whole, split = tmp_path / "whole.pt", tmp_path / "split.pt"
    mnistcli.train(make_config(epochs=2, output=whole, **keys))
    mnistcli.train(make_config(epochs=1, output=split, **keys))
    result = mnistcli.train(TrainConfig(epochs=2), resume=split)
    assert result.checkpoint == split
    assert_same_run(load(whole), load(split))
    best, resumed_best = load(whole).best, load(split).best
    assert (best is None) == (resumed_best is None) == ("val_size" not in keys)


def asked_often(count: int) -> Callable[[], bool]:
    """Say yes from so many questions on."""
    asked = itertools.count(1)
    return lambda: next(asked) >= count


def stop_after_an_epoch(config: TrainConfig) -> TrainEvent:
    """Ask a run to stop as soon as an epoch is done, and give its last event."""
    events: list[TrainEvent] = []
    for event in train_events(config, should_stop=lambda: isinstance(events[-1], EpochDone)):
        events.append(event)  # each has to be there when the run asks
    return events[-1]


@pytest.mark.parametrize("schedule", choices("schedule"))
def test_a_run_stopped_at_any_step_continues_bit_for_bit(
    make_config: MakeConfig, tmp_path: Path, schedule: str
) -> None:
    keys = {
        "epochs": 3,
        "schedule": schedule,
        "momentum": 0.5,
        "val_size": 50,
    }  # 9 steps, one of validation, and one event an epoch
    whole = load(mnistcli.train(make_config(output=tmp_path / "whole.pt", **keys)).checkpoint)
    for stop_after in (1, 5, 9, 10, 11, 14, 21, 22):
        split = tmp_path / f"{stop_after}.pt"
        *_, last = train_events(make_config(output=split, **keys), should_stop=asked_often(stop_after))
        assert isinstance(last, Stopped)
        assert load(split).partial["step"] == last.step == min(stop_after % 11, 9)
        mnistcli.train(resume=split)
        assert_same_run(whole, load(split))


# Two threads wait for each other in each of many small loops: with other tests on all cores, `robust` takes a minute.
@pytest.mark.parametrize(("recipe", "threads"), [("fast", 2), ("best", 2), ("robust", 1)])
def test_shipped_recipes_continue_bit_for_bit(
    make_config: MakeConfig, tmp_path: Path, recipe: str, threads: int
) -> None:
    write_split(raw_folder(tmp_path), "train", 120, seed=1)
    # 5 steps, one of validation or two, and one event an epoch
    few = {"data_dir": tmp_path, "epochs": 3, "batch_size": 20, "val_size": 20, "threads": threads}
    keys = read_config(recipe) | few
    whole = load(mnistcli.train(make_config(**keys, output=tmp_path / "whole.pt")).checkpoint)
    for stop_after in (1, 5, 6, 7, 12):
        split = tmp_path / f"{stop_after}.pt"
        *_, last = train_events(make_config(**keys, output=split), should_stop=asked_often(stop_after))
        assert isinstance(last, Stopped)
        average = load(split).average
        if average is not None:  # its statistics are its own already, and not those of the untrained network
            assert average["layers.1.running_mean"].abs().min() > 0
        mnistcli.train(resume=split)
        assert_same_run(whole, load(split))


@pytest.mark.parametrize("has_instructions", [False, True])
@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_bfloat16_is_used_and_told_as_the_processor_has_it(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, precision: str, has_instructions: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_instructions}, raising=False)
    config = make_config(precision=precision)
    began, *_ = train_events(config)
    assert isinstance(began, Started)
    assert began.is_bf16 == (precision == "bf16" or has_instructions)
    assert (began.advice is not None) == (precision == "bf16" and not has_instructions)
    plain = mnistcli.train(make_config(precision="fp32", output=config.output.with_name("plain.pt"))).checkpoint
    assert torch.equal(load(plain).weights["fc3.bias"], load(config.output).weights["fc3.bias"]) != began.is_bf16


def test_patience_ends_a_run_that_gets_no_better(make_config: MakeConfig, tmp_path: Path) -> None:
    keys = {"lr": 1e-12, "epochs": 9, "patience": 2, "val_size": 100}  # nothing changes: the first epoch is the best
    *_, last = train_events(make_config(**keys))
    assert isinstance(last, Finished)
    assert (len(last.history), last.best_epoch, last.is_early) == (3, 1, True)
    again = list(train_events(TrainConfig(), resume=last.checkpoint))
    assert [type(event) for event in again] == [Started, Finished]

    split = tmp_path / "split.pt"
    list(train_events(make_config(**keys, output=split), should_stop=asked_often(12)))
    assert len(mnistcli.train(resume=split).history) == 3
    assert_same_run(load(last.checkpoint), load(split))
    everything = TrainConfig.model_validate({"patience": 0, "output": tmp_path / "all.pt"})
    *_, end = train_events(everything, resume=split)
    assert isinstance(end, Finished)
    assert (len(end.history), end.is_early) == (9, False)


def test_the_average_answers_in_place_of_the_last_weights(make_config: MakeConfig, data_dir: Path) -> None:
    path = mnistcli.train(make_config(model="strided", ema_decay=0.99, lr=0.05, epochs=2)).checkpoint
    checkpoint = load(path)
    assert checkpoint.average is not None
    answering = checkpoint.build_model().state_dict()
    assert_equal(dict(answering), checkpoint.average)
    assert not torch.equal(answering["layers.0.weight"], checkpoint.weights["layers.0.weight"])


def test_a_finished_run_has_nothing_to_do(make_config: MakeConfig) -> None:
    first = mnistcli.train(make_config(epochs=2))
    content = first.checkpoint.read_bytes()
    events = list(train_events(TrainConfig(epochs=1), resume=first.checkpoint))
    assert [type(event) for event in events] == [Started, Finished]
    assert first.checkpoint.read_bytes() == content


@pytest.mark.parametrize("less", [{"epochs": 1}, {"patience": 1}], ids=str)
def test_an_epoch_that_is_begun_is_taken_to_its_end(make_config: MakeConfig, tmp_path: Path, less: Any) -> None:
    keys = {"lr": 1e-12, "epochs": 9, "val_size": 100}  # nothing changes: the first epoch is the best
    begun, whole = tmp_path / "begun.pt", make_config(**keys | {"epochs": 3}, output=tmp_path / "whole.pt")
    *_, last = train_events(make_config(**keys, output=begun), should_stop=asked_often(23))
    assert isinstance(last, Stopped)
    assert (last.epoch, last.step) == (2, 3)
    mnistcli.train(TrainConfig(**less), resume=begun)
    assert load(begun).train_config().epochs == (3 if "epochs" in less else 9)
    assert_same_run(load(mnistcli.train(whole).checkpoint), load(begun))


def test_a_finished_run_can_be_put_elsewhere(make_config: MakeConfig, tmp_path: Path) -> None:
    first = mnistcli.train(make_config())
    other = mnistcli.train(make_config(seed=1, output=tmp_path / "elsewhere.pt"))
    second = mnistcli.train(TrainConfig(output=other.checkpoint), resume=first.checkpoint)
    assert_same_run(load(first.checkpoint), load(second.checkpoint))
    assert len(list(tmp_path.glob("elsewhere.*.pt"))) == 1  # the other run's backup


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_finished_run_cannot_be_put_where_nothing_can_be(make_config: MakeConfig, tmp_path: Path) -> None:
    first = mnistcli.train(make_config())
    with pytest.raises(MnistCliError, match=r"cannot write .*: Too many levels of symbolic links"):
        mnistcli.train(TrainConfig(output=make_loop(tmp_path)), resume=first.checkpoint)


def test_newer_training_of_the_same_run_is_backed_up_too(make_config: MakeConfig, tmp_path: Path) -> None:
    old = mnistcli.train(make_config()).checkpoint
    newer = mnistcli.train(TrainConfig(epochs=3, output=tmp_path / "newer.pt"), resume=old).checkpoint
    (kept,) = [event for event in train_events(TrainConfig(output=newer), resume=old) if isinstance(event, BackedUp)]
    assert (load(newer).epoch, load(kept.backup).epoch) == (1, 3)


def test_newer_steps_of_the_same_epoch_are_backed_up_too(make_config: MakeConfig, tmp_path: Path) -> None:
    old, newer = tmp_path / "old.pt", tmp_path / "newer.pt"
    list(train_events(make_config(output=old), should_stop=asked_often(2)))
    list(train_events(TrainConfig(output=newer), resume=old, should_stop=asked_often(3)))
    events = list(train_events(TrainConfig(output=newer), resume=old, should_stop=asked_often(1)))
    (kept,) = [event for event in events if isinstance(event, BackedUp)]
    assert (load(newer).partial["step"], load(kept.backup).partial["step"]) == (3, 5)


def test_a_run_that_is_stopped_again_keeps_its_calibrations(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "ckpt.pt"
    assert isinstance(stop_after_an_epoch(make_config(epochs=2, val_size=50, outliers=0.1)), Stopped)
    before = load(path).calibration()
    assert load(path).calibration("best") == before
    assert before.temperature != 1
    assert before.rejector is not None
    *_, last = train_events(TrainConfig(), resume=path, should_stop=asked_often(1))
    assert isinstance(last, Stopped)
    assert load(path).calibration() == load(path).calibration("best") == before


def test_a_stop_that_comes_with_the_last_epoch_comes_too_late(make_config: MakeConfig) -> None:
    assert isinstance(stop_after_an_epoch(make_config()), Finished)


def test_a_checkpoint_may_be_named_by_a_string(make_config: MakeConfig) -> None:
    path = mnistcli.train(make_config()).checkpoint
    *_, last = train_events(TrainConfig(epochs=2), resume=str(path))
    assert isinstance(last, Finished)
    assert len(last.history) == 2


def test_a_run_does_not_continue_on_other_data(make_config: MakeConfig, data_dir: Path, tmp_path: Path) -> None:
    first = mnistcli.train(make_config(val_size=0))
    write_split(raw_folder(tmp_path), "train", 100, seed=1)
    with pytest.raises(CheckpointError, match="its run is on 600 images, and here are 100"):
        mnistcli.train(TrainConfig(epochs=2, data_dir=tmp_path), resume=first.checkpoint)
    write_split(raw_folder(tmp_path), "train", 600, seed=3)
    again = TrainConfig(epochs=2, data_dir=tmp_path)
    with pytest.raises(CheckpointError, match="its run is on other training images"):
        mnistcli.train(again, resume=first.checkpoint)
    content = torch.load(first.checkpoint, weights_only=True)
    del content["train_checksum"]  # as in files from before
    torch.save(content, first.checkpoint)
    assert len(mnistcli.train(again, resume=first.checkpoint).history) == 2


PARTIAL = {"step": 1, "loss_sum": torch.zeros(()), "correct": torch.zeros((), dtype=torch.int64), "seconds": 0.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"partial": {}},
        {"partial": {"step": 1, "loss_sum": 0.5, "correct": 1, "seconds": 0.0}},
        {"partial": {**PARTIAL, "loss_sum": torch.zeros(3)}},
        {"partial": {**PARTIAL, "loss_sum": torch.zeros(1)}},
        {"partial": {**PARTIAL, "loss_sum": torch.tensor(torch.nan)}},
        {"partial": {**PARTIAL, "loss_sum": torch.tensor(1j)}},
        {"partial": {**PARTIAL, "correct": torch.zeros(2, dtype=torch.int64)}},
        {"partial": {**PARTIAL, "correct": torch.tensor(torch.nan)}},
        {"partial": {**PARTIAL, "step": 11}},  # one more than there are
        {"generators": {}},
        {"generators": {"shuffle": torch.zeros(3, dtype=torch.uint8)}},
        {"history": []},
        {"history": [{"epoch": 1}]},
        {"optimizer": {}},
        {"weights": {}},
        {"best": {"epoch": 1}},
        {"average": None},
    ],
)
def test_a_run_that_does_not_fit_its_checkpoint_is_damaged(make_config: MakeConfig, changes: dict[str, object]) -> None:
    path = mnistcli.train(make_config(ema_decay=0.9)).checkpoint
    torch.save(torch.load(path, weights_only=True) | changes, path)
    with pytest.raises(CheckpointError, match=rf"{path} (cannot be used|is damaged): ") as caught:
        mnistcli.train(TrainConfig(epochs=2), resume=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("keys", "steps"), [({}, 1), ({"epochs": 200, "patience": 1, "val_size": 100}, 2)])
def test_too_few_steps_are_the_cause_before_any_learning_rate(
    make_config: MakeConfig, keys: dict[str, int], steps: int
) -> None:
    *_, last = train_events(make_config(batch_size=600, lr=1e-9, **keys))
    assert isinstance(last, Finished)
    assert last.advice is not None
    assert f"the run has too few steps, {steps};" in last.advice


def test_another_runs_file_is_backed_up_once(make_config: MakeConfig) -> None:
    first = load(mnistcli.train(make_config()).checkpoint)
    events = list(train_events(make_config(epochs=3, seed=1)))
    (kept,) = [event for event in events if isinstance(event, BackedUp)]
    assert not kept.is_shared
    assert load(kept.backup).run_id == first.run_id != load(kept.output).run_id


def test_a_run_that_writes_the_same_file_meanwhile_is_told(make_config: MakeConfig, tmp_path: Path) -> None:
    other = mnistcli.train(make_config(seed=1, output=tmp_path / "other.pt")).checkpoint
    config, kept, written = make_config(epochs=2), [], io.StringIO()
    with TrainingView(Console(file=written, soft_wrap=True), bars=False) as view:
        for event in train_events(config):
            view.show(event)
            if isinstance(event, EpochDone) and event.epoch == 1:
                shutil.copy(other, config.output)
            if isinstance(event, BackedUp):
                kept.append(event)
    assert [(load(event.backup).run_id, event.is_shared) for event in kept] == [(load(other).run_id, True)]
    assert "another run writes the same file; give each its own --output" in written.getvalue()


def test_every_epoch_is_saved_with_its_history(make_config: MakeConfig) -> None:
    config = make_config(epochs=3, val_size=100)
    for event in train_events(config):
        if isinstance(event, EpochDone):
            checkpoint = load(config.output)
            assert checkpoint.epoch == event.epoch == len(checkpoint.history)
    assert checkpoint.best is not None
    assert checkpoint.best["val_accuracy"] == max(done["val_accuracy"] or 0 for done in checkpoint.history)
    assert (checkpoint.config["epochs"], checkpoint.seed) == (3, 0)


def test_too_little_memory_for_a_continued_run_is_told_without_the_batch_size_that_it_has_to_keep(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mnistcli.train(make_config()).checkpoint

    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(run, "fit", no_memory)
    with pytest.raises(
        MnistCliError, match=r"^too little memory for so many images at a time; try a smaller `batch_size`"
    ):
        mnistcli.train(make_config(seed=1))
    with pytest.raises(MnistCliError, match=r"^too little memory to continue this run; end other programs, or choose"):
        mnistcli.train(TrainConfig(epochs=2), resume=path)


def test_threads_are_set_while_a_run_goes_on_and_no_longer(make_config: MakeConfig) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        events = train_events(make_config(threads=1))
        began = next(events)
        assert isinstance(began, Started)
        assert (began.threads, torch.get_num_threads()) == (1, 1)
        list(events)
        assert torch.get_num_threads() == 2
        with pytest.raises(DivergedError):
            mnistcli.train(make_config(threads=1, lr=1e9))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_convolutions_are_deterministic_while_a_run_goes_on_and_as_before_afterwards(make_config: MakeConfig) -> None:
    events = train_events(make_config())
    next(events)
    assert torch.backends.cudnn.deterministic
    list(events)
    assert not torch.backends.cudnn.deterministic


def test_the_seed_decides_what_is_held_out(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = []

    def note(samples: Samples, count: int, seed: int) -> tuple[Samples, Samples | None]:
        train, val = hold_out(samples, count, seed)
        held_out.append(val)
        return train, val

    monkeypatch.setattr("mnistcli.run.hold_out", note)
    for seed in (0, 1):
        mnistcli.train(make_config(val_size=100, seed=seed))
    first, second = held_out
    assert first is not None
    assert second is not None
    assert not torch.equal(first.labels, second.labels)


def test_a_run_is_continued_with_patience_where_it_holds_images_out(make_config: MakeConfig) -> None:
    path = mnistcli.train(make_config(val_size=100)).checkpoint
    assert len(mnistcli.train(TrainConfig(patience=5, epochs=2), resume=path).history) == 2
    with pytest.raises(ConfigError, match="`patience` goes by the validation accuracy"):
        mnistcli.train(TrainConfig(patience=5))


def test_a_diverged_run_keeps_the_last_good_epoch(make_config: MakeConfig) -> None:
    path = mnistcli.train(make_config(momentum=0.9)).checkpoint
    content = torch.load(path, weights_only=True)
    content["optimizer"]["velocity"][0].fill_(1e30)  # what no option can do: a second epoch that goes astray
    torch.save(content, path)
    good = path.read_bytes()
    with pytest.raises(DivergedError, match=f"{path} is as it was"):
        mnistcli.train(TrainConfig(epochs=2), resume=path)
    assert path.read_bytes() == good


def test_a_run_that_diverges_after_an_epoch_tells_which_it_has_kept(make_config: MakeConfig) -> None:
    config = make_config(epochs=2, batch_size=600, lr=1e10)  # the one step of the first epoch throws the weights far
    with pytest.raises(DivergedError, match=rf"epoch 2, step 1\).*; {config.output} holds epoch 1$"):
        mnistcli.train(config)
    assert load(config.output).epoch == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_run_that_cannot_save_any_more_tells_which_epoch_it_has_kept(make_config: MakeConfig) -> None:
    config = make_config(epochs=2)
    events = train_events(config)
    assert any(isinstance(event, EpochDone) for event in events)  # goes on to the first one
    kept = f"cannot write {config.output}: .*; {config.output} holds epoch 1, from which `resume` goes on"
    with no_room_for_files(), pytest.raises(MnistCliError, match=kept):
        list(events)
    assert load(config.output).epoch == 1


def test_a_run_that_diverges_at_once_leaves_the_place_alone(make_config: MakeConfig) -> None:
    config = make_config(lr=1e9)
    with pytest.raises(DivergedError, match="nothing was saved"):
        mnistcli.train(config)
    assert not config.output.exists()


def test_a_diverged_run_is_not_saved_when_it_is_stopped(make_config: MakeConfig) -> None:
    config = make_config(lr=1e9)
    asked = iter([False, False, True])
    with pytest.raises(DivergedError, match="nothing was saved"):
        list(train_events(config, should_stop=lambda: next(asked)))
    assert not config.output.exists()


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        ({"lr": 1e-6}, "too low for 1 epoch; try `lr` 0.1"),
        ({"lr": 1.0}, "too high; try `lr` 0.01"),
        ({"lr": 1e-6, "momentum": 0.99}, "too low for 1 epoch; try `lr` 0.001"),
        ({"lr": 0.1, "momentum": 0.99}, "too high; try `lr` 0.0001"),
        ({"lr": 1e-8, "optimizer": "adamw"}, "too low for 1 epoch; try `lr` 0.001"),
    ],
)
def test_a_result_at_chance_has_its_likely_cause_told(
    make_config: MakeConfig, keys: dict[str, float], cause: str
) -> None:
    *_, last = train_events(make_config(batch_size=4, **keys))
    assert isinstance(last, Finished)
    assert last.advice is not None
    assert cause in last.advice


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("sgd", 0.99), ("adamw", 0.0)])
def test_the_advised_learning_rate_is_lower_where_it_was_too_high_and_higher_where_too_low(
    optimizer: str, momentum: float
) -> None:
    done = EpochDone(1, 1, loss=2.3, accuracy=0.1, seconds=1.0, images_per_second=1.0)
    said = set()
    for exponent in range(-70, 31):
        lr = 10 ** (exponent / 10)
        config = TrainConfig.model_validate({"optimizer": optimizer, "momentum": momentum, "lr": lr})
        advice = run._advice(config, [done], steps=1000)
        assert advice is not None
        blamed = re.search(r"probably too (high|low).*; try `lr` (\S+)$", advice)
        said.add(blamed[1] if blamed else "usual")
        if blamed:
            assert float(blamed[2]) < lr / 1.9 if blamed[1] == "high" else float(blamed[2]) > 1.9 * lr
        else:
            assert advice.endswith("is usual; try more `epochs`, or another `seed`")
    assert said == {"high", "low", "usual"}


def test_the_cause_is_told_by_the_epochs_that_were_trained(make_config: MakeConfig) -> None:
    *_, last = train_events(make_config(lr=1e-9, epochs=9, patience=1, val_size=100, batch_size=4))
    assert isinstance(last, Finished)
    assert last.is_early
    assert last.advice is not None
    assert f"too low for {len(last.history)} epochs;" in last.advice


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.skipif(os.name != "posix", reason="needs a named pipe")
def test_faults_are_told_before_any_work(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is missing; mend it with: mnistcli download --data-dir .*no where'"):
        mnistcli.train(make_config(data_dir=tmp_path / "no where"))
    with pytest.raises(ConfigError, match="`val_size` 600"):
        mnistcli.train(make_config(val_size=600))
    with pytest.raises(ConfigError, match="is a folder"):
        mnistcli.train(make_config(output=tmp_path))
    with pytest.raises(ConfigError, match="is not a file"):
        mnistcli.train(make_config(output=make_pipe(tmp_path / "pipe")))
    (tmp_path / "file").touch()
    with pytest.raises(MnistCliError, match="cannot write"):
        mnistcli.train(make_config(output=tmp_path / "file" / "ckpt.pt"))
    with pytest.raises(CheckpointError):
        mnistcli.train(resume=tmp_path / "none.pt")
