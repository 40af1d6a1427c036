"""Precedence, and faults that are all named at once."""

import math
import sys
from pathlib import Path

import pytest

from mnistcli.config import (
    RESUMABLE_KEYS,
    TrainConfig,
    check_range,
    choices,
    option_name,
    read_config,
    resolve,
    shipped_configs,
    spell_options,
)
from mnistcli.errors import ConfigError


def test_without_anything_the_defaults_are_the_tutorials() -> None:
    config = resolve({}, {}).config
    assert (config.epochs, config.lr, config.batch_size, config.optimizer) == (1, 0.01, 64, "sgd")
    assert config.model_fields_set == set()


def test_lenet_toml_spells_the_defaults_out() -> None:
    assert resolve({}, {}, "lenet").config == TrainConfig()
    recipe = set(TrainConfig.model_fields) - {"device", "threads", "output", "data_dir"}
    assert set(read_config("lenet")) == recipe


def test_every_shipped_config_is_valid() -> None:
    assert "lenet" in shipped_configs()
    for name in shipped_configs():
        resolve({}, {}, name).config.check_together()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 2\nlr = 0.2\nseed = 2\n")
    config = resolve({"epochs": "4", "lr": None}, {"MNISTCLI_EPOCHS": "3", "MNISTCLI_LR": "0.3"}, str(file)).config
    assert (config.epochs, config.lr, config.seed, config.batch_size) == (4, 0.3, 2, 64)
    assert config.model_fields_set == {"epochs", "lr", "seed"}


def test_all_faults_of_all_places_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('lr = -1\nepocs = 3\nbatch_size = "64"\nval_size = 1.5\n')
    with pytest.raises(ConfigError) as caught:
        resolve({"epochs": "0", "optimizer": "adam"}, {"MNISTCLI_SEED": "x", "MNISTCLI_TREADS": "2"}, str(file))
    faults = str(caught.value).splitlines()
    assert len(faults) == 8
    for fault in (
        f"lr in {file} = -1: must be greater than 0",
        f"epocs in {file} is not known; did you mean epochs?",
        f'batch_size in {file} = "64": must be a valid integer',
        f"val_size in {file} = 1.5: must be a valid integer",
        "MNISTCLI_SEED = x: must be a valid integer",
        "MNISTCLI_TREADS is not known; did you mean MNISTCLI_THREADS?",
        "--epochs = 0: must be greater than or equal to 1",
        "--optimizer = adam: must be 'sgd' or 'adamw'",
    ):
        assert fault in faults


def test_a_variable_like_no_key_gets_the_list() -> None:
    with pytest.raises(ConfigError, match=r"^MNISTCLI_FOO is not known; known are MNISTCLI_MODEL, MNISTCLI_EPOCHS,"):
        resolve({}, {"MNISTCLI_FOO": "1"})


def test_a_variable_of_the_commands_is_known_too() -> None:
    with pytest.raises(ConfigError, match=r"^MNISTCLI_CONFG is not known; did you mean MNISTCLI_CONFIG\?"):
        resolve({}, {"MNISTCLI_CONFG": "fast"})


def test_only_options_are_spelled_as_such() -> None:
    message = "cannot read `foo`: try `val_size`, `resume`"
    assert spell_options(message) == "cannot read `foo`: try --val-size, --resume"


