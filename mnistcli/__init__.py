"""Download MNIST, look at it, train a convolutional network on it, evaluate it and read pictures of digits.

The names below are the whole Python API, except for the kinds of `MnistCliError`, which are in `mnistcli.errors`. The
commands are built on the same core. What needs torch is loaded when it is first used, so that `import mnistcli` and
`mnistcli --help` do not wait for it.
"""

from typing import TYPE_CHECKING

from mnistcli.errors import MnistCliError

if TYPE_CHECKING:
    from mnistcli.api import TrainResult, download_mnist, evaluate, train
    from mnistcli.config import TrainConfig
    from mnistcli.loop import EpochDone, StepDone, ValStepDone
    from mnistcli.reading import MultiPrediction, Prediction, predict, predict_multi
    from mnistcli.run import BackedUp, Finished, Started, Stopped, train_events
    from mnistcli.scoring import Evaluation

__version__ = "0.1.0"

__all__ = [
    "BackedUp",
    "EpochDone",
    "Evaluation",
    "Finished",
    "MnistCliError",
    "MultiPrediction",
    "Prediction",
    "Started",
    "StepDone",
    "Stopped",
    "TrainConfig",
    "TrainResult",
    "ValStepDone",
    "__version__",
    "download_mnist",
    "evaluate",
    "predict",
    "predict_multi",
    "train",
    "train_events",
]

_HOMES = {
    "BackedUp": "run",
    "EpochDone": "loop",
    "Evaluation": "scoring",
    "Finished": "run",
    "MultiPrediction": "reading",
    "Prediction": "reading",
    "Started": "run",
    "StepDone": "loop",
    "Stopped": "run",
    "TrainConfig": "config",
    "TrainResult": "api",
    "ValStepDone": "loop",
    "download_mnist": "api",
    "evaluate": "api",
    "predict": "reading",
    "predict_multi": "reading",
    "train": "api",
    "train_events": "run",
}


def __dir__() -> list[str]:
    return sorted({*__all__, "errors", *(name for name in globals() if name.startswith("__"))})


if not TYPE_CHECKING:  # a type checker would take any name for one of the package's

    def __getattr__(name: str) -> object:
        """Import a public name from its module on first use (PEP 562)."""
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
