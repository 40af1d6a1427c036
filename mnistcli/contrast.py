"""What stands out from an estimate of the paper: by how much, and from which contrast on it is ink."""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.planes import DEVIATION_OF_MEDIAN, OUTLIER, Image, Mask, Plane

MIN_CONTRAST = 10.0  # of 255: less is no ink
NOISES = 4  # standard deviations of the paper's noise: ink stands out from it by as many
# Noise may raise the contrast that ink must have to at most this share of Otsu's threshold; more means that the paper
# was misjudged.
MOST_NOISE = 0.5
LEAST_PIXELS = 4  # with fewer above all noise, there is no ink
# The contrast of dark ink is this quantile of all that stands out from the noise; the threshold is this share of it.
DARK_QUANTILE, DARK_SHARE = 0.9, 0.45
FAINT_SHARE = 0.35  # of the threshold: what has more contrast belongs to the full ink beside it
COLOUR_SCALE = 3**0.5  # distances between colours are divided by it: those between greys are then as large as in grey

# Grain, where there is no contrast by which to tell ink from it.
LEAST_GRAINY = 0.05  # of the pixels: if fewer differ, it is by the soft edges and the compression of faint ink
CLIPPINGS = 10  # how often the grain's standard deviation is computed anew, without what is no grain


@dataclass(frozen=True, eq=False)  # arrays have no equality that is true or false
class Layer:
    """What stands out from an estimate of the paper."""

    paper: Image
    contrast: Plane  # from 0 on; black on white is 255
    threshold: float  # contrast: full ink has more
    noise: float  # the standard deviation of the paper, in units of contrast
    grain: float  # as much of the noise as is known to be the paper's grain; 0 where none was measured

    @classmethod
    def of(cls, paper: Image, difference: Plane, grain: float | None = None) -> "Layer | None":
        """Find where ink begins: a bit below half of the contrast that dark ink has, and well above the noise.

        Args:
            paper: as it was estimated, (H, W, C).
            difference: (H, W), by how much each pixel differs from it; what differs the other way, below 0, is no ink,
                but tells of the noise.
            grain: the standard deviation of the paper's grain, where it was measured before.
        """
        is_two_sided = bool(difference.min() < 0)
        contrast = np.maximum(difference, 0) if is_two_sided else difference
        levels = _levels(contrast)
        counts = histogram(levels)
        sizes = histogram(_levels(np.abs(difference))) if is_two_sided else counts
        otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
        noise = DEVIATION_OF_MEDIAN * _quantile(sizes, 0.5, 0, max(int(otsu), 1))
        if is_two_sided:
            noise = min(noise, MOST_NOISE * otsu / NOISES)
        if grain is None:  # below the least contrast, Otsu's threshold parts grain from grain, or from faint ink
            grain = _deviation_of_grain(sizes, int(otsu)) if otsu < MIN_CONTRAST else 0.0
        noise = max(noise, grain)
        threshold = find_threshold(counts, noise)
        return None if threshold is None else cls(paper, contrast, threshold, noise, grain)

    @cached_property
    def mask(self) -> Mask:
        """Tell where there is full ink, (H, W)."""
        return self.contrast > self.threshold

    @cached_property
    def ink_contrast(self) -> float:
        """Give by how much full ink stands out, in the mean."""
        return float(self.contrast[self.mask].mean())

    @property
    def faint(self) -> float:
        """Give the contrast from which on a pixel belongs to the full ink beside it."""
        return self.faint_from(NOISES)

    def faint_from(self, noises: float) -> float:
        """Give the same where a pixel need stand out by so many standard deviations of the paper's noise only."""
        return max(self.threshold * FAINT_SHARE, noises * self.noise)


class Source(NamedTuple):
    """A picture that ink is looked for in."""

    image: Image  # (H, W, 1) grey or (H, W, 3) RGB
    is_ink_lighter: bool  # so it can be of grey alone; else ink may be on both sides of the paper

    def separate(self, paper: Image) -> Layer | None:
        """Tell ink from paper that was estimated, of the same shape; None where nothing stands out."""
        difference = self.image - paper
        if self.is_ink_lighter:
            stands_out = difference[..., 0]
        elif self.image.shape[2] == 1:
            stands_out = np.abs(difference[..., 0])
        else:
            stands_out = cv2.sqrt(np.square(difference).sum(2)) / colour_scale(self.image)
        return Layer.of(paper, stands_out.reshape(self.image.shape[:2]))


def colour_scale(image: Image) -> float:
    """Give what distances of colours, or of greys, are divided by so that they compare with each other."""
    return 1.0 if image.shape[2] == 1 else COLOUR_SCALE


def find_threshold(counts: NDArray[np.int64], noise: float) -> float | None:
    """Find the threshold from a histogram of contrast, (256,); None where nothing stands out from the noise."""
    least = max(NOISES * noise, MIN_CONTRAST)
    if counts[int(least) + 1 :].sum() < LEAST_PIXELS:
        return None
    return max(least, DARK_SHARE * _quantile(counts, DARK_QUANTILE, int(least) + 1, 255))


def _deviation_of_grain(sizes: NDArray[np.int64], begin: int) -> float:
    """Give the standard deviation of the paper's grain by sigma clipping, whether grain goes to both sides or to one.

    Args:
        sizes: the histogram, (256,), of how far pixels are from the paper. Those that do not differ are left out: of
            grain that is clipped at white they are half or more.
        begin: the level that the first estimate goes up to.

    Returns:
        The deviation, less of it where more than half is clipped; 0 where next to nothing up to `begin` differs.
    """
    total, highest = sizes.sum(), max(begin, 1)
    if sizes[1 : highest + 1].sum() < LEAST_GRAINY * total:
        return 0.0
    squared = np.arange(256) ** 2
    for _ in range(CLIPPINGS):
        grain = slice(1, highest + 1)
        deviation = sqrt(np.average(squared[grain], weights=sizes[grain]))
        highest = int(OUTLIER * deviation)
    # Of grain that is not clipped nearly all pixels differ, of grain that is clipped in the middle half of them.
    return deviation * sqrt(min(2 * sizes[1:].sum() / total, 1))


def _levels(contrast: Plane) -> NDArray[np.uint8]:
    return np.minimum(contrast, 255).astype(np.uint8)


def histogram(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Give the histogram of the levels 0 to 255: (256,)."""
    counts: NDArray[Any] = cv2.calcHist([levels], [0], None, [256], [0, 256])
    return counts.ravel().astype(np.int64)


def _quantile(counts: NDArray[np.int64], share: float, lowest: int, highest: int) -> int:
    """Give the quantile of the levels from `lowest` to `highest` in a histogram."""
    summed = counts[lowest : highest + 1].cumsum()
    return lowest + int(np.searchsorted(summed, share * summed[-1]))
