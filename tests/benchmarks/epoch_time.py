"""How long one epoch of the default recipe takes, against the tutorial's way, and how much memory training takes.

    python tests/benchmarks/epoch_time.py [DATA_DIR] [--pairs N]

Both sides run in processes of their own, alternating, because a shared machine drifts; the medians' ratio is what
counts. Memory is the peak of the whole `train` command over that of a bare `import torch`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run the pairs and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data_dir", nargs="?", default="data", help="the folder that holds MNIST/raw")
    parser.add_argument("--pairs", type=int, default=5, help="how many of each to run")
    arguments = parser.parse_args()
    data_dir = str(Path(arguments.data_dir).resolve())

    ours, tutorial, peaks = [], [], []
    for pair in range(1, arguments.pairs + 1):
        tutorial.append(float(run([str(HERE / "tutorial.py"), data_dir])[0]))
        output, peak = run(["-m", "mnistcli", "train", "--data-dir", data_dir, "--json", "--quiet"])
        ours.append(json.loads(output.splitlines()[0])["seconds"])
        peaks.append(peak)
        print(f"pair {pair}: tutorial {tutorial[-1]:.2f} s, mnistcli {ours[-1]:.2f} s", flush=True)
    bare = run(["-c", "import torch"])[1]
    ratio = statistics.median(ours) / statistics.median(tutorial)
    print(f"tutorial: median {statistics.median(tutorial):.2f} s, {min(tutorial):.2f} to {max(tutorial):.2f}")
    print(f"mnistcli: median {statistics.median(ours):.2f} s, {min(ours):.2f} to {max(ours):.2f}")
    print(f"ratio: {ratio:.2f} of the tutorial's time, {1 / ratio:.1f} times as fast, on {os.cpu_count()} cores")
    print(f"peak memory: {max(peaks) - bare:.0f} MB over the {bare:.0f} MB of a bare import of torch")


def run(arguments: list[str]) -> tuple[str, float]:
    """Run Python in an empty folder; give its standard output and its peak resident memory in MB."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{arguments} failed")
    return output, usage.ru_maxrss / 1024  # Linux counts in KiB


if __name__ == "__main__":
    main()
