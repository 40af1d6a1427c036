"""The training configuration: its keys, what each may be, and which of four places decides."""

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from mnistcli.errors import ConfigError
from mnistcli.files import from_home, names_folder

ENVIRONMENT_PREFIX = "MNISTCLI_"

# Options of the commands that have a variable of the same prefix, but are no keys of the configuration.
COMMAND_KEYS = ("config", "no_download")

PLACES = frozenset({"device", "threads", "output", "data_dir"})  # keys that say where to run; not part of a recipe

# What may differ when a run is continued; any other change would make it another run.
RESUMABLE_KEYS = PLACES | {"epochs", "patience"}

# From this probability on, `predict` names a digit; docs/benchmarks.md tells what that turns away and lets pass.
MIN_CONFIDENCE = 0.5

EVAL_BATCH_SIZE = 250  # images at a time where no gradients are wanted: more would not fit a CPU's cache

# Options that the core's messages name, besides the keys of a run.
OTHER_OPTIONS = {"config", "invert", "min_confidence", "picture", "processes", "resume", "split", "weights"}
LONGEST_SHOWN = 200  # characters of a value from a file that a message repeats
PACKAGE = Path(__file__).parent

Device = Literal["auto", "cpu", "cuda", "mps"]
Weights = Literal["last", "best"]  # after the last step, averaged where the run keeps an average; of the best epoch
ModelName = Literal["lenet", "strided", "unpadded", "allconv"]
Precision = Literal["auto", "fp32", "bf16"]
Split = Literal["train", "test"]
Invert = Literal["auto", "yes", "no"]  # whether digits are darker than their paper; auto judges by the picture


def check_choice(name: str, value: object, choices: object) -> None:
    """Make sure that an argument is one of the values that a Literal type lists.

    Raises:
        ConfigError: it is not.
    """
    known = get_args(choices)
    if value not in known:
        raise ConfigError(f"`{name}` is {value!r}; it must be {' or '.join(map(repr, known))}")


def check_range(name: str, value: float, lowest: float, highest: float) -> None:
    """Make sure that an argument is a number within a range, ends and all, which may be open above.

    Raises:
        ConfigError: it is not.
    """
    if not (isinstance(value, Real) and lowest <= value <= highest):
        range_ = f"at least {lowest}" if highest == math.inf else f"from {lowest} to {highest}"
        raise ConfigError(f"`{name}` is {value!r}; it must be {range_}")


