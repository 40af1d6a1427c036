"""Searches for processes that find digits, in a module without torch: each process imports it anew."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mnistcli.layout import Found

if TYPE_CHECKING:
    from mnistcli.config import Invert
    from mnistcli.images import Picture


def take_long(picture: "Picture", invert: "Invert") -> Found:
    time.sleep(1)
    return Found([])


def leave_trace(picture: "Picture", invert: "Invert") -> Found:
    Path(f"{picture.name}.seen").touch()
    return Found([])


def end_early(picture: "Picture", invert: "Invert") -> Found:
    os._exit(9)
