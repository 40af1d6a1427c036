"""The checkpoint: one file that carries all it needs to rebuild its network and to continue its run."""

import copy
import io
import math
import platform
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NotRequired, Self, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, with_config
from torch import Tensor
from typing_extensions import TypedDict

import mnistcli
from mnistcli.bundled import BUNDLED, checkpoint_name
from mnistcli.config import PLACES, TrainConfig, Weights
from mnistcli.data import Normalization
from mnistcli.devices import lacks_memory
from mnistcli.errors import CheckpointError
from mnistcli.files import as_argument
from mnistcli.loop import Best, EpochDone, TrainState
from mnistcli.model import Classifier, build_model
from mnistcli.rejection import Rejector
from mnistcli.scoring import Calibration

FORMAT = "mnistcli checkpoint"
FORMAT_VERSION = 2
NO_ROOM = "there is too little memory for it"
LONGEST_REASON = 200  # characters of what torch says of weights, which may name all of them

_STRICT = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


@with_config(_STRICT)
class _Model(TypedDict):
    name: str
    arguments: dict[str, Any]


@with_config(_STRICT)
class _Rejector(TypedDict):
    weights: list[_Finite]
    bias: _Finite


@with_config(_STRICT)
class _Calibration(TypedDict):
    temperature: NotRequired[_Positive]
    rejector: NotRequired[_Rejector | None]


@with_config(_STRICT)
class _Best(_Calibration):
    epoch: _Count
    val_accuracy: _Finite
    weights: dict[str, Tensor]


@with_config(_STRICT)
class _Normalization(TypedDict):
    mean: _Finite
    std: _Positive


@with_config(_STRICT)
class _Partial(TypedDict):
    step: _Count
    loss_sum: Tensor
    correct: Tensor
    seconds: _Finite


@with_config(ConfigDict(**{**_STRICT, "extra": "allow"}))  # figures that only `restore` needs to know
class _Epoch(TypedDict):
    epoch: _Count
    epochs: _Count
    loss: _Finite
    accuracy: _Finite
    seconds: _Finite
    images_per_second: _Finite
    val_loss: NotRequired[_Finite | None]
    val_accuracy: NotRequired[_Finite | None]


