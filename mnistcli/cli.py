"""The command line: each command parses, imports what it needs, calls the core and has the result shown."""

import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import mnistcli
from mnistcli.config import (
    EVAL_BATCH_SIZE,
    MIN_CONFIDENCE,
    Device,
    Invert,
    Resolved,
    Split,
    TrainConfig,
    Weights,
    choices,
    number_range,
    option_name,
    resolve,
    shipped_configs,
)
from mnistcli.edge import EdgeApp, launched_ranks
from mnistcli.errors import ConfigError, DataError, ExitCode
from mnistcli.files import as_argument, check_open, from_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mnistcli.download import RawFile
    from mnistcli.report import Report


app = EdgeApp(
    name="mnistcli",
    help="Download MNIST, look at it, train a network on it, evaluate it and read pictures of digits.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _key(name: str) -> Any:
    """Declare the option of a configuration key.

    It stays text here: `resolve` parses it as it parses environment variables, and reports all faults at once.
    """
    field, options, range_ = TrainConfig.model_fields[name], choices(name), number_range(name)
    kind = field.annotation.__name__.upper() if isinstance(field.annotation, type) else ""
    return typer.Option(
        option_name(name),
        help=rf"{field.description} \[default: {field.default}]",  # escaped: typer reads it as rich's markup
        metavar="|".join(options) or (f"{kind} [{range_}]" if range_ else kind),
        show_default=False,
        autocompletion=lambda: options,
        rich_help_panel="Configuration",
    )


def _at_home(places: Any) -> Any:
    """Read ~ as the home folder in what an option was given: a text, a Path, a list of texts, or None."""
    if places is None:
        return None
    if isinstance(places, list):
        return [from_home(place) for place in places]
    return Path(from_home(places)) if isinstance(places, Path) else from_home(places)


SHIPPED = list(shipped_configs())
PICTURES = (
    "Pictures of one digit each, or of several with --multi: files, folders with all pictures in them, quoted "
    "patterns, or - for standard input."
)
# Checkpoints are named by text, for a Path would drop `./` at the beginning, which tells a file named bundled.
WHICH_CHECKPOINT = "a file, or bundled for the one in the package; by default ckpt.pt, or bundled if there is none."

# Paths are `readable=False`: the core tells what cannot be read, and each kind of failure has its own exit code.
DATA_DIR = typer.Option(
    "--data-dir",
    envvar="MNISTCLI_DATA_DIR",
    callback=_at_home,
    readable=False,
    help="Folder that holds MNIST/raw.",
)
DEVICE = typer.Option("--device", envvar="MNISTCLI_DEVICE", help="Where to compute; auto takes the fastest there is.")

DataDir = Annotated[Path, DATA_DIR]
DeviceName = Annotated[Device, DEVICE]
NoDownload = Annotated[
    bool,
    typer.Option("--no-download", envvar="MNISTCLI_NO_DOWNLOAD", help="Never download missing MNIST files."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say on standard error only what has to be known.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Write plain lines where bars would be drawn.")]
# Declared for each command, but read by none: `edge.EdgeGroup` looks for the word before options are parsed.
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]
Tta = Annotated[
    bool, typer.Option("--tta", help="Look at each image seven times, shifted and turned (test-time augmentation).")
]
WhichWeights = Annotated[
    Weights,
    typer.Option(
        "--weights",
        help="Those after the last step (averaged, with --ema-decay), or of the best epoch (with --val-size).",
    ),
]


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        from mnistcli.report import Report

        Report().answer(f"mnistcli {mnistcli.__version__} (torch {version('torch')})")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the versions and exit.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def download(
    data_dir: DataDir = Path("data"),
    places: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="PATH|URL",
            callback=_at_home,
            help="Try this folder, archive (zip or tar) or URL of either first; may be given more than once.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch the files even if they are there.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    debug: Debug = False,
) -> None:
    """Put the four MNIST files, verified, where torchvision looks for them."""
    from mnistcli.download import wanted_files
    from mnistcli.idx import raw_folder
    from mnistcli.report import Report

    report = Report(as_json=as_json, quiet=quiet, progress=not no_progress)
    folder = raw_folder(data_dir)
    wanted = wanted_files(folder, force=force)
    if wanted:
        _fetch(report, folder, wanted, places or [])
    else:
        report.say("already there, and verified")
    report.downloaded(folder, wanted)


def _fetch(report: "Report", folder: Path, wanted: "Sequence[RawFile]", places: list[str]) -> None:
    from mnistcli.download import fetch
    from mnistcli.sources import find_sources

    report.downloading(fetch(folder, wanted, find_sources(places)))


def _provide_data(report: "Report", data_dir: Path, split: Split, no_download: bool) -> None:
    """Download the missing files if a split needs any of them, unless downloading is forbidden."""
    from mnistcli.data import FILE_PREFIX
    from mnistcli.download import missing_files
    from mnistcli.idx import raw_folder

    folder = raw_folder(data_dir)
    missing = missing_files(folder)  # of both splits: the other will be wanted next, and this way in one download
    if not any(file.name.startswith(FILE_PREFIX[split]) for file in missing):
        return
    lack = f"{folder} lacks {', '.join(file.name for file in missing)}"
    if no_download:
        raise DataError(f"{lack}; get them with: mnistcli download --data-dir {as_argument(data_dir)}")
    report.say(f"{lack}: downloading")
    _fetch(report, folder, missing, [])


@app.command()
def show_samples(
    data_dir: DataDir = Path("data"),
    split: Annotated[Split, typer.Option("--split", help="Which images.")] = "train",
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many.")] = 25,
    digits: Annotated[
        list[int] | None,
        typer.Option("--digit", metavar="DIGIT", min=0, max=9, help="Only this digit; may be given more than once."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Decides which ones.")] = 0,
    # Text, for a Path would drop a slash at the end.
    output: Annotated[
        str, typer.Option("--output", metavar="PATH", callback=_at_home, help="The picture to write.")
    ] = "samples.png",
    show: Annotated[bool, typer.Option("--show", help="Show it in a window, too.")] = False,
    no_download: NoDownload = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    debug: Debug = False,
) -> None:
    """Draw a labelled grid of samples."""
    from mnistcli import plots
    from mnistcli.data import load_split, pick
    from mnistcli.files import check_writable, names_folder
    from mnistcli.report import Report

    report = Report(as_json=as_json, quiet=quiet, progress=not no_progress)
    if names_folder(output):
        raise ConfigError(f"--output = {output}: names a folder: name a file")
    path = Path(output)
    plots.picture_format(path)
    check_writable(path)
    plots.check_replaceable(path)
    _provide_data(report, data_dir, split, no_download)
    samples = pick(load_split(data_dir, split), count, digits or [], seed)
    figure = plots.new_figure(window=show)
    plots.draw_samples(figure, samples)
    plots.save_figure(figure, path)
    report.samples(samples, path)
    if show and not plots.show_figure(figure):
        report.say(f"there is no display to show a window on; the picture is in {path}")


@app.command()
def train(
    ctx: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="NAME|FILE",
            envvar="MNISTCLI_CONFIG",
            callback=_at_home,
            help=f"A shipped configuration ({', '.join(SHIPPED)}) or a TOML file.",
            autocompletion=lambda: SHIPPED,
        ),
    ] = None,
    model: Annotated[str | None, _key("model")] = None,
    epochs: Annotated[str | None, _key("epochs")] = None,
    lr: Annotated[str | None, _key("lr")] = None,
    batch_size: Annotated[str | None, _key("batch_size")] = None,
    optimizer: Annotated[str | None, _key("optimizer")] = None,
    momentum: Annotated[str | None, _key("momentum")] = None,
    weight_decay: Annotated[str | None, _key("weight_decay")] = None,
    schedule: Annotated[str | None, _key("schedule")] = None,
    warmup_epochs: Annotated[str | None, _key("warmup_epochs")] = None,
    label_smoothing: Annotated[str | None, _key("label_smoothing")] = None,
    ema_decay: Annotated[str | None, _key("ema_decay")] = None,
    precision: Annotated[str | None, _key("precision")] = None,
    shift_px: Annotated[str | None, _key("shift_px")] = None,
    rotation_degrees: Annotated[str | None, _key("rotation_degrees")] = None,
    scale: Annotated[str | None, _key("scale")] = None,
    shear: Annotated[str | None, _key("shear")] = None,
    elastic_px: Annotated[str | None, _key("elastic_px")] = None,
    thickness: Annotated[str | None, _key("thickness")] = None,
    styles: Annotated[str | None, _key("styles")] = None,
    written: Annotated[str | None, _key("written")] = None,
    outliers: Annotated[str | None, _key("outliers")] = None,
    val_size: Annotated[str | None, _key("val_size")] = None,
    patience: Annotated[str | None, _key("patience")] = None,
    seed: Annotated[str | None, _key("seed")] = None,
    device: Annotated[str | None, _key("device")] = None,
    threads: Annotated[str | None, _key("threads")] = None,
    output: Annotated[str | None, _key("output")] = None,
    data_dir: Annotated[str | None, _key("data_dir")] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="CKPT", callback=_at_home, help="Continue the run of this checkpoint."),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Show every key, its value and what decided it, as TOML; train nothing."),
    ] = False,
    no_download: NoDownload = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    debug: Debug = False,
) -> None:
    """Train a network and save it; without options, as the classic tutorial does.

    Precedence of each configuration key: its option, the variable MNISTCLI_<KEY>, --config, its default.
    """
    flags = {key: ctx.params[key] for key in TrainConfig.model_fields}
    asked = resolve(flags, os.environ, config)
    if resume is None:  # else the run adds its own keys
        asked.config.check_together()
    if print_config:
        _print_config(asked, resume, as_json)
        return
    if launched_ranks()[0] == 0:  # the only process that answers
        check_open(sys.stdout)

    from mnistcli.devices import pick_device
    from mnistcli.interrupt import StopRequest
    from mnistcli.progress import TrainingView
    from mnistcli.ranks import joined
    from mnistcli.report import Report
    from mnistcli.run import Finished, Stopped, open_run, opened_run_events

    # The run is opened before a download, so that faults are told at once; a resumed run also says where its data are.
    resolved, checkpoint = open_run(asked.config, resume)
    with joined(pick_device(resolved.device)) as ranks:
        report = Report(as_json=as_json, quiet=quiet, progress=not no_progress, muted=ranks.rank > 0)
        if ranks.is_first_here:
            _provide_data(report, resolved.data_dir, "train", no_download)
        ranks.wait()
        with StopRequest() as stop, TrainingView(report.err, bars=report.bars) as view:
            for event in opened_run_events(resolved, checkpoint, stop, ranks):
                view.show(event)
                report.epoch(event, resolved.output)
    assert isinstance(event, Finished | Stopped)
    report.trained(event)
    if stop.signal and isinstance(event, Stopped):
        raise typer.Exit(128 + stop.signal)  # as a shell reports it: 130 for Ctrl-C


