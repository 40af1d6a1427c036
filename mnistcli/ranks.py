"""Several processes that train one network together, as torchrun starts them; or one process, that pays nothing."""

import hashlib
import os
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mnistcli.errors import ConfigError, MnistCliError
from mnistcli.interrupt import is_launched

# What gloo says where another rank is gone; it has no exception of its own for it.
LOST_CONNECTION = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
LAST_MESSAGES = 64  # that are watched: more than the two threads that gloo has in each process hold
REST_SECONDS = 10.0  # for which they are waited for: an abort after the work is done is better than no end


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is."""

    device: torch.device  # where it computes, and its messages lie
    rank: int = 0
    size: int = 1
    is_first_here: bool = True  # of the ranks on this machine
    _messages: deque[weakref.ref[Tensor]] = field(
        default_factory=lambda: deque(maxlen=LAST_MESSAGES), init=False, repr=False, compare=False
    )

    def share(self, batch: slice) -> tuple[slice, int]:
        """Give this rank's part of a batch, and how many of its images count.

        A batch may have fewer images than there are ranks: one that is left without takes an image that does not
        count, so that all ranks go through the same motions.
        """
        images = batch.stop - batch.start
        first, end = (batch.start + images * rank // self.size for rank in (self.rank, self.rank + 1))
        return slice(first, max(end, first + 1)), end - first

    def sum(self, numbers: Tensor) -> Tensor:
        """Add up a tensor over all ranks."""
        if self.size == 1:
            return numbers
        message = numbers.to(self.device, copy=True)
        dist.all_reduce(message)
        self._messages.append(weakref.ref(message))
        return message.to(numbers.device, copy=True)  # so that nobody but gloo's threads goes on holding the message

    def any(self, flag: bool) -> bool:
        """Tell whether any rank says so."""
        return bool(self.sum(torch.tensor(float(flag)))) if self.size > 1 else flag

    def agree(self, what: str) -> bool:
        """Tell whether all ranks say the same."""
        digest = int.from_bytes(hashlib.sha256(what.encode()).digest()[:5])  # exact in float64, and so is their sum
        return int(self.sum(torch.tensor(float(digest), dtype=torch.float64))) == digest * self.size

    def replicate(self, model: nn.Module) -> nn.Module:
        """Wrap the network so that each backward pass leaves the mean of all ranks' gradients in every rank."""
        if self.size == 1:
            return model
        # Buffers are broadcast once an epoch, when they are used (`spread_buffers`), and not before each step.
        return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def spread_buffers(self, model: nn.Module) -> None:
        """Give all ranks the first one's batch-norm statistics, where each has gone by its own share."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Go on when all ranks have come here."""
        self.sum(torch.zeros(1))

    def let_threads_rest(self) -> None:
        """Wait until gloo's threads have let go of the last messages, for which they need Python.

        They outlive the process group where DistributedDataParallel was used, and one that wants Python while the
        interpreter ends aborts the process (https://github.com/pytorch/pytorch/pull/179291).
        """
        until = time.monotonic() + REST_SECONDS
        while any(message() is not None for message in self._messages) and time.monotonic() < until:
            time.sleep(0.001)


ALONE = Ranks(torch.device("cpu"))


def are_many() -> bool:
    """Tell whether torchrun started this process as one of several."""
    return dist.is_available() and is_launched() and int(os.environ["WORLD_SIZE"]) > 1


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the other processes that torchrun started, for the length of the block; without torchrun, be alone.

    Args:
        device: where to compute; of several CUDA devices each rank takes the one of its local number.

    Raises:
        ConfigError: several ranks cannot work together on this device, or there are fewer devices than ranks.
        MnistCliError: another rank has ended before its time.
    """
    if not are_many():
        yield Ranks(device)
        return
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"several processes cannot train together on {device}; use `device` cpu")
    if device.type == "cuda":
        wanted, devices = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if wanted > devices:
            raise ConfigError(f"{wanted} processes here, and CUDA devices: {devices}; start fewer, or use `device` cpu")
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        ranks = Ranks(device, dist.get_rank(), dist.get_world_size(), is_first_here=os.environ["LOCAL_RANK"] == "0")
        yield ranks
        if device.type == "cpu":
            ranks.let_threads_rest()
    except RuntimeError as error:
        if not any(sign in str(error) for sign in LOST_CONNECTION):
            raise
        raise MnistCliError("another process of this run has ended, and this one with it") from error
    finally:
        dist.destroy_process_group()