def test_keys_in_a_table_are_told_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[train]\nepochs = 2\n")
    with pytest.raises(ConfigError, match=r"^train in .*mine.toml is a table; keys belong above all tables$"):
        resolve({}, {}, str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("key", "allowed", "refused"),
    [
        ("epochs", ("1", "1000000"), ("0", "1000001")),
        ("batch_size", ("1", "1000000"), ("0", "1000001")),
        ("lr", ("1e-9", "1e9"), ("0",)),
        ("momentum", ("0", "0.999"), ("-0.1", "1")),
        ("weight_decay", ("0", "10"), ("-0.1",)),
        ("warmup_epochs", ("0", "0.9"), ("-0.1",)),
        ("label_smoothing", ("0", "0.999"), ("-0.1", "1")),
        ("ema_decay", ("0", "0.999"), ("-0.1", "1")),
        ("shift_px", ("0", "28"), ("-0.1", "28.1")),
        ("rotation_degrees", ("0", "180"), ("-0.1", "180.1")),
        ("scale", ("0", "0.999"), ("-0.1", "1")),
        ("shear", ("0", "1"), ("-0.1", "1.1")),
        ("elastic_px", ("0", "28"), ("-0.1", "28.1")),
        ("thickness", ("0", "1"), ("-0.1", "1.1")),
        ("styles", ("0", "1"), ("-0.1", "1.1")),
        ("written", ("0", "1"), ("-0.1", "1.1")),
        ("outliers", ("0", "1"), ("-0.1", "1.1")),
        ("val_size", ("0", "59999"), ("-1", "60000")),
        ("patience", ("0",), ("-1",)),
        ("seed", ("0", str(2**63 - 1)), ("-1", str(2**63))),
        ("threads", ("0", "1024"), ("-1", "1025")),
    ],
)
def test_each_number_has_its_bounds(key: str, allowed: tuple[str, ...], refused: tuple[str, ...]) -> None:
    for text in allowed:
        assert float(getattr(resolve({key: text}, {}).config, key)) == float(text)
    for text in refused:
        with pytest.raises(ConfigError, match=rf"^{option_name(key)} = {text}: must be (greater|less) than"):
            resolve({key: text}, {})


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "fast"])
def test_a_learning_rate_is_a_positive_number(text: str) -> None:
    with pytest.raises(ConfigError, match="--lr"):
        resolve({"lr": text}, {})


@pytest.mark.parametrize(
    ("value", "highest", "fault"), [(-1, math.inf, "`x` is -1; it must be at least 0"), (1.5, 1, "from 0 to 1")]
)
def test_a_number_out_of_range_is_told_what_it_must_be(value: float, highest: float, fault: str) -> None:
    check_range("x", 0, 0, highest)
    with pytest.raises(ConfigError, match=f"{fault}$"):
        check_range("x", value, 0, highest)


def test_a_flag_repairs_what_another_place_got_wrong() -> None:
    environment = {"MNISTCLI_OPTIMIZER": "adamw", "MNISTCLI_MOMENTUM": "0.9"}
    assert resolve({"optimizer": "sgd"}, environment).config.momentum == 0.9
    assert resolve({"momentum": "0"}, environment).config.optimizer == "adamw"


def test_an_empty_variable_is_not_set() -> None:
    assert resolve({}, {"MNISTCLI_EPOCHS": "", "MNISTCLI_DATA_DIR": ""}).config == TrainConfig()


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfepochs = 2\n")
    assert resolve({}, {}, str(tmp_path / "mine.toml")).config.epochs == 2


def test_an_output_with_a_slash_at_its_end_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('output = "runs/"\n')
    given: dict[str, tuple[dict[str, str], dict[str, str], str | None]] = {
        "--output = runs/": ({"output": "runs/"}, {}, None),
        "MNISTCLI_OUTPUT = runs/": ({}, {"MNISTCLI_OUTPUT": "runs/"}, None),
        f'output in {file} = "runs/"': ({}, {}, str(file)),
    }
    for fault, places in given.items():
        with pytest.raises(ConfigError) as caught:
            resolve(*places)
        assert str(caught.value) == f"{fault}: names a folder: name a file"


def test_a_tilde_is_the_home_folder_wherever_a_path_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "mine.toml").write_text('output = "~/runs/ckpt.pt"\n')
    config = resolve({}, {"MNISTCLI_DATA_DIR": "~/mnist"}, str(tmp_path / "mine.toml")).config
    assert (config.output, config.data_dir) == (tmp_path / "runs/ckpt.pt", tmp_path / "mnist")
    assert resolve({"output": "~/a.pt"}, {}).config.output == tmp_path / "a.pt"
    assert resolve({"output": "~nobody-has-this-name/a.pt"}, {}).config.output == Path("~nobody-has-this-name/a.pt")


def test_momentum_without_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match="`momentum` belongs to sgd"):
        resolve({"momentum": "0.9"}, {"MNISTCLI_OPTIMIZER": "adamw"}).config.check_together()


