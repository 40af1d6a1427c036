"""Where expected failures end: in a line, under --json in an object, and in an exit code; bugs keep their traceback."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from conftest import RunCli, assert_fails, documents, plain
from mnistcli.edge import EdgeApp
from mnistcli.errors import DataError, ExitCode


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "--epocs", "3"], ["--epocs", "--epochs", "mnistcli train --help"]),
        (["trian"], ["trian", "Did you mean 'train'"]),
        (["--foo"], ["--foo", "mnistcli --help"]),
        (["predict"], ["PICTURE"]),
        (["train", "--epochs", "0"], ["--epochs = 0: must be greater than or equal to 1"]),
        (["train", "--config", "lenett"], ["no config 'lenett'", "did you mean lenet?"]),
        (["eval", "x.pt", "--fail-under", "98"], ["--fail-under"]),
        (["show-samples", "--digit", "10"], ["--digit"]),
    ],
)
def test_wrong_usage_is_one_line(cli: RunCli, arguments: list[str], parts: list[str]) -> None:
    assert_fails(cli(*arguments), 2, *parts)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["eval", "none\nthere"], 5),
        (["show-samples", "--no-download", "--data-dir", "none\nthere"], 4),
        (["train", "--config", "none\nthere"], 2),
        (["train", "--lr", "none\nthere"], 2),
        (["predict", "--weights", "none\nthere"], 2),
    ],
)
def test_a_line_break_in_a_name_begins_no_other_line(cli: RunCli, arguments: list[str], exit_code: int) -> None:
    assert_fails(cli(*arguments), exit_code, r"none\nthere")


def test_a_failure_under_json_is_an_object(cli: RunCli) -> None:
    for arguments, exit_code in ((["eval", "none.pt"], 5), (["train", "--epochs", "0"], 2), (["predict"], 2)):
        result = cli(*arguments, "--json")
        (document,) = documents(result)
        assert (document["status"], document["exit_code"]) == ("error", exit_code) == ("error", result.exit_code)
        assert f"error: {document['error']}\n" == result.stderr


def test_what_stands_after_two_dashes_is_no_option(cli: RunCli) -> None:
    result = cli("eval", "--", "--json")
    assert result.stdout == ""
    assert "no checkpoint at --json" in result.stderr


def test_debug_shows_the_traceback(cli: RunCli) -> None:
    for arguments in (["eval", "none.pt", "--debug"], ["--debug", "eval", "none.pt"]):
        result = cli(*arguments)
        assert result.exit_code == 5
        assert "Traceback" in result.stderr
    assert "Traceback" not in cli("eval", "none.pt").stderr


@pytest.mark.parametrize(
    ("command", "broken"),
    [
        (["eval", "ckpt.pt"], "mnistcli.network.load"),
        (["predict", "7.png", "--checkpoint", "bundled"], "mnistcli.finding.read_picture"),  # in a thread of its own
    ],
)
def test_a_bug_keeps_its_traceback(
    cli: RunCli, monkeypatch: pytest.MonkeyPatch, command: list[str], broken: str
) -> None:
    monkeypatch.setattr(broken, lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli(*command)


def test_ctrl_c_ends_any_command_with_130(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mnistcli.network.load", interrupt)
    assert_fails(cli("eval", "ckpt.pt"), 130, "interrupted")


def test_a_signed_address_is_no_empty_argument(cli: RunCli) -> None:
    result = cli("train", "--config=nowhere?signature=abc=")
    assert "is empty" not in result.stderr
    assert "nowhere" in result.stderr


@pytest.mark.parametrize(
    "command",
    [["predict", ""], ["train", "--config", ""], ["download", "--data-dir="], ["eval", "bundled", "--split="]],
)
def test_an_empty_argument_is_wrong_usage(cli: RunCli, command: list[str]) -> None:
    assert_fails(cli(*command), 2, "an argument is empty")


def test_a_command_is_under_this_care_without_saying_so() -> None:
    app = EdgeApp(name="program")

    @app.command()
    def work(
        flag: Annotated[bool, typer.Option("--flag")] = False,
        count: Annotated[int, typer.Option("--count", min=1)] = 1,
        place: Annotated[Path, typer.Option("--place")] = Path(),
        how: Annotated[Literal["well", "badly"], typer.Option("--how")] = "well",
        which: Annotated[str, typer.Option("--which", metavar="NAME")] = "",
    ) -> None:
        raise DataError("there is nothing to work on")

    @app.command("rest")
    def pause() -> None:
        pass

    result = CliRunner().invoke(app, ["work"], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (ExitCode.DATA, "error: there is nothing to work on\n")
    shown = plain(CliRunner().invoke(app, ["work", "--help"]).stdout)
    for parts in ("--flag", "--count INT [x>=1]", "--place PATH", "--how well|badly", "--which NAME"):
        assert parts in " ".join(shown.split())
    assert "BOOL" not in shown