class TrainConfig(BaseModel):
    """Everything that decides a training run; the defaults are the classic tutorial's.

    Keys are checked one by one; whether they go together is checked when a run begins, for a run that is continued adds
    its own.

    Raises:
        pydantic.ValidationError: a key is unknown, or a value has the wrong type or is out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    model: ModelName = Field(default="lenet", description="The network.")
    epochs: int = Field(default=1, ge=1, le=1_000_000, description="Passes over the training set, in total.")
    lr: float = Field(default=0.01, gt=0, description="Learning rate; the peak where a schedule varies it.")
    batch_size: int = Field(default=64, ge=1, le=1_000_000, description="Images per step.")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="What turns gradients into steps.")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="SGD's momentum.")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty with sgd, decoupled decay with adamw.")
    schedule: Literal["constant", "linear", "cosine", "onecycle"] = Field(
        default="constant", description="How the learning rate moves over all epochs."
    )
    warmup_epochs: float = Field(default=0.0, ge=0, description="Epochs over which the learning rate rises to lr.")
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="Share of each label that is spread over all digits."
    )
    ema_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Decay of a moving average of the weights, used in their place; 0 keeps none.",
    )
    precision: Precision = Field(
        default="fp32", description="Training's arithmetic; auto is bf16 where the device has instructions for it."
    )
    shift_px: float = Field(default=0.0, ge=0, le=28, description="Farthest random shift of a training image, pixels.")
    rotation_degrees: float = Field(default=0.0, ge=0, le=180, description="Largest random rotation, either way.")
    scale: float = Field(default=0.0, ge=0, lt=1, description="Largest random change of width and of height, a share.")
    shear: float = Field(default=0.0, ge=0, le=1, description="Largest random slant, in widths per height.")
    elastic_px: float = Field(default=0.0, ge=0, le=28, description="Standard deviation of elastic bends, pixels.")
    thickness: float = Field(
        default=0.0, ge=0, le=1, description="Largest random thickening and thinning of strokes; 1 is by a pixel."
    )
    styles: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of 1s that get a flag, three in ten of them a foot too, and of 7s that get a bar.",
    )
    written: float = Field(
        default=0.0, ge=0, le=1, description="Share of images replaced by the same digit, written stroke by stroke."
    )
    outliers: float = Field(
        default=0.0, ge=0, le=1, description="Shapes that are no digits, per training image, to learn to be unsure of."
    )
    val_size: int = Field(default=0, ge=0, lt=60_000, description="Training images held out to validate each epoch.")
    patience: int = Field(default=0, ge=0, description="Stop after so many epochs without a better one; 0 never does.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Decides all that is drawn at random.")
    device: Device = Field(default="auto", description="Where to compute; auto takes the fastest there is.")
    threads: int = Field(
        default=0, ge=0, le=1024, description="CPU threads; 0 leaves the choice to torch, 1 is faster on busy cores."
    )
    output: Path = Field(default=Path("ckpt.pt"), strict=False, description="The checkpoint to write.")
    data_dir: Path = Field(default=Path("data"), strict=False, description="Folder that holds MNIST/raw.")

    @classmethod
    def from_recipe(cls, name_or_file: str | Path, **changes: Any) -> Self:
        """Take a shipped recipe by its name, or a TOML file, as `--config` does, and change some of its keys.

        A Path is always a file's.

        Raises:
            ConfigError: there is no such recipe, or the file cannot be used.
            pydantic.ValidationError: as for the class.
        """
        place = from_home(name_or_file)
        return cls(**(read_config(str(Path(place).absolute()) if isinstance(name_or_file, Path) else place) | changes))

    @field_validator("output", "data_dir", mode="before")
    @classmethod
    def _tilde_is_home(cls, place: object) -> object:
        return from_home(place) if isinstance(place, str) else place

    @field_validator("output", mode="before")
    @classmethod
    def _output_names_a_file(cls, output: object) -> object:
        if isinstance(output, str) and names_folder(output):
            raise ValueError("names a folder: name a file")
        return output

    def check_together(self) -> None:
        """Make sure that the keys go together.

        Raises:
            ConfigError: naming all that do not, a line each.
        """
        faults = list(self._conflicts())
        if faults:
            raise ConfigError(*faults)

    def _conflicts(self) -> Iterator[str]:
        if self.optimizer == "adamw" and self.momentum > 0:
            yield "`momentum` belongs to sgd and would do nothing under adamw: drop one of the two"
        if self.schedule == "onecycle" and self.warmup_epochs > 0:
            yield "onecycle warms up by itself: drop `warmup_epochs`, or take another schedule"
        elif self.warmup_epochs >= self.epochs:
            yield f"`warmup_epochs` {self.warmup_epochs:g} must be below `epochs` {self.epochs}: change one of the two"
        if self.patience > 0 and self.val_size == 0:
            yield "`patience` goes by the validation accuracy: hold images out with `val_size`"

    def continuing(self, saved: "TrainConfig", checkpoint: Path, begun_epochs: int = 0) -> "TrainConfig":
        """Complete this configuration for the continuation of the run that `checkpoint` holds.

        Keys set here, by whatever means, win; the run's own, `saved`, stand for all others. The checkpoint is
        written back to where it came from unless `output` is set. Epochs that are begun are finished: where fewer than
        `begun_epochs` are asked for, it is these.

        Raises:
            ConfigError: a key is set to another value than the run's, and that would make it a different run, or one
            that does not fit it.
        """
        asked = {name: getattr(self, name) for name in TrainConfig.model_fields if name in self.model_fields_set}
        run = saved.model_dump()
        changed = [name for name in asked if name not in RESUMABLE_KEYS and asked[name] != run[name]]
        # A schedule that has a shape is laid out over the total: other epochs would bend it half-way.
        if saved.schedule != "constant" and asked.get("epochs", saved.epochs) != saved.epochs:
            changed.append("epochs")
        if changed:
            faults = [f"`{name}` is {asked[name]} here and {run[name]} in the run" for name in changed]
            raise ConfigError(
                f"{checkpoint} cannot be continued as another run: {'; '.join(faults)}; "
                "drop the change (an option, a MNISTCLI_ variable or `config`), or train anew without `resume`"
            )
        if asked.get("patience") and saved.val_size == 0:  # which cannot be changed any more
            raise ConfigError(
                f"{checkpoint} cannot be continued with `patience`, which goes by the accuracy of held-out images: "
                "its run holds none out; drop `patience`, or train anew with `val_size`"
            )
        if "epochs" in asked:
            asked["epochs"] = max(asked["epochs"], begun_epochs)
        return TrainConfig(**{**run, "output": checkpoint, **asked})


def option_name(key: str) -> str:
    """Give the command-line spelling of a configuration key."""
    return "--" + key.replace("_", "-")


def spell_options(message: str) -> str:
    """Spell the options that a message of the core names, such as `val_size`, as the command line does."""
    known = TrainConfig.model_fields.keys() | OTHER_OPTIONS
    return re.sub(r"`(\w+)`", lambda word: option_name(word[1]) if word[1] in known else word[0], message)


def variable_name(key: str) -> str:
    """Give the environment's spelling of a configuration key."""
    return ENVIRONMENT_PREFIX + key.upper()


def choices(key: str) -> list[str]:
    """List the words that a configuration key may be; none where it is a number or a path."""
    annotation = TrainConfig.model_fields[key].annotation
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def number_range(key: str) -> str:
    """Give the range that a configuration key must be in, such as 0<=x<1 or x>=1; nothing where it is no number."""
    bounds = {
        name: getattr(constraint, name)
        for constraint in TrainConfig.model_fields[key].metadata
        for name in ("gt", "ge", "lt", "le")
        if hasattr(constraint, name)
    }
    lowest, highest = bounds.get("gt", bounds.get("ge")), bounds.get("lt", bounds.get("le"))
    if lowest is None:
        return ""
    if highest is None:
        return f"x>{lowest}" if "gt" in bounds else f"x>={lowest}"
    return f"{lowest}<{'=' * ('ge' in bounds)}x<{'=' * ('le' in bounds)}{highest}"


