"""The README is held to what the program does."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import mnistcli
from conftest import RunCli
from mnistcli.checkpoint import Checkpoint
from mnistcli.cli import app
from mnistcli.config import OTHER_OPTIONS, TrainConfig, choices, option_name, resolve, shipped_configs
from mnistcli.errors import ExitCode
from mnistcli.model import build_model

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def table(heading: str) -> list[list[str]]:
    """Give the rows of the table under a heading, without its head."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def readme_commands() -> list[str]:
    """List the command lines that the README shows."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", README, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("mnistcli ")]


@pytest.mark.parametrize("line", readme_commands())
def test_every_command_in_the_readme_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line.split(" | ")[0])[1:]
    context = COMMANDS[name].make_context(name, arguments, parent=typer.Context(get_command(app)))
    if name == "train":
        resolve({key: context.params[key] for key in TrainConfig.model_fields}, {}, context.params["config"])


def test_messages_spell_the_options_that_there_are() -> None:
    options = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    assert {option_name(name) for name in OTHER_OPTIONS} <= options
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mnistcli").glob("*.py"))
    checked = set(re.findall(r'check_(?:choice|range)\("(\w+)"', sources))
    assert {"invert", "processes"} < checked <= OTHER_OPTIONS | TrainConfig.model_fields.keys()


def test_every_command_and_option_is_in_the_readme() -> None:
    for name, command in COMMANDS.items():
        assert f"`{name}`" in README
        for parameter in command.params:
            for option in parameter.opts:
                is_shown = re.search(rf"(?<![\w-]){option}(?![\w-])", README)
                is_key = name == "train" and parameter.name in TrainConfig.model_fields
                assert is_shown or is_key or not option.startswith("--"), option


def test_every_option_in_the_readme_exists() -> None:
    known = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    known |= {"--standalone", "--nproc-per-node", "--nnodes", "--rdzv-endpoint"}  # torchrun's
    known |= {"--version", "--help", "--install-completion", "--show-completion"}
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert mentioned <= known


def test_the_configuration_table_is_the_configuration() -> None:
    documented = {key.strip("`"): (default.strip("`"), text) for key, default, text in table("Configuration")}
    assert {key: default for key, (default, _) in documented.items()} == {
        key: str(field.default) for key, field in TrainConfig.model_fields.items()
    }
    for key in documented:
        assert {choice for choice in choices(key) if f"`{choice}`" not in documented[key][1]} == set()


def test_train_has_an_option_for_each_key() -> None:
    assert TrainConfig.model_fields.keys() - {parameter.name for parameter in COMMANDS["train"].params} == set()


def test_every_shipped_config_is_in_the_readme_and_explains_itself() -> None:
    for name, path in shipped_configs().items():
        assert f"`{name}`" in README
        assert path.read_text(encoding="utf-8").startswith("# ")


def test_help_lists_the_recipes_and_the_networks(cli: RunCli) -> None:
    shown = cli("train", "--help").stdout
    assert "(best, fast, lenet, robust)" in shown
    assert "|".join(choices("model")) in shown


def test_the_recipes_are_those_that_were_measured() -> None:
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = [line for line in README.splitlines() if line.startswith("| [")]
    assert [row.split("`")[1] for row in rows] == ["lenet", "fast", "best", "robust"]
    for row in rows:
        name, model, size, accuracy, seconds, command = (cell.strip() for cell in row.strip("|").split("|"))
        config = resolve({}, {}, name.split("`")[1]).config
        parameters = sum(parameter.numel() for parameter in build_model(config.model).parameters())
        assert (model, size) == (f"`{config.model}`", f"{parameters:,}")
        assert command == f"`mnistcli train --config {name.split('`')[1]}`"
        assert f"| {accuracy} |" in benchmarks
        assert f"| {seconds} |" in benchmarks


def test_the_checkpoint_table_is_the_checkpoint() -> None:
    documented = {part for parts, _ in table("What a checkpoint holds") for part in re.findall(r"`(\w+)`", parts)}
    assert documented == {"format", "format_version", *Checkpoint.model_fields} - {"path"}


def test_the_exit_codes_are_the_programs() -> None:
    assert [int(code) for code, _ in table("Exit codes")] == [int(code) for code in ExitCode]


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{target} in {page.name}"


def test_every_module_has_its_place_in_the_readme() -> None:
    unlisted = {"__init__", "__main__", "edge", "files", "interrupt", "pickled"}
    modules = {path.stem for path in (ROOT / "mnistcli").glob("*.py")} - unlisted
    assert modules <= {Path(target).stem for target in re.findall(r"\]\((mnistcli/[^)]+)\)", README)}


def test_the_python_example_runs(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cli: RunCli
) -> None:
    example = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "data").symlink_to(data_dir)
    monkeypatch.setattr(mnistcli, "download_mnist", lambda folder: folder)  # what is there is not the real MNIST
    exec(compile(example, "README.md", "exec"), {})
    written = capsys.readouterr().out
    assert "of 200" in written
    assert re.search(r"epoch 1: loss \d\.\d{4}\nckpt\.pt\n\Z", written)
