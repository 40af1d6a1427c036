"""Searches for processes that find digits, in a module that loads nothing slow: each process imports it anew."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnistcli.images import Picture
    from mnistcli.ink import Invert
    from mnistcli.touching import Run

Found = tuple[list[list["Run"]], bool]


def take_long(picture: "Picture", invert: "Invert") -> Found:
    time.sleep(1)
    return [], False


def leave_trace(picture: "Picture", invert: "Invert") -> Found:
    Path(f"{picture.name}.seen").touch()
    return [], False


def end_early(picture: "Picture", invert: "Invert") -> Found:
    os._exit(9)