def test_other_programs_variables_do_not_count() -> None:
    assert resolve({}, {"EPOCHS": "7", "MNISTCLI_CONFIG": "x", "MNISTCLI_NO_DOWNLOAD": "1"}).config == TrainConfig()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "neither a file nor one of the shipped"),
        ("epochs 3", "not TOML"),
        (b"\xff", "not TOML"),
        ("epochs = " + "9" * 5000, "a number has too many digits$"),
        ("lr = " + "[" * 3000 + "]" * 3000, "its arrays or tables are nested too deeply$"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, content: str | bytes | None, reason: str) -> None:
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=reason) as caught:
        read_config(str(file))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "line", ["threads = 0x" + "f" * 5000, "lr" + ".a" * 3000 + " = 1", 'device = "' + "c" * 300 + '"']
)
def test_a_value_that_cannot_be_shown_is_told_all_the_same(tmp_path: Path, line: str) -> None:
    (tmp_path / "mine.toml").write_text(line)
    told = r"in .*mine\.toml = (.{200})?\.\.\.: must be "
    if line.startswith("lr.a") and sys.version_info >= (3, 14):  # which reads no tables that are nested so deeply
        told = r"mine\.toml cannot be used: .* nested too deeply"
    with pytest.raises(ConfigError, match=told) as caught:
        resolve({}, {}, str(tmp_path / "mine.toml"))
    assert "\n" not in str(caught.value)


def test_a_continued_run_keeps_what_is_not_asked_otherwise() -> None:
    saved = TrainConfig(lr=0.1, seed=3, data_dir=Path("elsewhere"), output=Path("first.pt"))
    config = TrainConfig(epochs=5).continuing(saved, Path("moved.pt"))
    assert config == TrainConfig(epochs=5, lr=0.1, seed=3, data_dir=Path("elsewhere"), output=Path("moved.pt"))


def test_another_run_is_refused_by_name() -> None:
    with pytest.raises(
        ConfigError, match=r"`lr` is 0.2 here and 0.1 in the run; `batch_size` is 32 here and 64 in the run"
    ):
        TrainConfig(epochs=3, lr=0.2, batch_size=32).continuing(TrainConfig(lr=0.1), Path("ckpt.pt"))


def test_a_schedule_cannot_be_stretched() -> None:
    saved = TrainConfig(epochs=2, schedule="cosine")
    assert TrainConfig(epochs=2).continuing(saved, Path("ckpt.pt")).epochs == 2
    with pytest.raises(ConfigError, match="`epochs` is 3 here and 2 in the run"):
        TrainConfig(epochs=3).continuing(saved, Path("ckpt.pt"))


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"schedule": "onecycle", "warmup_epochs": "1", "epochs": "3"}, "onecycle warms up by itself"),
        ({"schedule": "linear", "warmup_epochs": "2", "epochs": "2"}, "`warmup_epochs` 2 must be below `epochs` 2"),
        ({"patience": "3"}, "hold images out with `val_size`"),
    ],
)
def test_keys_that_do_not_go_together_are_told(keys: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        resolve(keys, {}).config.check_together()


def test_all_keys_that_do_not_go_together_are_told_at_once() -> None:
    keys = {"optimizer": "adamw", "momentum": "0.9", "patience": "3", "schedule": "onecycle", "warmup_epochs": "1"}
    with pytest.raises(ConfigError) as caught:
        resolve(keys, {}).config.check_together()
    assert [line.split(":")[0] for line in caught.value.lines] == [
        "`momentum` belongs to sgd and would do nothing under adamw",
        "onecycle warms up by itself",
        "`patience` goes by the validation accuracy",
    ]


def test_a_continued_run_may_lack_what_the_run_has() -> None:
    asked = resolve({"patience": "3"}, {}).config
    assert asked.continuing(TrainConfig(val_size=10), Path("ckpt.pt")).patience == 3


def test_a_continued_run_that_holds_no_images_out_is_not_told_to_do_so() -> None:
    asked = resolve({"patience": "3"}, {}).config
    with pytest.raises(ConfigError, match=r"^ckpt.pt cannot be continued with `patience`, .* its run holds none out"):
        asked.continuing(TrainConfig(), Path("ckpt.pt"))
    never = resolve({"patience": "0"}, {}).config
    assert never.continuing(TrainConfig(), Path("ckpt.pt")).patience == 0


def test_every_network_has_a_name_and_every_name_a_network() -> None:
    from mnistcli.model import MODELS

    assert list(MODELS) == choices("model")


@pytest.mark.parametrize("key", sorted(set(TrainConfig.model_fields) - RESUMABLE_KEYS))
def test_each_key_that_would_make_another_run_is_refused_by_name(key: str) -> None:
    saved = TrainConfig(val_size=10, epochs=9)
    run = saved.model_dump()
    other = {int: 7, float: 0.25}.get(type(run[key])) or choices(key)[-1]
    with pytest.raises(ConfigError, match=f"cannot be continued as another run: `{key}` is "):
        TrainConfig.model_validate({key: other}).continuing(saved, Path("ckpt.pt"))