def _print_config(asked: Resolved, resume: str | None, as_json: bool) -> None:
    from mnistcli.report import Report

    config, origins = asked
    if resume is not None:
        from mnistcli.run import complete_config

        config, _ = complete_config(config, resume)
        decided = {key for key in asked.config.model_fields_set if getattr(config, key) == getattr(asked.config, key)}
        origins = {key: origin if key in decided else f"--resume {resume}" for key, origin in origins.items()}
    rank, _ = launched_ranks()
    Report(as_json=as_json, muted=rank > 0).configuration(config, origins)


@app.command("eval")
def evaluate(
    checkpoint: Annotated[
        str | None,
        typer.Argument(metavar="CKPT", callback=_at_home, help=f"The checkpoint to evaluate: {WHICH_CHECKPOINT}"),
    ] = None,
    split: Annotated[Split, typer.Option("--split", help="Which images to score it on.")] = "test",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images at a time.")] = EVAL_BATCH_SIZE,
    fail_under: Annotated[
        float | None,
        typer.Option("--fail-under", min=0, max=1, help="Exit with 3 below this accuracy, 0 to 1, and tell so."),
    ] = None,
    weights: WhichWeights = "last",
    tta: Tta = False,
    device: DeviceName = "auto",
    data_dir: DataDir = Path("data"),
    no_download: NoDownload = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    debug: Debug = False,
) -> None:
    """Score a checkpoint: accuracy, loss, precision and recall of each digit, and the confusion matrix."""
    from mnistcli.api import score_network
    from mnistcli.network import open_network
    from mnistcli.report import Report

    report = Report(as_json=as_json, quiet=quiet, progress=not no_progress)
    network = open_network(checkpoint, weights, device)  # what is wrong is told now, not after a download
    _provide_data(report, data_dir, split, no_download)
    report.weights(network.name, weights)
    started = time.perf_counter()
    with report.scoring() as follow:
        result = score_network(network, split, data_dir, batch_size, tta=tta, follow=follow)
    seconds = time.perf_counter() - started
    report.evaluation(result, network.name, weights, split=split, tta=tta, seconds=seconds)
    if fail_under is not None and result.accuracy < fail_under:
        # All digits of both, for rounded they may seem to be equal.
        report.insist(f"accuracy {result.accuracy!r} is below --fail-under {fail_under!r}")
        raise typer.Exit(ExitCode.BELOW_THRESHOLD)


