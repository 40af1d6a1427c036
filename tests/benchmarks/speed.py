"""How long training takes beside the tutorial's script: the loop alone, the whole command, and the fast recipe.

    python tests/benchmarks/speed.py [DATA_DIR] [--pairs N]

All sides run in processes of their own and take turns, because a shared machine drifts; what counts is the ratio of
the medians. A loop is timed from the first batch to the last, the fast recipe's from the moment its data are loaded
to the saved checkpoint; a whole command from its start to its end. Memory is the peak of the default command over
that of a bare `import torch`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CPU_INFO = Path("/proc/cpuinfo")  # Linux

# Prints the seconds from loaded data to the saved checkpoint, all that `train` does in between counted.
AFTER_LOADING = """
import sys, time
from mnistcli.config import resolve
from mnistcli.run import Started, train_events
started = None
for event in train_events(resolve({"data_dir": sys.argv[1]}, {}, sys.argv[2]).config):
    if isinstance(event, Started):
        started = time.perf_counter()
print(time.perf_counter() - started)
"""


class Run(NamedTuple):
    """One run of a Python program."""

    output: str
    seconds: float  # from start to end
    peak_mb: float  # resident memory


def main() -> None:
    """Run the pairs and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data_dir", nargs="?", default="data", help="the folder that holds MNIST/raw")
    parser.add_argument("--pairs", type=int, default=5, help="how many of each to run")
    arguments = parser.parse_args()
    data_dir = str(Path(arguments.data_dir).resolve())

    tutorial, ours, fast = [], [], []
    for pair in range(1, arguments.pairs + 1):
        tutorial.append(run(str(HERE / "tutorial.py"), data_dir))
        ours.append(run("-m", "mnistcli", "train", "--data-dir", data_dir, "--json", "--quiet"))
        fast.append(run("-c", AFTER_LOADING, data_dir, "fast"))
        print(f"pair {pair} of {arguments.pairs}", file=sys.stderr, flush=True)
    bare = run("-c", "import torch")

    tutorial_loop = [float(one.output) for one in tutorial]
    print(f"medians of {arguments.pairs} alternating pairs, {os.cpu_count()} cores, {machine()}\n")
    print("| what | tutorial, s | mnistcli, s | ratio |")
    print("|---|---|---|---|")
    row("training loop, default recipe", tutorial_loop, [epoch_seconds(one.output) for one in ours])
    row("whole command, default recipe", [one.seconds for one in tutorial], [one.seconds for one in ours])
    row("one epoch of the tutorial, all of `fast`", tutorial_loop, [float(one.output) for one in fast])
    peak = max(one.peak_mb for one in ours) - bare.peak_mb
    print(
        f"\nPeak memory of the default command: {peak:.0f} MB over the {bare.peak_mb:.0f} MB of a bare `import torch`."
    )


def run(*arguments: str) -> Run:
    """Run Python in an empty folder."""
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{arguments} failed")
    unit = 1024**2 if sys.platform == "darwin" else 1024  # macOS counts in bytes, Linux in KiB
    return Run(output, seconds, usage.ru_maxrss / unit)


def epoch_seconds(output: str) -> float:
    """Read the seconds of the only epoch that `train --json` tells of."""
    seconds: float = json.loads(output.splitlines()[0])["seconds"]
    return seconds


def row(what: str, tutorial: list[float], ours: list[float]) -> None:
    """Print a line of the table: median and range of both sides, and how many times as fast ours is."""
    ratio = statistics.median(tutorial) / statistics.median(ours)
    print(f"| {what} | {spread(tutorial)} | {spread(ours)} | {ratio:.2f} times as fast |")


def spread(values: list[float]) -> str:
    """Give the median, and the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def machine() -> str:
    """Name the processor and the versions that matter."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())
    return f"{model}, Python {platform.python_version()}, torch {version('torch')}"


if __name__ == "__main__":
    main()
