"""How fast `predict` reads many drawings, beside decoding them with Pillow alone, and in how much memory.

    python tests/benchmarks/throughput.py [--count 10000]

The drawings are 280 x 280: data set digits of the project's own making, ten times enlarged, dark on light.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import draw_digits

LOOK_SECONDS = 0.2  # between two looks at the memory


def main() -> None:
    """Time both ways in turns, and print rates and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=10_000, help="drawings")
    parser.add_argument("--rounds", type=int, default=3, help="how often both are timed, in turns")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), arguments.count)
        few = sorted(Path(folder).iterdir())[:100]
        few_mb, many_mb = (peak_memory(predict(paths)) for paths in (few, [Path(folder)]))
        decoded, started, predicted = [], [], []
        for _ in range(arguments.rounds):  # apart from the above, for looking at the memory takes time, too
            decoded.append(decode(Path(folder)))
            started.append(duration(predict(few)))
            predicted.append(duration(predict([Path(folder)])))
    alone, ours = (arguments.count / median(seconds) for seconds in (decoded, predicted))
    after_start = (arguments.count - len(few)) / (median(predicted) - median(started))
    print(f"Pillow alone: {alone:,.0f} pictures a second; the whole command: {ours:,.0f}, {ours / alone:.2f} of that")
    print(f"without what a call with 100 pictures takes: {after_start:,.0f}, {after_start / alone:.2f} of that")
    print(f"peak memory: {many_mb:,.0f} MB, {many_mb - few_mb:,.0f} MB over a call with 100 pictures")


def draw(folder: Path, count: int) -> None:
    """Make the drawings."""
    labels = np.random.default_rng(0).integers(0, 10, 1000, dtype=np.uint8)
    for number in range(count):
        if number % len(labels) == 0:
            digits = draw_digits(labels, seed=number)
        big = Image.fromarray(255 - digits[number % len(labels)]).resize((280, 280), Image.Resampling.BICUBIC)
        big.save(folder / f"{number:06}.png")


def decode(folder: Path) -> float:
    """Decode all drawings with Pillow, in one process, and give the seconds."""
    started = time.perf_counter()
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            picture.load()
    return time.perf_counter() - started


def predict(paths: list[Path]) -> "subprocess.Popen[bytes]":
    """Start the command, in a session of its own."""
    command = [sys.executable, "-m", "mnistcli", "predict", "--checkpoint", "bundled", "--quiet", *map(str, paths)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def duration(running: "subprocess.Popen[bytes]") -> float:
    """Wait for the end of a command that was just started, and give its seconds."""
    started = time.perf_counter()
    check_end(running.wait())
    return time.perf_counter() - started


def peak_memory(running: "subprocess.Popen[bytes]") -> float:
    """Wait for the end of a command, and give the peak memory of all its processes together, in MB."""
    peak_kb = 0
    while running.poll() is None:
        peak_kb = max(peak_kb, memory_kb(running.pid))
        with suppress(subprocess.TimeoutExpired):
            running.wait(LOOK_SECONDS)
    check_end(running.returncode)
    return peak_kb / 1024


def check_end(code: int) -> None:
    """End the measurement where the command failed."""
    if code:
        raise SystemExit(f"predict ended with {code}")


def memory_kb(session: int) -> int:
    """Give what all processes of a session take, what they share counted once; Linux tells."""
    summed = 0
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):  # it may be gone by now
            if process.name.isdigit() and os.getsid(int(process.name)) == session:
                summed += int((process / "smaps_rollup").read_text().split("Pss:")[1].split()[0])
    return summed


if __name__ == "__main__":
    main()
