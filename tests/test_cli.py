"""Every command through Typer's runner: answers, JSON, exit codes, what each says of failures."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import mnistcli
from conftest import (
    LEARNS_SYNTHETIC_DIGITS,
    TRAIN_SIZE,
    RunCli,
    assert_fails,
    documents,
    draw_digit,
    draw_digits,
    make_loop,
    plain,
    run_cli,
    sheet,
)
from mnistcli.config import resolve
from mnistcli.download import MNIST_FILES
from mnistcli.explain import HEIGHT_PX, WIDTH_PX
from mnistcli.idx import raw_folder
from mnistcli.model import LeNet
from mnistcli.screen import percent
from mnistcli.sources import Source, find_sources

ROOT = Path(__file__).parent.parent
COMMANDS = ["download", "show-samples", "train", "eval", "predict"]


@pytest.fixture
def digits(tmp_path: Path) -> list[Path]:
    """Write three pictures, of a 2, a 7 and a 1."""
    paths = [tmp_path / f"digit{index}.png" for index in range(3)]
    for path, image in zip(paths, draw_digits(np.array([2, 7, 1], np.uint8), seed=5), strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.fixture(scope="module")
def learned(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a checkpoint that reads the synthetic digits."""
    path = tmp_path_factory.mktemp("learned") / "ckpt.pt"
    result = run_cli("train", "--data-dir", data_dir, "--output", path, "--quiet", *LEARNS_SYNTHETIC_DIGITS)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}\n", "")
    return path


@pytest.fixture
def ckpt(learned: Path, tmp_path: Path) -> Path:
    """Give a copy of that checkpoint under its usual name in the folder of the test."""
    return Path(shutil.copy(learned, tmp_path / "ckpt.pt"))


@pytest.fixture
def guessing(cli: RunCli, data_dir: Path, tmp_path: Path) -> Path:
    """Make a checkpoint that learned nothing."""
    assert cli("train", "--data-dir", data_dir, "--lr", 1e-12, "--quiet").exit_code == 0
    return tmp_path / "ckpt.pt"


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], *[[command] for command in COMMANDS]])
def test_help(cli: RunCli, command: list[str], flag: str) -> None:
    result = cli(*command, flag)
    assert result.exit_code == 0
    assert "Usage: mnistcli" in plain(result.stdout)
    shown = plain(result.stdout).replace("MNISTCLI_<KEY>", "")
    assert not re.search(r"<[a-z]|BOOL", shown)  # a flag takes no value, not even typer's own


@pytest.mark.parametrize(
    ("command", "usage"),
    [("predict", "[OPTIONS] PICTURE..."), ("eval", "[OPTIONS] [CKPT]"), ("show-samples", "[OPTIONS]")],
)
def test_help_names_arguments_as_other_programs_do(cli: RunCli, command: str, usage: str) -> None:
    shown = plain(cli(command, "--help").stdout)
    assert re.search(f"Usage: mnistcli {command} {re.escape(usage)} *\n", shown)
    assert not re.search(r"<list\[|\[\[|<path> +The checkpoint", shown)


def test_help_shows_which_numbers_an_option_takes(cli: RunCli) -> None:
    shown = plain(cli("train", "--help").stdout)
    for option in ("--patience INT [x>=0]", "--lr FLOAT [x>0]", "--momentum FLOAT [0<=x<1]", "--shear FLOAT [0<=x<=1]"):
        assert option in re.sub(" +", " ", shown)


def test_version_names_torchs_too(cli: RunCli) -> None:
    assert re.fullmatch(r"mnistcli \d+\.\d+\.\d+ \(torch \d+\.\d+.*\)\n", cli("--version").stdout)