def shipped_configs() -> dict[str, Path]:
    """List the configurations that come with the package, by name."""
    # In a wheel the folder lies inside the package, in a checkout beside it.
    folder = next(parent for parent in (PACKAGE, PACKAGE.parent) if (parent / "configs").is_dir()) / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_config(name_or_file: str) -> dict[str, Any]:
    """Read a shipped configuration by name, or any TOML file by path.

    Raises:
        ConfigError: there is no such configuration, it is not TOML, or its numbers or tables are too much for Python.
    """
    shipped = shipped_configs()
    path = shipped.get(name_or_file, Path(name_or_file))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        near = get_close_matches(name_or_file, shipped, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"no config {name_or_file!r}: neither a file nor one of the shipped ones ({', '.join(shipped)}){hint}"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not TOML: {error}") from None
    except ValueError:  # Python's int takes 4,300 digits at most
        raise ConfigError(f"config {path} cannot be used: a number has too many digits") from None
    except RecursionError:
        raise ConfigError(f"config {path} cannot be used: its arrays or tables are nested too deeply") from None


class Resolved(NamedTuple):
    """A configuration, and in words what decided each of its keys."""

    config: TrainConfig
    origins: dict[str, str]


def resolve(
    flags: Mapping[str, str | None], environment: Mapping[str, str], name_or_file: str | None = None
) -> Resolved:
    """Decide every key: flag > environment > configuration file > default.

    Flags and environment variables are text and are parsed; a TOML file has types, and they must be right.
    The configuration's `model_fields_set` holds the keys that one of the three decided.

    Args:
        flags: the text of each option by its key, None where it was not given.
        environment: all variables; those that start with `MNISTCLI_` count.
        name_or_file: a shipped configuration or a file, as in `read_config`.

    Raises:
        ConfigError: naming every fault of every place, a line each.
    """
    given = {key: text for key, text in flags.items() if text is not None}
    file = read_config(name_or_file) if name_or_file else {}
    layers = [
        _check(file, str, f" in {name_or_file}", is_text=False),
        _check(_from_environment(environment), variable_name),
        _check(given, option_name),
    ]
    faults = [fault for _, faults in layers for fault in faults]
    if faults:
        raise ConfigError(*faults)
    in_file, in_environment, in_flags = (values for values, _ in layers)
    config = TrainConfig(**{**in_file, **in_environment, **in_flags})
    origins = {
        **dict.fromkeys(TrainConfig.model_fields, "default"),
        **dict.fromkeys(in_file, f"config {name_or_file}"),
        **{key: variable_name(key) for key in in_environment},
        **{key: option_name(key) for key in in_flags},
    }
    return Resolved(config, origins)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): text
        for name, text in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
        and name not in map(variable_name, COMMAND_KEYS)
        and text  # "" is not set
    }


def _check(
    values: Mapping[str, Any], spell: Callable[[str], str], where: str = "", *, is_text: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """Check the keys of one place by themselves; give their parsed values, and the faults in that place's spelling."""
    validate = TrainConfig.model_validate_strings if is_text else TrainConfig.model_validate
    try:
        config = validate(values)
    except ValidationError as error:
        return {}, [_fault(detail, spell, where, is_text) for detail in error.errors()]
    return {key: getattr(config, key) for key in config.model_fields_set}, []


def _fault(detail: ErrorDetails, spell: Callable[[str], str], where: str, is_text: bool) -> str:
    key, value = str(detail["loc"][0]), detail["input"]
    if detail["type"] != "extra_forbidden":
        return f"{spell(key)}{where} = {value if is_text else _as_written(value)}: {_reason(detail)}"
    if isinstance(value, dict):
        return f"{spell(key)}{where} is a table; keys belong above all tables"
    return f"{spell(key)}{where} is not known{_nearest(key, spell)}"


def _as_written(value: Any) -> str:
    """Show what TOML gave, or how it begins: a string in quotes, so that "3" and 3 can be told apart."""
    try:
        written = json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError):  # an int of more than 4,300 digits, or tables nested too deeply
        return "..."
    return written if len(written) <= LONGEST_SHOWN else f"{written[:LONGEST_SHOWN]}..."


def _nearest(key: str, spell: Callable[[str], str]) -> str:
    known = [*TrainConfig.model_fields, *(COMMAND_KEYS if spell is variable_name else ())]
    near = get_close_matches(key, known, n=1)
    return f"; did you mean {spell(near[0])}?" if near else f"; known are {', '.join(map(spell, known))}"


def _reason(detail: ErrorDetails) -> str:
    return "must be a path" if detail["type"] == "path_type" else plain(detail["msg"])


def plain(message: str) -> str:
    """Put a message of pydantic's or typer's in a user's words."""
    message = re.sub(r", unable to parse string as an? \w+", "", message)
    return message.replace("Value error, ", "").replace("Input should be", "must be")