@app.command()
def predict(
    # Text where the spelling of a path matters: a Path drops a slash at the end and `./` at the beginning.
    images: Annotated[list[str], typer.Argument(metavar="PICTURE", callback=_at_home, help=PICTURES)],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="CKPT", callback=_at_home, help=f"The checkpoint to ask: {WHICH_CHECKPOINT}"
        ),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=10, help="How many digits to show on a terminal.")] = 3,
    invert: Annotated[
        Invert, typer.Option("--invert", help="Whether the digit is darker than its paper; auto judges by the picture.")
    ] = "auto",
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", min=0, max=1, help="Answer ? where no digit is this probable, 0 to 1.")
    ] = MIN_CONFIDENCE,
    multi: Annotated[bool, typer.Option("--multi", help="Read all digits of each picture, row by row.")] = False,
    picture: Annotated[
        str | None,
        typer.Option(
            "--picture",
            metavar="FILE|FOLDER",
            callback=_at_home,
            help="Draw what was found, what the network saw and what it said; a folder for several pictures.",
        ),
    ] = None,
    tta: Tta = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=0,
            help="Processes that find digits, 0 for threads; by default one a core from 1,000 pictures.",
        ),
    ] = None,
    weights: WhichWeights = "last",
    device: DeviceName = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    debug: Debug = False,
) -> None:
    """Read pictures of digits: which one each shows, how sure that is, and the runners-up."""
    from mnistcli import reading
    from mnistcli.bundled import checkpoint_name, find_checkpoint
    from mnistcli.explain import ReadingPictures
    from mnistcli.inputs import STANDARD_INPUT, find_pictures
    from mnistcli.report import Report

    # Pillow warns of pictures that it can read all the same; for those that it cannot, it raises.
    warnings.filterwarnings("ignore", module="PIL")
    report = Report(as_json=as_json, quiet=quiet, progress=not no_progress)
    path = find_checkpoint(checkpoint)
    drawings = None if picture is None else ReadingPictures(picture, images)
    answers: Iterator[reading.Prediction | reading.MultiPrediction] = (
        reading.predict_multi if multi else reading.predict
    )(
        images,
        checkpoint=path,
        invert=invert,
        min_confidence=min_confidence,
        tta=tta,
        device=device,
        weights=weights,
        keep_pictures=picture is not None,
        processes=processes,
    )
    if drawings:
        drawings.make_place()  # after the checkpoint is open, lest a missing one leave an empty folder
    report.weights(checkpoint_name(path), weights)
    if STANDARD_INPUT in images and sys.stdin and sys.stdin.isatty():
        report.say("reading a picture from standard input")
    failed = 0
    for answer in report.reading(answers, lambda: sum(1 for _ in find_pictures(images))):
        report.read(answer, checkpoint_name(path), weights, top_k)
        if drawings:
            drawings.draw(answer)
        failed += answer.status == "error"
    if failed:
        raise typer.Exit(ExitCode.UNREADABLE)