def test_a_terminal_without_columns_is_told_all_the_same(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert cli("eval", "missing.pt").stderr.startswith("error: ")


def test_nothing_asked_is_helped(cli: RunCli) -> None:
    result = cli()
    assert result.exit_code == 2
    assert "show-samples" in plain(result.output)


def test_every_fault_of_a_configuration_is_told(cli: RunCli) -> None:
    result = cli("train", "--epochs", "0", "--lr", "-1", "--seed", "x")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3


def test_names_from_a_file_that_no_file_can_have_are_told(cli: RunCli, data_dir: Path, tmp_path: Path) -> None:
    for key, code in (("output", 1), ("data_dir", 4)):
        (tmp_path / "mine.toml").write_text(f'{key} = "a\\u0000b"')
        result = cli("train", "--config", "mine.toml")
        assert_fails(result, code, "a name cannot hold a NUL character; choose another place")


@pytest.mark.parametrize("command", [["train"], ["show-samples"]])
def test_missing_data_is_told_where_downloads_are_forbidden(cli: RunCli, command: list[str]) -> None:
    result = cli(*command, "--no-download", "--data-dir", "no where")
    assert_fails(result, 4, "no where/MNIST/raw", MNIST_FILES[0].name, "mnistcli download --data-dir 'no where'")


def test_the_environment_forbids_downloads_too(cli: RunCli, ckpt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNISTCLI_NO_DOWNLOAD", "1")
    assert_fails(cli("eval", ckpt), 4, "data/MNIST/raw")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--no-download", "--data-dir=~/none"),
        ("train", "--config=~/none"),
        ("train", "--resume=~/none"),
        ("eval", "--no-download", "--data-dir=~/none"),
        ("eval", "~/none"),
        ("show-samples", "--no-download", "--data-dir=~/none"),
        ("show-samples", "--output=~/none/"),
        ("download", "--from=~/none", "--quiet"),
        ("predict", "~/none", "--quiet"),
        ("predict", "here.png", "--checkpoint=~/none"),
        ("predict", "here.png", "--picture=~/none.xyz"),
    ],
)
def test_a_tilde_that_no_shell_replaced_is_the_home_folder(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("mnistcli.sources.find_sources", lambda places: islice(find_sources(places), len(places)))
    draw_digit(4, seed=0).save("here.png")
    result = cli(*arguments)
    assert result.exit_code > 0
    assert "~" not in result.stderr
    assert f"{tmp_path}/none" in result.stderr


def test_damaged_data_is_told(cli: RunCli, data_dir: Path, tmp_path: Path) -> None:
    folder = raw_folder(tmp_path)
    folder.mkdir(parents=True)
    for file in MNIST_FILES:
        content = (raw_folder(data_dir) / file.name).read_bytes()
        (folder / file.name).write_bytes(content[: len(content) // 2])
    result = cli("train", "--data-dir", tmp_path)
    assert_fails(result, 4, str(folder / MNIST_FILES[0].name), "is damaged", f"mnistcli download --data-dir {tmp_path}")


def test_all_sources_failing_is_told_line_by_line(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(places: list[str]) -> Iterator[Source]:
        return islice(find_sources([*places, "nowhere", "http://127.0.0.1:1/"]), len(places) + 2)

    monkeypatch.setattr("mnistcli.sources.find_sources", unreachable)
    result = cli("download", "--from", "no-folder", "--quiet")
    assert result.exit_code == 4
    head, *failures, advice = result.stderr.splitlines()
    assert head.startswith("error: no source gave all of the MNIST files")
    assert [failure.split(":")[0].strip() for failure in failures] == ["no-folder", "nowhere", "http"]
    assert "mnistcli download --data-dir data --from" in advice


def test_download_refuses_what_is_not_mnist(cli: RunCli, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistcli.sources.find_sources", lambda places: islice(find_sources(places), len(places)))
    result = cli("download", "--from", raw_folder(data_dir))
    assert result.exit_code == 4
    assert "wrong SHA-256 digest" in result.stderr or "ended after" in result.stderr


def test_show_samples_writes_a_picture(cli: RunCli, data_dir: Path, tmp_path: Path) -> None:
    result = cli("show-samples", "--data-dir", data_dir, "--count", 7, "--digit", 3, "--digit", 5, "--seed", 1)
    assert (result.exit_code, result.stdout) == (0, "samples.png\n")
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == (3 * (3 * 32 + 4), 3 * (3 * 42 + 4))


def test_show_samples_in_json(cli: RunCli, data_dir: Path) -> None:
    result = cli("show-samples", "--data-dir", data_dir, "--count", 4, "--split", "test", "--digit", 8, "--json")
    (document,) = documents(result)
    assert (document["output"], document["labels"]) == ("samples.png", [8, 8, 8, 8])


@pytest.mark.parametrize(
    ("output", "reason"),
    [("x.xyz", "no picture format 'xyz'"), ("x.pgf", "no picture format 'pgf'"), (".", "names a folder")],
)
def test_show_samples_says_what_it_cannot_write(cli: RunCli, output: str, reason: str) -> None:
    assert_fails(cli("show-samples", "--no-download", "--output", output), 2, reason)  # before the data are asked for


def test_a_name_that_is_too_long_for_samples_is_told(cli: RunCli) -> None:
    assert_fails(cli("show-samples", "--no-download", "--output", 300 * "a"), 1, "File name too long; choose another")


def test_samples_replace_no_data_file(cli: RunCli, data_dir: Path) -> None:
    images = raw_folder(data_dir) / "train-images-idx3-ubyte"
    before = images.read_bytes()
    result = cli("show-samples", "--data-dir", data_dir, "--output", images)
    assert_fails(result, 2, "was not drawn by mnistcli, and would be replaced; name another file")
    assert images.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["mine", "mine.png", "mine.jpg", "mine.tif", "mine.gif", "mine.webp", "mine.pdf", "mine.svg", "mine.eps"]
)
def test_a_drawing_replaces_no_file_but_a_drawing(
    cli: RunCli, data_dir: Path, ckpt: Path, digits: list[Path], name: str
) -> None:
    draw: list[list[str | Path]] = [["show-samples", "--data-dir", data_dir, "--output"]]
    if name != "mine":  # to predict, what has no ending is a folder
        draw.append(["predict", digits[0], "--picture"])
    for command in draw:
        told = PngInfo()
        told.add_text("Source", "mnistcli/digits/4.png")  # which does not tell that it is a drawing
        Image.new("L", (40, 40), "white").save(name, "JPEG" if name == "mine.jpg" else "PNG", pnginfo=told)
        before = Path(name).read_bytes()
        result = cli(*command, name)
        assert_fails(result, 2, f"{name} was not drawn by mnistcli, and would be replaced; name another file")
        assert Path(name).read_bytes() == before
        Path(name).unlink()
        for _ in range(2):  # the second time, a drawing is there
            assert cli(*command, name).exit_code == 0


@pytest.mark.parametrize("command", ["train", "show-samples"])
@pytest.mark.parametrize("output", ["runs/", "runs/."])
def test_an_output_that_names_a_folder_is_refused(cli: RunCli, data_dir: Path, command: str, output: str) -> None:
    result = cli(command, "--data-dir", data_dir, "--output", output)
    assert_fails(result, 2, f"--output = {output}: names a folder: name a file")
    assert not Path("runs").exists()


def test_a_window_without_a_display_is_told(cli: RunCli, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    result = cli("show-samples", "--data-dir", data_dir, "--show")
    assert result.exit_code == 0
    assert "there is no display" in result.stderr


def test_train_in_lines(cli: RunCli, data_dir: Path) -> None:
    # With two threads, a machine that is busy otherwise would have a line more.
    result = cli("train", "--data-dir", data_dir, "--epochs", 2, "--val-size", 100, "--threads", 1)
    assert (result.exit_code, result.stdout) == (0, "ckpt.pt\n")
    start, first, second, advice, end = result.stderr.splitlines()
    assert start == "training on 500 images, 100 held out to validate, on cpu"
    assert re.fullmatch(r"epoch 1/2  loss \S+  acc \S+%  val \S+ \S+%  \S+ s  \S+ img/s", first)
    assert second.startswith("epoch 2/2")
    assert advice.startswith("warning: an accuracy of")
    assert advice.endswith("; try more --epochs or a smaller --batch-size")
    assert end == f"now try: mnistcli eval ckpt.pt --data-dir {data_dir}"


def test_failures_and_advice_name_options_as_the_command_line_does(cli: RunCli, data_dir: Path) -> None:
    train = "train", "--data-dir", data_dir, "--json"
    (failure,) = documents(cli(*train, "--val-size", TRAIN_SIZE))
    assert failure["error"].startswith(f"--val-size {TRAIN_SIZE} leaves nothing to train on")
    *_, end = documents(cli(*train))
    assert end["advice"].endswith("try more --epochs or a smaller --batch-size")


def test_train_in_json(cli: RunCli, data_dir: Path) -> None:
    result = cli("train", "--data-dir", data_dir, "--epochs", 2, "--json", "--quiet")
    first, second, end = documents(result)
    assert (first["event"], second["event"], end["event"]) == ("epoch", "epoch", "end")
    for epoch in (first, second):
        assert {"epoch", "loss", "accuracy", "seconds", "images_per_second"} <= epoch.keys()
    assert end["checkpoint"] == "ckpt.pt"
    assert result.stderr == ""


def test_train_takes_its_keys_from_four_places(cli: RunCli, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.toml").write_text("epochs = 9\nlr = 9.0\nbatch_size = 100\n")
    monkeypatch.setenv("MNISTCLI_EPOCHS", "3")
    monkeypatch.setenv("MNISTCLI_LR", "0.02")
    monkeypatch.setenv("MNISTCLI_DATA_DIR", str(data_dir))
    assert cli("train", "--config", "mine.toml", "--epochs", 1).exit_code == 0
    from mnistcli.checkpoint import load

    config = load(Path("ckpt.pt")).train_config()
    assert (config.epochs, config.lr, config.batch_size, config.seed) == (1, 0.02, 100, 0)


def test_resume_continues_and_then_says_it_is_done(cli: RunCli, data_dir: Path) -> None:
    cli("train", "--data-dir", data_dir)
    result = cli("train", "--resume", "ckpt.pt", "--epochs", 3, "--json")
    assert [document.get("epoch") for document in documents(result)] == [2, 3, None]
    assert "continuing after 1 of 3 epochs" in result.stderr
    again = cli("train", "--resume", "ckpt.pt", "--epochs", 3)
    assert (again.exit_code, again.stdout) == (0, "ckpt.pt\n")
    assert "nothing to do: 3 epochs finished already" in again.stderr
    assert_fails(
        cli("train", "--resume", "ckpt.pt", "--epochs", 4, "--lr", 0.5), 2, "--lr is 0.5 here and 0.01 in the run"
    )


def test_train_says_when_it_keeps_another_runs_file(cli: RunCli, data_dir: Path) -> None:
    cli("train", "--data-dir", data_dir)
    result = cli("train", "--data-dir", data_dir)
    assert re.search(r"the old ckpt\.pt is kept as ckpt\.\d{4}-\d\d-\d\d-\d{6}\.pt", result.stderr)
    assert len(list(Path().glob("ckpt*.pt"))) == 2


def test_a_diverging_run_ends_with_1(cli: RunCli, data_dir: Path) -> None:
    result = cli("train", "--data-dir", data_dir, "--lr", "1e9", "--quiet")
    assert_fails(result, 1, "no longer a finite number", "--lr")
    assert not Path("ckpt.pt").exists()


def test_eval_in_tables(cli: RunCli, data_dir: Path, ckpt: Path) -> None:
    result = cli("eval", ckpt, "--data-dir", data_dir)
    assert result.exit_code == 0
    assert re.match(r"accuracy \d+\.\d\d% \(\d+ of 200\)  loss \d\.\d{4}\n", result.stdout)
    assert "\x1b" not in result.output
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_eval_tells_precision_and_recall_apart(cli: RunCli, data_dir: Path, guessing: Path) -> None:
    evaluate = "eval", guessing, "--data-dir", data_dir
    (document,) = documents(cli(*evaluate, "--json"))
    rows = [line.split() for line in cli(*evaluate).stdout.splitlines()]
    for score in document["per_digit"]:
        shares = map(percent, (score["precision"], score["recall"]))
        assert [str(score["digit"]), *shares] in [row[:3] for row in rows]


def test_eval_in_json(cli: RunCli, data_dir: Path, ckpt: Path) -> None:
    (document,) = documents(cli("eval", ckpt, "--data-dir", data_dir, "--json", "--batch-size", 33))
    assert {
        "accuracy",
        "loss",
        "correct",
        "total",
        "per_digit",
        "confusion",
        "checkpoint",
        "seconds",
    } <= document.keys()
    assert document["accuracy"] == document["correct"] / document["total"]
    assert sum(map(sum, document["confusion"])) == document["total"] == 200
    assert [score["digit"] for score in document["per_digit"]] == list(range(10))
    assert document["checkpoint"] == str(ckpt)
    assert (document["split"], document["tta"]) == ("test", False)
    (train,) = documents(cli("eval", ckpt, "--data-dir", data_dir, "--json", "--split", "train", "--tta"))
    assert (train["total"], train["split"], train["tta"]) == (600, "train", True)


def test_a_batch_may_be_larger_than_any_split(cli: RunCli, data_dir: Path, ckpt: Path) -> None:
    (document,) = documents(cli("eval", ckpt, "--data-dir", data_dir, "--json", "--batch-size", 2**64))
    assert document["total"] == 200


def test_commands_to_go_on_with_take_no_name_for_an_option(cli: RunCli, data_dir: Path) -> None:
    result = cli("train", "--data-dir", data_dir, "--output=-x.pt")
    assert f"now try: mnistcli eval ./-x.pt --data-dir {data_dir}" in result.stderr
    assert cli("eval", "./-x.pt", "--data-dir", data_dir).exit_code == 0
    assert_fails(cli("eval", "./-y.pt"), 5, "mnistcli train --output ./-y.pt")
    assert_fails(cli("train", "--no-download", "--data-dir=-d"), 4, "mnistcli download --data-dir ./-d")


def test_fail_under_ends_with_3_after_the_result(cli: RunCli, data_dir: Path, guessing: Path) -> None:
    result = cli("eval", guessing, "--data-dir", data_dir, "--json", "--fail-under", "1.0")
    (document,) = documents(result)
    assert document["accuracy"] < 1
    assert result.exit_code == 3
    assert "is below --fail-under 1.0\n" in result.stderr
    accuracy = document["accuracy"]
    assert cli("eval", guessing, "--data-dir", data_dir, "--fail-under", accuracy).exit_code == 0
    barely = cli("eval", guessing, "--data-dir", data_dir, "--fail-under", accuracy + 1e-8)
    assert f"accuracy {accuracy} is below --fail-under {accuracy + 1e-8}\n" in barely.stderr


def test_eval_tells_that_the_best_weights_answer(cli: RunCli, data_dir: Path) -> None:
    assert cli("train", "--data-dir", data_dir, "--val-size", 100, "--quiet").exit_code == 0
    result = cli("eval", "ckpt.pt", "--data-dir", data_dir, "--weights", "best")
    assert "weights: ckpt.pt, of its best epoch\n" in result.stderr


def test_eval_of_the_best_weights_needs_them(cli: RunCli, data_dir: Path, ckpt: Path) -> None:
    assert_fails(cli("eval", ckpt, "--data-dir", data_dir, "--weights", "best"), 5, "train with --val-size")


def test_predict_in_lines(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    result = cli("predict", *digits)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(path, digit) for path, digit, _ in rows] == [
        (str(digits[0]), "2"),
        (str(digits[1]), "7"),
        (str(digits[2]), "1"),
    ]
    assert all(0.1 <= float(confidence) <= 1 for _, _, confidence in rows)


def test_predict_in_json(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    answers = documents(cli("predict", *digits, "--json", "--checkpoint", ckpt))
    for answer, path in zip(answers, digits, strict=True):
        assert (answer["path"], answer["status"], answer["checkpoint"]) == (str(path), "ok", str(ckpt))
        assert answer["probabilities"][answer["digit"]] == answer["confidence"] == max(answer["probabilities"])


def test_a_number_out_of_range_is_told_by_the_options_name(cli: RunCli, digits: list[Path]) -> None:
    result = cli("predict", digits[0], "--processes", 2000)
    assert_fails(result, 2, "--processes is 2000; it must be from 0 to 1000")


def test_a_broken_picture_does_not_stop_the_others(cli: RunCli, ckpt: Path, digits: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "[red]broken.png"  # a name, not markup
    broken.write_text("not a picture")
    result = cli("predict", digits[0], broken, digits[1], "--quiet")
    assert result.exit_code == 5
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["2", "7"]
    assert result.stderr == f"error: {broken} is not a picture that can be read\n"

    number = tmp_path / "number.png"
    Image.fromarray(sheet(4, 2)).save(number)
    assert len(cli("predict", broken, number, "--quiet").stderr.splitlines()) == 1
    assert "--multi" in cli("predict", broken, number).stderr.splitlines()[-1]

    result = cli("predict", broken, digits[0], "--json")
    bad, good = documents(result)
    assert result.exit_code == 5
    assert (bad["status"], bad["path"], bad["digit"]) == ("error", str(broken), None)
    assert "not a picture" in bad["error"]
    assert (good["status"], good["digit"]) == ("ok", 2)


def test_the_bundled_weights_answer_where_nothing_was_trained(cli: RunCli) -> None:
    picture = ROOT / "docs" / "digit.png"
    result = cli("predict", picture)
    assert (result.exit_code, result.stderr) == (0, "weights: bundled\n")
    assert result.stdout.split("\t")[1] == "7"
    (answer,) = documents(cli("predict", picture, "--json"))
    assert (answer["checkpoint"], answer["digit"]) == ("bundled", 7)
    assert answer["no_digit_probability"] > 0
    assert sum(answer["probabilities"]) + answer["no_digit_probability"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("train", "--resume", "bundled"), "bundled cannot be used: it holds weights alone"),
        (("eval", "bundled", "--weights", "best"), "bundled cannot be used: it has no best epoch"),
    ],
)
def test_what_the_bundled_weights_cannot_do_is_told(cli: RunCli, arguments: tuple[str, ...], reason: str) -> None:
    assert_fails(cli(*arguments), 5, reason)


@pytest.mark.parametrize("output", ["bundled", "./bundled"])
def test_no_training_takes_the_bundled_weights_name(cli: RunCli, data_dir: Path, output: str) -> None:
    result = cli("train", "--data-dir", data_dir, "--output", output)
    assert_fails(result, 2, "bundled names the weights that come with the package", "--output bundled.pt")


def test_ones_own_checkpoint_comes_before_the_bundled_one(
    cli: RunCli, ckpt: Path, data_dir: Path, digits: list[Path]
) -> None:
    for arguments, name in [([], "ckpt.pt"), (["./ckpt.pt"], "ckpt.pt"), (["bundled"], "bundled")]:
        evaluated = cli("eval", "--data-dir", data_dir, *arguments)
        assert evaluated.stderr == f"weights: {name}\n"
        predicted = cli("predict", digits[0], *(["--checkpoint", *arguments] if arguments else []))
        assert predicted.stderr == f"weights: {name}\n"
    assert_fails(cli("predict", digits[0], "--checkpoint", "none.pt"), 5, "no checkpoint at none.pt", "mnistcli train")
    shown = documents(cli("eval", "bundled", "--data-dir", data_dir, "--json"))
    assert shown[0]["checkpoint"] == "bundled"


def test_a_file_of_the_bundled_weights_name_is_asked_by_its_path(
    cli: RunCli, ckpt: Path, data_dir: Path, digits: list[Path]
) -> None:
    ckpt.rename("bundled")
    evaluated = cli("eval", "./bundled", "--data-dir", data_dir)
    predicted = cli("predict", digits[0], "--checkpoint", "./bundled")
    assert evaluated.stderr == predicted.stderr == "weights: ./bundled\n"
    epochs = LEARNS_SYNTHETIC_DIGITS[1]
    resumed = cli("train", "--resume", "./bundled", "--epochs", epochs, "--output", "again.pt")
    assert (resumed.exit_code, resumed.stdout) == (0, "again.pt\n")


def test_eval_of_a_network_that_answers_no_numbers_tells_no_loss(cli: RunCli, data_dir: Path) -> None:
    cli("train", "--data-dir", data_dir, "--lr", 1e10, "--batch-size", 600)  # the one step's loss is that before it
    (document,) = documents(cli("eval", "ckpt.pt", "--data-dir", data_dir, "--json"))
    assert (document["total"], document["loss"]) == (200, None)
    assert "loss -\n" in cli("eval", "ckpt.pt", "--data-dir", data_dir).stdout


def test_predict_by_a_network_that_answers_no_numbers_is_no_bug(
    cli: RunCli, data_dir: Path, digits: list[Path]
) -> None:
    cli("train", "--data-dir", data_dir, "--lr", 1e10, "--batch-size", 600)
    assert_fails(cli("predict", digits[0], "--quiet"), 5, "no finite numbers", "smaller --lr")


@pytest.mark.parametrize("command", ["train", "eval"])
def test_too_many_images_at_a_time_for_the_memory_are_no_bug(
    cli: RunCli, data_dir: Path, ckpt: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(LeNet, "features", lambda *_: torch.empty(1 << 50))
    result = cli(command, *([ckpt] if command == "eval" else []), "--data-dir", data_dir, "--quiet")
    assert_fails(result, 1, "memory", "try a smaller --batch-size")


def test_too_little_memory_to_read_pictures_is_no_bug(
    cli: RunCli, ckpt: Path, digits: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LeNet, "features", lambda *_: torch.empty(1 << 50))
    assert_fails(cli("predict", digits[0], "--quiet"), 1, "memory to ask ckpt.pt on cpu", "another --device")


def test_eval_may_look_seven_times(cli: RunCli, data_dir: Path, ckpt: Path) -> None:
    plain, views = (documents(cli("eval", ckpt, "--data-dir", data_dir, "--json", *tta))[0] for tta in ([], ["--tta"]))
    assert views["total"] == plain["total"]
    assert views["loss"] == pytest.approx(mnistcli.evaluate(ckpt, data_dir=data_dir, tta=True).loss)
    assert views["loss"] != pytest.approx(plain["loss"])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission_are_unreadable_not_wrong_usage(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    digits[0].chmod(0)
    result = cli("predict", *digits)
    assert (result.exit_code, len(result.stdout.splitlines())) == (5, 2)
    assert "Permission denied" in result.stderr
    ckpt.chmod(0)
    assert_fails(cli("eval", ckpt), 5, "cannot read", "Permission denied")


def test_print_config_is_toml_that_gives_the_same_configuration(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text('lr = 1e-5\nmomentum = 0.5\noutput = "a \\"b\\" \u00e9\\u007f.pt"\n')
    monkeypatch.setenv("MNISTCLI_SEED", "3")
    shown = cli("train", "--print-config", "--config", "mine.toml", "--epochs", "4", "--momentum", "0.25")
    assert shown.exit_code == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.toml"]
    origin = {line.split(" = ")[0]: line.split("  # ")[1] for line in shown.stdout.splitlines()}
    assert (origin["epochs"], origin["momentum"], origin["seed"]) == ("--epochs", "--momentum", "MNISTCLI_SEED")
    assert (origin["lr"], origin["batch_size"]) == ("config mine.toml", "default")

    (tmp_path / "printed.toml").write_text(shown.stdout, encoding="utf-8")
    flags = {"epochs": "4", "momentum": "0.25", "seed": "3"}
    printed = resolve({}, {}, str(tmp_path / "printed.toml"))
    assert printed.config == resolve(flags, {}, str(tmp_path / "mine.toml")).config


def test_print_config_tells_what_a_run_decided(cli: RunCli, data_dir: Path) -> None:
    cli("train", "--data-dir", data_dir, "--lr", "0.2")
    shown = json.loads(cli("train", "--resume", "ckpt.pt", "--epochs", "3", "--print-config", "--json").stdout)
    assert (shown["config"]["lr"], shown["origins"]["lr"]) == (0.2, "--resume ckpt.pt")
    assert (shown["config"]["epochs"], shown["origins"]["epochs"]) == (3, "--epochs")
    cli("train", "--resume", "ckpt.pt", "--epochs", "3")
    shown = json.loads(cli("train", "--resume", "ckpt.pt", "--epochs", "2", "--print-config", "--json").stdout)
    assert (shown["config"]["epochs"], shown["origins"]["epochs"]) == (3, "--resume ckpt.pt")  # it has them already
    refused = cli("train", "--resume", "ckpt.pt", "--lr", "0.3", "--print-config")
    assert refused.exit_code == 2
    assert "--lr is 0.3 here and 0.2 in the run" in refused.stderr


def write_number(path: Path) -> Path:
    row = np.concatenate(list(draw_digits(np.array([4, 2, 7], np.uint8), seed=1)), axis=1)
    Image.fromarray(255 - np.kron(row, np.ones((8, 8), np.uint8))).save(path)
    return path


def test_predict_tells_that_there_are_more_digits_than_it_reads(cli: RunCli, ckpt: Path, tmp_path: Path) -> None:
    bar = np.pad(np.zeros((12, 3), np.uint8), 4, constant_values=255)
    Image.fromarray(np.pad(np.tile(bar, (51, 50)), 20, constant_values=255)).save(tmp_path / "page.png")
    result = cli("predict", tmp_path / "page.png", "--multi", "--quiet", "--json", "--checkpoint", ckpt)
    (answer,) = documents(result)
    assert answer["has_more"]
    assert answer["status"] == "unsure"
    assert "only the largest were read" in result.stderr


def test_predict_reads_several_digits(cli: RunCli, ckpt: Path, tmp_path: Path) -> None:
    number = write_number(tmp_path / "number.png")
    (answer,) = documents(cli("predict", number, "--multi", "--json", "--min-confidence", 0))
    assert len(answer["text"]) == len(answer["digits"]) == 3
    assert answer["rows"] == [answer["text"]]
    lefts = [digit["box"][0] for digit in answer["digits"]]
    assert lefts == sorted(lefts)
    assert cli("predict", number, "--multi", "--min-confidence", 0).stdout.split("\t")[1] == answer["text"]
    assert all(digit["no_digit_probability"] == 0 for digit in answer["digits"])  # it was trained without --outliers
    assert "which --multi reads" in cli("predict", number).stderr
    assert documents(cli("predict", number, "--json"))[0]["is_one_of_several"]


def test_predict_turns_blank_and_unsure_away(cli: RunCli, guessing: Path, digits: list[Path], tmp_path: Path) -> None:
    Image.new("L", (80, 80), 200).save(tmp_path / "blank.png")
    pictures = tmp_path / "blank.png", digits[0]
    blank, unsure = documents(cli("predict", *pictures, "--json"))
    assert (blank["status"], blank["digit"], blank["confidence"]) == ("blank", None, None)
    assert blank["no_digit_probability"] is None
    assert (unsure["status"], unsure["digit"]) == ("unsure", None)
    assert sum(unsure["probabilities"]) == pytest.approx(1)
    assert [answer["status"] for answer in documents(cli("predict", *pictures, "--json", "--min-confidence", 0))] == [
        "blank",
        "ok",
    ]
    result = cli("predict", *pictures)
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [text for _, text, _ in lines] == ["?", "?"]
    assert all(0 <= float(confidence) < 1 for _, _, confidence in lines)  # a number in any case


def test_predict_draws_what_it_understood(cli: RunCli, ckpt: Path, digits: list[Path], tmp_path: Path) -> None:
    assert cli("predict", digits[0], "--picture", tmp_path / "one.png").exit_code == 0
    assert cli("predict", *digits, "--picture", tmp_path / "all").exit_code == 0
    drawn = [tmp_path / "one.png", *(tmp_path / "all" / f"{path.stem}.png" for path in digits)]
    for path in drawn:
        with Image.open(path) as picture:
            assert picture.size == (960, 480)
    assert cli("predict", *digits[:2], "--picture", f"{tmp_path}/a.folder/").exit_code == 0
    assert len(list((tmp_path / "a.folder").iterdir())) == 2
    for several in (digits, [tmp_path / "digit?.png"]):
        result = cli("predict", *several, "--picture", tmp_path / "two.png")
        assert result.exit_code == 2
        assert "name a folder" in result.stderr
        assert not result.stdout  # told before anything is read
        assert not (tmp_path / "two.png").exists()
    assert cli("predict", tmp_path / "digit1*.png", "--picture", tmp_path / "two.png").exit_code == 0


@pytest.mark.parametrize(
    ("place", "code", "reason"),
    [
        ("one.xyz", 2, "no picture format 'xyz'"),
        ("0.png/one.png", 1, "Not a directory; choose another place"),
        ("x" * 300, 1, "name too long"),
        ("x" * 300 + ".png", 1, "name too long"),
        ("loop.png", 1, "Too many levels of symbolic links"),
        ("loop", 1, "Too many levels of symbolic links"),
        ("loop/x.png", 1, "Too many levels of symbolic links"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_drawing_that_cannot_be_is_told_before_anything_is_read(
    cli: RunCli, ckpt: Path, digits: list[Path], tmp_path: Path, place: str, code: int, reason: str
) -> None:
    (tmp_path / "0.png").write_text("a file")
    (tmp_path / "loop.png").symlink_to("loop.png")
    make_loop(tmp_path)
    result = cli("predict", digits[0], "--picture", tmp_path / place)
    assert_fails(result, code, reason, *(["cannot write"] if code == 1 else []))
    assert not result.stdout


@pytest.mark.parametrize("place", ["new/", "new/one.png"])
def test_no_folder_is_made_for_drawings_without_a_checkpoint(cli: RunCli, digits: list[Path], place: str) -> None:
    result = cli("predict", digits[0], "--checkpoint", "none.pt", "--picture", place)
    assert_fails(result, 5, "no checkpoint at none.pt")
    assert not Path("new").exists()


@pytest.mark.parametrize("drawing", ["one.png", "."])
def test_no_drawing_replaces_a_picture_that_is_read(cli: RunCli, ckpt: Path, tmp_path: Path, drawing: str) -> None:
    picture = tmp_path / "one.png"
    Image.new("L", (40, 40), "white").save(picture)
    before = picture.read_bytes()
    for read in (picture, *([tmp_path] if drawing == "." else [])):
        result = cli("predict", read, "--picture", tmp_path / drawing)
        assert result.exit_code == 2
        assert "would replace a picture" in result.stderr
    assert picture.read_bytes() == before


@pytest.mark.parametrize(
    ("read", "place", "reason"),
    [
        ("*.png", ".", "would replace a picture that is read"),
        ("*.png", "one.png", "would replace a picture that is read"),
        (".", "sub", "would replace a picture that is read"),
        ("link.png", "sub", "would replace a picture that is read"),
        ("sub", "links", "would replace a picture that is read"),
        (".", "drawn", "is in a folder that is read"),
        ("s*", "sub/drawn", "is in a folder that is read"),
    ],
)
def test_no_drawing_replaces_what_patterns_folders_and_links_stand_for(
    cli: RunCli, ckpt: Path, tmp_path: Path, read: str, place: str, reason: str
) -> None:
    pictures = tmp_path / "one.png", tmp_path / "sub" / "two.png"
    for picture in pictures:
        picture.parent.mkdir(exist_ok=True)
        Image.new("L", (40, 40), "white").save(picture)
    (tmp_path / "link.png").symlink_to("sub/two.png")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "two.png").symlink_to("../sub/two.png")
    before = [picture.read_bytes() for picture in pictures]
    result = cli("predict", tmp_path / read, "--picture", tmp_path / place)
    assert_fails(result, 2, reason)
    assert [picture.read_bytes() for picture in pictures] == before
    assert not (tmp_path / "drawn").exists()


def test_no_drawing_replaces_a_picture_of_its_name_in_capitals(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    Path("DIGIT0.png").hardlink_to(digits[0])  # as both names lead to one file where a disk does not tell them apart
    assert_fails(cli("predict", digits[0], "--picture", "DIGIT0.png"), 2, "would replace a picture that is read")


def test_no_drawing_replaces_another_of_its_name_in_capitals(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    Path("sub").mkdir()
    shutil.copy(digits[0], "sub/Digit0.png")
    assert cli("predict", digits[0], "sub/Digit0.png", "--picture", "drawn").exit_code == 0
    assert {path.name for path in Path("drawn").iterdir()} == {"digit0.png", "Digit0-2.png"}


def test_several_digits_are_drawn_too(cli: RunCli, ckpt: Path) -> None:
    Image.fromarray(sheet(4, 2)).save("number.png")
    assert cli("predict", "number.png", "--multi", "--picture", "drawn.png").exit_code == 0
    with Image.open("drawn.png") as drawn:
        assert drawn.size == (WIDTH_PX, HEIGHT_PX)


def test_a_drawing_in_a_folder_has_another_name_than_what_is_there(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    Path("mine").mkdir()
    Image.new("L", (40, 40), "white").save("mine/digit0.png")
    before = Path("mine/digit0.png").read_bytes()
    for _ in range(2):
        assert cli("predict", digits[0], "--picture", "mine").exit_code == 0
    assert Path("mine/digit0.png").read_bytes() == before
    assert {path.name for path in Path("mine").iterdir()} == {"digit0.png", "digit0-2.png"}


def test_drawings_replace_those_of_the_run_before(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    for _ in range(2):
        assert cli("predict", "digit*.png", "none.png", "--picture", "drawn/").exit_code == 5
    assert len(list(Path("drawn").iterdir())) == len(digits)
    assert cli("predict", "none.png", "--picture", ".").exit_code == 5


def test_predict_tells_what_it_cannot_even_ask_about_and_goes_on(cli: RunCli, ckpt: Path, digits: list[Path]) -> None:
    result = cli("predict", "x" * 300 + ".png", "no\nerror: such.png", digits[0], "--min-confidence", 0)
    assert result.exit_code == 5
    assert result.stderr.count("\n") == 3  # which weights answer, and a line for each
    assert result.stdout.count("\t2\t") == 1
    result = cli("predict", "x" * 300 + ".png", "--picture", "one.png")
    assert result.exit_code == 5
    assert "File name too long" in result.stderr


def test_predict_reads_a_file_of_the_name_of_standard_input(
    cli: RunCli, ckpt: Path, digits: list[Path], tmp_path: Path
) -> None:
    digits[0].rename(tmp_path / "-")
    assert cli("predict", "./-", "--min-confidence", 0).stdout.startswith(f"{tmp_path}/-\t2\t")


def test_predict_reads_standard_input(ckpt: Path, digits: list[Path]) -> None:
    command = [sys.executable, "-m", "mnistcli", "predict", "-", "--checkpoint", str(ckpt), "--min-confidence", "0"]
    with digits[0].open("rb") as picture:
        done = subprocess.run(command, stdin=picture, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("-\t2\t")


def test_the_drawing_of_standard_input_has_a_name(ckpt: Path, digits: list[Path], tmp_path: Path) -> None:
    (tmp_path / "standard-input.png").write_bytes(digits[1].read_bytes())
    command = [sys.executable, "-m", "mnistcli", "predict", "-", "standard-input.png", "--picture", "drawn"]
    with digits[0].open("rb") as picture:
        subprocess.run([*command, "--checkpoint", ckpt], cwd=tmp_path, stdin=picture, check=True)
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"standard-input.png", "standard-input-2.png"}
