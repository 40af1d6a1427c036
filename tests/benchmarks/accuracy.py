"""How accurate a recipe is: train it with several seeds, and score each checkpoint on the test images.

    python tests/benchmarks/accuracy.py RECIPE [DATA_DIR] [--seeds N] [--first-seed S] [--keep FOLDER] [-- OPTION...]

What is scored, plainly and with `--tta`, is the network after the last epoch (its averaged weights, where the recipe
keeps an average), never the best of several evaluations. Options after `--` go to `train`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Train and score every seed, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("recipe", help="a shipped configuration or a TOML file")
    parser.add_argument("data_dir", nargs="?", default="data", help="the folder that holds MNIST/raw")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--keep", help="a folder to leave the checkpoints in")
    words = sys.argv[1:]
    extra = words[words.index("--") + 1 :] if "--" in words else []
    arguments = parser.parse_args(words[: words.index("--")] if "--" in words else words)
    data = ["--data-dir", str(Path(arguments.data_dir).resolve())]

    plain, with_tta, seconds = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.keep or temporary).resolve()
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            output = folder / f"{Path(arguments.recipe).stem}-{seed}.pt"
            started = time.perf_counter()
            run("train", "--config", arguments.recipe, "--seed", seed, "--output", output, *data, *extra)
            seconds.append(time.perf_counter() - started)
            plain.append(run("eval", output, *data)[-1]["accuracy"])
            with_tta.append(run("eval", output, *data, "--tta")[-1]["accuracy"])
            print(f"seed {seed}: {plain[-1]:.2%}, with --tta {with_tta[-1]:.2%}, {seconds[-1]:.0f} s", flush=True)
    for name, values in (("last weights", plain), ("with --tta", with_tta)):
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name}: mean {statistics.mean(values):.3%}, standard deviation {deviation:.3%}, n = {len(values)}")
    print(f"whole command: median {statistics.median(seconds):.1f} s, {min(seconds):.1f} to {max(seconds):.1f}")


def run(command: str, *words: object) -> list[dict[str, Any]]:
    """Run a command; give the objects that it answers."""
    line = [sys.executable, "-m", "mnistcli", command, *map(str, words), "--json", "--quiet"]
    output = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(row) for row in output.splitlines()]


if __name__ == "__main__":
    main()
