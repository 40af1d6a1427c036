"""Which checkpoint is meant: a file, the usual one, or the bundled one, which comes with the package."""

import os
from pathlib import Path

from mnistcli.config import PACKAGE, TrainConfig

USUAL: Path = TrainConfig.model_fields["output"].default  # where `train` saves; used where none is named
BUNDLED = "bundled"  # the name that the bundled checkpoint is asked for by
BUNDLED_PATH = PACKAGE / "weights" / "bundled.pt"


def find_checkpoint(name: str | Path | None) -> Path:
    """Give the file of the checkpoint that is meant.

    Args:
        name: a file, or the text `bundled`, while `./bundled` and `Path("bundled")` are a file of that name; None is
            `ckpt.pt` where that exists, else the one that comes with the package.
    """
    if name is None:
        # A link counts even if it leads nowhere: it is then reported as unreadable, and no other checkpoint answers.
        return USUAL if os.path.lexists(USUAL) else BUNDLED_PATH
    return BUNDLED_PATH if name == BUNDLED else Path(name)


def checkpoint_name(path: Path) -> str:
    """Give the name that `find_checkpoint` finds a file by."""
    if path == BUNDLED_PATH:
        return BUNDLED
    return f"./{path}" if str(path) == BUNDLED else str(path)
