"""Forward and backward passes captured as CUDA graphs, so that a GPU does not wait for Python to start each kernel."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

# Takes a batch's images, its labels and the weight of its loss, and leaves the gradients in the parameters. It gives
# the loss, () float32, and how many answers were right, () int64, on the device.
ForwardBackward = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]

WARMUP_CALLS = 3  # for each shape: in them libraries choose their kernels and load them, which cannot be captured


class Captured:
    """Does what a forward and backward pass does, from the fourth batch of a shape on by replaying a graph.

    A pass through a small network is a hundred kernels or more of some microseconds each, and Python takes longer to
    start one than the GPU to run it. A graph starts them all at once. The kernels are the same, and the results too.

    Args:
        forward_backward: what is done with a batch. It must read no values on the CPU, as `.item()` does, for a
            replay reads none again.
        parameters: whose gradients it leaves.
    """

    def __init__(self, forward_backward: ForwardBackward, parameters: Iterable[Tensor]) -> None:
        self.forward_backward, self.parameters = forward_backward, list(parameters)
        self.calls: Counter[tuple[object, ...]] = Counter()
        self.graphs: dict[tuple[object, ...], _Graph] = {}

    def __call__(self, images: Tensor, labels: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Learn from a batch on a CUDA device; what is given is overwritten by the next call."""
        kind = (images.shape, labels.shape, weight)
        self.calls[kind] += 1
        if self.calls[kind] <= WARMUP_CALLS:
            return self.forward_backward(images, labels, weight)
        if kind not in self.graphs:
            self.graphs[kind] = self.capture(images, labels, weight)
        return self.graphs[kind].replay(images, labels, self.parameters)

    def capture(self, images: Tensor, labels: Tensor, weight: float) -> "_Graph":
        """Capture what is done with a batch of this kind; nothing is computed."""
        graph, images, labels = torch.cuda.CUDAGraph(), images.clone(), labels.clone()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on using the device
            loss, correct = self.forward_backward(images, labels, weight)
        gradients = [parameter.grad for parameter in self.parameters]
        return _Graph(graph, images, labels, loss, correct, gradients)


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class _Graph:
    """A captured pass, and the memory that it reads from and writes to, always the same."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    loss: Tensor
    correct: Tensor
    gradients: list[Tensor | None]

    def replay(self, images: Tensor, labels: Tensor, parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.graph.replay()
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss, self.correct
