"""What an epoch of training draws at its start: the order of the images, what is done to each, and what is added."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mnistcli.augment import Distortions, draw_distortions
from mnistcli.config import TrainConfig
from mnistcli.data import Normalization, Samples
from mnistcli.strokes import (
    OUTLIER_DICE,
    STYLE_DICE,
    WRITTEN_DICE,
    Strokes,
    choose_for_styles,
    choose_for_writing,
)

# On an accelerator so many batches, of so many images at most, are made at once: they cost Python hardly more than one.
BATCHES_TOGETHER, IMAGES_TOGETHER = 32, 4096
OUTLIER_BENDS = 2.0  # times those of the digits: what is no digit has no shape to keep


class Batches(NamedTuple):
    """An epoch as it was drawn: the order of the images, the distortion of each, and what is added to them."""

    train: Samples
    order: Tensor  # (N,) int64
    distortions: Distortions | None
    extras: "_Extras | None"
    normalization: Normalization

    def take(self, parts: Sequence[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give for each part its B images with M of no digits after them, and (B,) int64 labels.

        Images are normalised float32 (1, 28, 28); M is 0 where the recipe has no outliers. For an accelerator,
        neighbouring parts are made together: it needs little longer for all than for one, and Python as long.

        Args:
            parts: positions in the order, rising.
        """
        widest = max((part.stop - part.start for part in parts), default=0)
        most = 1 if self.order.device.type == "cpu" else min(BATCHES_TOGETHER * widest, IMAGES_TOGETHER)
        for group in _neighbours(parts, most):
            together = slice(group[0].start, group[-1].stop)
            images, outliers, labels = self._prepare(together)
            for part in group:
                own = slice(part.start - together.start, part.stop - together.start)
                if self.extras is None:
                    yield images[own], labels[own]
                else:
                    of_part, of_all = self.extras.rows(part), self.extras.rows(together)
                    shapes = outliers[of_part.start - of_all.start : of_part.stop - of_all.start]
                    yield torch.cat([images[own], shapes]), labels[own]

    def _prepare(self, positions: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Make the images at some positions, and those of no digits that go with them; give the labels as well."""
        batch = self.train.take(self.order[positions])
        images = batch.images if self.extras is None else self.extras.redraw(batch, positions)
        if self.distortions is not None:
            images = self.distortions[positions](images)
        outliers = images[:0] if self.extras is None else self.extras.make_outliers(positions)
        return self.normalization(images), self.normalization(outliers), batch.labels


def _neighbours(parts: Sequence[slice], most: int) -> Iterator[list[slice]]:
    """Group parts that lie without a gap, up to so many positions, or a single part that has more."""
    group: list[slice] = []
    for part in parts:
        if group and (part.start != group[-1].stop or part.stop - group[0].start > most):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


class _Chosen(NamedTuple):
    """The images of an epoch that something is done to: found once, since looking for them makes a step wait."""

    positions: Tensor  # (K,) int64, rising, on the device
    known: list[int]  # the same, where no device need be asked

    @classmethod
    def of(cls, positions: Tensor) -> "_Chosen":
        return cls(positions, positions.cpu().tolist())

    def among(self, positions: slice) -> Tensor:
        """Give those at some neighbouring positions, counted from the first of these."""
        first, end = (bisect_left(self.known, edge) for edge in (positions.start, positions.stop))
        return self.positions[first:end].sub(positions.start)


class _Extras(NamedTuple):
    """An epoch's dice for styles, for written digits and for what is no digit, and whom they chose."""

    strokes: Strokes
    outliers_per_image: float
    styles: Tensor  # (N, STYLE_DICE)
    styled: dict[int, _Chosen]  # by digit
    written: Tensor  # (N, WRITTEN_DICE), N = 0 where none is written
    rewritten: _Chosen
    outliers: Tensor  # (M, OUTLIER_DICE)
    distortions: Distortions | None  # of the outliers

    def redraw(self, batch: Samples, positions: slice) -> Tensor:
        """Give a batch's images, (B, 1, 28, 28) float32, some in other styles and some written anew."""
        styled = {digit: chosen.among(positions) for digit, chosen in self.styled.items()}
        images = self.strokes.add_styles(batch.images, styled, self.styles[positions])
        return self.strokes.put_written(images, batch.labels, self.rewritten.among(positions), self.written[positions])

    def rows(self, positions: slice) -> slice:
        """Tell which outliers belong to these images, so that ranks that share a batch share its outliers too."""
        return slice(*(int(edge * self.outliers_per_image) for edge in (positions.start, positions.stop)))

    def make_outliers(self, positions: slice) -> Tensor:
        """Make those that belong to these images, (M, 1, 28, 28) float32."""
        rows = self.rows(positions)
        outliers = self.strokes.make_outliers(self.outliers[rows])
        return outliers if self.distortions is None else self.distortions[rows](outliers)


def draw_epoch(
    config: TrainConfig,
    train: Samples,
    strokes: Strokes | None,
    normalization: Normalization,
    generator: torch.Generator,
) -> Batches:
    """Draw an epoch of training images, and move what was drawn to where they are.

    All that is random is drawn here, by position in the epoch: so a run that is continued within an epoch, and every
    rank, sees the same images, whichever of them it takes.

    Args:
        config: the recipe, of which distortions, styles, written digits and outliers are taken.
        train: all training images, N > 0.
        strokes: of those images; None where the recipe has no styles, no written digits and no outliers.
        normalization: what the network sees of a pixel.
        generator: on the CPU, so that every device trains on the same images.
    """
    order = torch.randperm(len(train), generator=generator).to(train.labels.device)
    distortions = draw_distortions(config, len(train), generator, order.device)
    labels = train.labels.index_select(0, order)
    extras = None if strokes is None else _draw_extras(config, strokes, labels, generator)
    return Batches(train, order, distortions, extras, normalization)


def _draw_extras(config: TrainConfig, strokes: Strokes, labels: Tensor, generator: torch.Generator) -> _Extras:
    device, count, outliers = labels.device, len(labels), int(len(labels) * config.outliers)
    for_styles = torch.rand(count, STYLE_DICE, generator=generator).to(device)
    for_written = torch.rand(count if config.written else 0, WRITTEN_DICE, generator=generator).to(device)
    for_outliers = torch.rand(outliers, OUTLIER_DICE, generator=generator).to(device)
    wild = config.model_copy(update={"elastic_px": OUTLIER_BENDS * config.elastic_px})
    distortions = draw_distortions(wild, outliers, generator, device)
    styled = choose_for_styles(labels, config.styles, for_styles)
    return _Extras(
        strokes,
        outliers_per_image=config.outliers,
        styles=for_styles,
        styled={digit: _Chosen.of(chosen) for digit, chosen in styled.items()},
        written=for_written,
        rewritten=_Chosen.of(choose_for_writing(config.written, for_written)),
        outliers=for_outliers,
        distortions=distortions,
    )
