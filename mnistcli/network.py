"""A trained network, opened to be asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mnistcli.bundled import checkpoint_name, find_checkpoint
from mnistcli.checkpoint import load
from mnistcli.config import EVAL_BATCH_SIZE, Device, Weights, check_choice
from mnistcli.data import Normalization
from mnistcli.devices import in_threads, pick_device, within_memory
from mnistcli.errors import CheckpointError
from mnistcli.model import Classifier
from mnistcli.scoring import Calibration, Follow, Outputs, ask

if TYPE_CHECKING:
    from mnistcli.glyphs import Grey

GLYPHS_AT_ONCE = 64  # what is between layers then stays in the cache: 0.7 to 0.8 of the time that 1,000 take each
MAKE_ROOM = "end other programs, or choose another `device`"  # where there is too little memory


@dataclass(frozen=True)
class Network:
    """A network from a checkpoint, with what it expects of its images."""

    model: Classifier
    normalization: Normalization
    calibration: Calibration
    device: torch.device
    name: str  # of its checkpoint, for messages

    def ask(
        self, images: Tensor, batch_size: int = EVAL_BATCH_SIZE, *, tta: bool = False, follow: Follow = iter
    ) -> Outputs:
        """Give the outputs, on the CPU, for (N, 1, 28, 28) uint8 images; the rest is as in `mnistcli.scoring.ask`."""
        outputs = ask(self.model, images.to(self.device), self.normalization, batch_size, tta=tta, follow=follow)
        return Outputs(*(part.cpu() for part in outputs))

    def probabilities(
        self, images: Sequence["Grey"], *, tta: bool = False, threads: int | None = None
    ) -> list[tuple[float, ...]]:
        """Give those of the digits 0..9, calibrated, for each of some images; what they lack of 1 is no digit's.

        Args:
            images: (28, 28) each.
            tta: whether to look at each seven times, as `mnistcli.scoring.ask` describes.
            threads: in how many to compute; if None, in as many as torch usually does, but a few images in one: they
                come where pictures are slow, and threads that look for digits keep the cores busy.

        Raises:
            CheckpointError: the answers are no finite numbers, as where training diverged in its last step.
            MnistCliError: there is too little memory.
        """
        if not images:
            return []
        # A lone image is computed in another way than several, which rounds differently. It gets company, so that the
        # network that comes with the package usually answers to the bit alike however many images come at a time; of
        # other networks, and of means over views, the last digits may differ.
        is_last_lone = len(images) % GLYPHS_AT_ONCE == 1
        threads = threads or (torch.get_num_threads() if len(images) > GLYPHS_AT_ONCE else 1)
        with in_threads(threads), within_memory(f"to ask {self.name} on {self.device}; {MAKE_ROOM}"):
            together = torch.from_numpy(np.stack([*images, images[-1]] if is_last_lone else images))[:, None]
            outputs = self.ask(together, GLYPHS_AT_ONCE, tta=tta)
        probabilities = self.calibration.probabilities(outputs)[: len(images)]
        if not probabilities.isfinite().all():
            raise CheckpointError(f"{self.name} answers no finite numbers: train it anew, with a smaller `lr`")
        return [tuple(row) for row in probabilities.tolist()]


def open_network(name: str | Path | None, weights: Weights, device: Device) -> Network:
    """Load a network to be asked, as `evaluate` describes its arguments, and raises."""
    check_choice("weights", weights, Weights)
    check_choice("device", device, Device)
    path = find_checkpoint(name)
    checkpoint, target = load(path), pick_device(device)
    with within_memory(f"to open {checkpoint_name(path)} on {target}; {MAKE_ROOM}"):
        model = checkpoint.build_model(weights).to(target)
    normalization = checkpoint.pixel_normalization()
    return Network(model, normalization, checkpoint.calibration(weights), target, checkpoint_name(path))