class Checkpoint(BaseModel):
    """What the file holds, besides its format and version: tensors and plain values only.

    Attributes:
        run_id: the same for all checkpoints of one run, also after it is continued.
        model: `name` and `arguments`, what `build_model` takes.
        weights: the network's state dict after the last step taken.
        average: that of the averaged network, which answers in its place; None where none is kept.
        temperature: what logits are divided by to calibrate the probabilities, so that of answers given p, a share p
            is right; 1 without validation.
        rejector: `weights` and `bias` of the logistic regression that tells by the network's features what is no
            digit; None where that was not learned.
        best: `epoch`, `val_accuracy`, `weights`, `temperature` and `rejector` of the best epoch; None without
            validation.
        optimizer: the optimizer's state: a name, and a tensor for each parameter of the network; None where the
            checkpoint is for use alone.
        generators: `shuffle`, the state of the generator that draws the epoch under way, uint8.
        normalization: `mean` and `std` of the pixels scaled to 0..1.
        epoch: finished epochs.
        partial: where training stopped within an epoch: `step`, `loss_sum`, `correct`, `seconds`.
        history: the figures of each finished epoch, as in `EpochDone`.
        train_size: images trained on each epoch.
        train_checksum: CRC-32 of all training images, held out or not, and their labels; None in older files.
        config: the resolved configuration.
        seed: as in the configuration.
        versions: of `mnistcli`, `torch` and `python`.
        path: where it was read from, for messages; not in the file.
    """

    model_config = ConfigDict(frozen=True, **_STRICT)

    run_id: str
    model: _Model
    weights: dict[str, Tensor]
    average: dict[str, Tensor] | None
    temperature: _Positive = 1.0
    rejector: _Rejector | None = None
    best: _Best | None
    optimizer: dict[str, list[Tensor]] | None
    generators: dict[str, Tensor]
    normalization: _Normalization
    epoch: _Count
    partial: _Partial
    history: list[_Epoch]
    train_size: int = Field(ge=1)
    train_checksum: int | None = None
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    path: Path | None = None

    @classmethod
    def of(
        cls,
        run_id: str,
        state: TrainState,
        normalization: Normalization,
        config: TrainConfig,
        train_checksum: int,
    ) -> Self:
        """Take down a run as it stands; the tensors are shared with it, so save before the next step."""
        return cls(
            run_id=run_id,
            model={"name": config.model, "arguments": {}},
            weights=dict(state.model.state_dict()),
            average=dict(state.average.state_dict()) if state.average is not None else None,
            **_pack_calibration(state.calibration),
            best=_pack_best(state.best) if state.best else None,
            optimizer=state.optimizer.state,
            generators={"shuffle": state.shuffle},
            normalization={"mean": normalization.mean, "std": normalization.std},
            epoch=state.epoch,
            partial={
                "step": state.step,
                "loss_sum": state.loss_sum,
                "correct": state.correct,
                "seconds": state.seconds,
            },
            history=[cast("_Epoch", asdict(done)) for done in state.history],
            train_size=state.train_size,
            train_checksum=train_checksum,
            config=config.model_dump(mode="json"),
            seed=config.seed,
            versions={
                "mnistcli": mnistcli.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        )

    @property
    def best_epoch(self) -> int | None:
        """Give the best epoch's number, where there is one."""
        return self.best["epoch"] if self.best else None

    @property
    def _last(self) -> dict[str, Tensor]:
        """Give the weights that answer for the last step: averaged, where an average is kept."""
        return self.weights if self.average is None else self.average

    def train_config(self) -> TrainConfig:
        """Give the run's configuration.

        Raises:
            CheckpointError: this version does not know one of its keys or values.
        """
        try:
            return TrainConfig(**self.config)
        except ValidationError as error:
            raise self._unusable(f"its configuration has unknown or wrong keys: {_places(error)}") from None

    def pixel_normalization(self) -> Normalization:
        """Give what the network expects its pixels to be turned into."""
        return Normalization(**self.normalization)

    def calibration(self, weights: Weights = "last") -> Calibration:
        """Give that of those weights."""
        if weights == "best" and self.best:
            return _unpack_calibration(self.best.get("temperature", 1.0), self.best.get("rejector"))
        return _unpack_calibration(self.temperature, self.rejector)

    def build_model(self, weights: Weights = "last") -> Classifier:
        """Rebuild the network, on the CPU, with its last weights, averaged where an average is kept, or the best's.

        Raises:
            CheckpointError: the network is unknown, the weights or the rejector do not fit it, weights are not finite,
                or no best epoch was kept.
        """
        if weights == "best" and self.best is None:
            raise self._unusable(f"it has no best epoch; {self._why_no_best()}")
        try:
            model = build_model(self.model["name"], **self.model["arguments"])
            model.load_state_dict(self.best["weights"] if weights == "best" and self.best else self._last)
        except CheckpointError as error:  # of a network that is not known
            raise self._unusable(str(error)) from None
        except _MISFITS as error:
            raise self._misfit("its weights do not fit its network", error) from None
        rejector = self.calibration(weights).rejector
        features = model.last.in_features
        if rejector is not None and len(rejector.weights) != features:
            raise self._unusable(f"its rejector is of {len(rejector.weights)} features, its network has {features}")
        self._check_finite(model.state_dict().values())
        return model

    def _why_no_best(self) -> str:
        if self.optimizer is None:
            return "it was saved for use, with its last weights alone"
        return "none is finished yet" if self.train_config().val_size > 0 else "train with `val_size` to keep one"

    def for_use(self) -> Self:
        """Give the same network without what only its training needs, and without the places it was trained in."""
        config = {key: value for key, value in self.config.items() if key not in PLACES}
        changes = {"weights": self._last, "average": None, "best": None, "optimizer": None, "config": config}
        return self.model_copy(update=changes)

    def optimizer_state(self) -> dict[str, list[Tensor]]:
        """Give the optimizer's state.

        Raises:
            CheckpointError: the checkpoint is for use alone.
        """
        if self.optimizer is None:
            raise self._unusable("it holds weights alone: they can be used, but their training cannot be continued")
        return self.optimizer

    def restore(self, state: TrainState, train_checksum: int) -> None:
        """Put a fresh state of the same configuration where this checkpoint's run stood.

        Args:
            state: of the same configuration.
            train_checksum: of the images that are here, as in the attributes.

        Raises:
            CheckpointError: the run was on other images, a part does not fit the state, or weights are not finite.
        """
        optimizer = self.optimizer_state()
        if self.train_size != state.train_size:
            raise self._unusable(f"its run is on {self.train_size:,} images, and here are {state.train_size:,}")
        if self.train_checksum not in (None, train_checksum):
            raise self._unusable("its run is on other training images, or other labels, than are here")
        steps = math.ceil(self.train_size / self.train_config().batch_size)
        if self.partial["step"] > steps:
            raise self._unusable(f"it has {self.partial['step']:,} steps of an epoch of {steps:,}")
        try:
            state.model.load_state_dict(self.weights)
            if state.average is not None:
                state.average.load_state_dict(self.average or {})
            _copy_into(state.optimizer.state, optimizer)
            state.shuffle = self.generators["shuffle"]
            torch.Generator().set_state(state.shuffle)
            state.epoch, state.step, state.seconds = self.epoch, self.partial["step"], self.partial["seconds"]
            state.loss_sum = _as_sum("loss_sum", self.partial["loss_sum"], state.loss_sum)
            state.correct = _as_sum("correct", self.partial["correct"], state.correct)
            state.history = [EpochDone(**done) for done in self.history]
            state.calibration = self.calibration()
            if self.best:
                copy.deepcopy(state.evaluated).load_state_dict(self.best["weights"])  # which tells whether they fit
                parts = self.best["epoch"], self.best["val_accuracy"], self.best["weights"]
                state.best = Best(*parts, self.calibration("best"))
        except _MISFITS as error:
            raise self._misfit("its run cannot be continued", error) from None
        if len(state.history) != state.epoch:
            raise self._unusable(f"its history has {len(state.history)} epochs of {state.epoch}")
        kept = [self.weights, self.average or {}, self.best["weights"] if self.best else {}]
        self._check_finite(chain(*(weights.values() for weights in kept), *optimizer.values()))

    def _check_finite(self, tensors: Iterable[Tensor]) -> None:
        if not all(bool(tensor.isfinite().all()) for tensor in tensors):
            raise self._unusable("some of its numbers are not finite")

    def _misfit(self, what: str, error: Exception) -> CheckpointError:
        """Say what one of `_MISFITS` means, which is no fault of the checkpoint's where memory is lacking."""
        return self._unusable(NO_ROOM if lacks_memory(error) else f"{what}: {_summary(error)}")

    def _unusable(self, reason: str) -> CheckpointError:
        name = checkpoint_name(self.path) if self.path else "the checkpoint"
        return CheckpointError(f"{name} cannot be used: {reason}")


def _pack_best(best: Best) -> _Best:
    return {
        "epoch": best.epoch,
        "val_accuracy": best.val_accuracy,
        "weights": best.weights,
        **_pack_calibration(best.calibration),
    }


def _pack_calibration(calibration: Calibration) -> _Calibration:
    temperature, rejector = calibration
    if rejector is None:
        return {"temperature": temperature, "rejector": None}
    return {"temperature": temperature, "rejector": {"weights": list(rejector.weights), "bias": rejector.bias}}


def _unpack_calibration(temperature: float, rejector: _Rejector | None) -> Calibration:
    if rejector is None:
        return Calibration(temperature)
    return Calibration(temperature, Rejector(tuple(rejector["weights"]), rejector["bias"]))


def _copy_into(state: dict[str, list[Tensor]], saved: dict[str, list[Tensor]]) -> None:
    if state.keys() != saved.keys():
        raise ValueError(f"its optimizer has {sorted(saved)} and not {sorted(state)}")
    for name, tensors in state.items():
        for tensor, from_file in zip(tensors, saved[name], strict=True):
            if tensor.shape != from_file.shape:
                raise ValueError(f"{name} of shape {tuple(from_file.shape)} in place of {tuple(tensor.shape)}")
            tensor.copy_(from_file)


def _as_sum(name: str, saved: Tensor, fresh: Tensor) -> Tensor:
    """Give a sum from a file as the fresh state has it: one number of the same type, on the same device."""
    if saved.shape != fresh.shape or saved.dtype != fresh.dtype or not saved.isfinite():
        raise ValueError(f"{name} of the epoch under way is no single number")
    return saved.to(fresh.device)


# What using a malformed part raises, here or inside torch.
_MISFITS = (CheckpointError, AttributeError, KeyError, RuntimeError, TypeError, ValueError)


def _summary(error: Exception) -> str:
    """Say in a line the first fault alone; torch says in a line of its own before it what it was about to do."""
    text = f"no {error} there" if isinstance(error, KeyError) else str(error)
    head, *faults = text.split("\n\t")
    line = " ".join((faults[0] if faults else head).split()) or type(error).__name__
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]} ..."


def _places(error: ValidationError) -> str:
    return ", ".join(sorted({str(detail["loc"][0]) if detail["loc"] else detail["msg"] for detail in error.errors()}))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU, whatever device wrote it, executing nothing that the file may hold.

    Raises:
        CheckpointError: the file is missing, unreadable, no checkpoint of this package, of another format, or too large
            for the memory.
    """
    name = checkpoint_name(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        output = path.with_suffix(".pt") if str(path) == BUNDLED else path  # the former is no output's name
        command = f"mnistcli train --output {as_argument(output)}"
        raise CheckpointError(f"no checkpoint at {name}; make one with: {command}") from None
    except (OSError, ValueError) as error:  # ValueError: a path that holds a null character
        raise CheckpointError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from None
    with file:
        try:
            is_sound = zipfile.ZipFile(file).testzip() is None  # torch itself would not notice
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever bytes the file holds, torch's reader may trip over them in any way
            if lacks_memory(error):
                raise CheckpointError(f"cannot read {name}: {NO_ROOM}") from error
            raise CheckpointError(f"{name} is not a checkpoint, or a damaged one") from error
    if not is_sound:
        raise CheckpointError(f"{name} is damaged: its checksums are wrong")
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise CheckpointError(f"{name} was not written by mnistcli; train your own with: mnistcli train")
    version = content.pop("format_version", None)
    if not isinstance(version, int):  # comparing a tensor need not give an answer
        raise CheckpointError(f"{name} is damaged: missing, unknown or wrong parts: format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{name} has checkpoint format {version}, this mnistcli {mnistcli.__version__} reads {FORMAT_VERSION}: "
            "install the mnistcli that wrote it"
        )
    try:
        return Checkpoint(**{**content, "path": path})
    except (ValidationError, TypeError) as error:  # TypeError: keys that are no names
        parts = _places(error) if isinstance(error, ValidationError) else str(error)
        raise CheckpointError(f"{name} is damaged: missing, unknown or wrong parts: {parts}") from None


def pack(checkpoint: Checkpoint) -> memoryview:
    """Give a checkpoint as the content of a file."""
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **dict(checkpoint)}
    del content["path"]
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()
