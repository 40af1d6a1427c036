"""A digit on a sheet or a disc, or in a frame, that lies inside the picture: what is on it is a picture of its own."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistcli.components import Components
from mnistcli.images import Box, Picture
from mnistcli.outlines import LEAST_ROOM_PX, SURE_FIT, fill_disc, has_corners, inside, is_no_bold_digit, trace
from mnistcli.planes import ByteMask, Mask, Pixels, bounding_box, longer_side, spread

LEAST_SHARE = 0.04  # of the picture: a sheet's box takes more of it
LEAST_CARD, LEAST_CARD_SIDE = 0.02, 0.4  # the same of each of several sheets; a bold 1 is narrower
LEAST_SIDE = 0.2  # of its longer side: a sheet's shorter one is longer
OTHER_SHARE = 0.5  # of a sheet's area: beside something as large, it is one of several things
LEAST_RECTANGULARITY = 0.5  # of 100 sheets that digits were on, 98 have 0.7 to 1; those that bold ones are on have less
EDGE_SHARE = 0.03  # of its longer side: as much of a sheet is left out along its edge, which may be soft or shaded
SPREAD_PX = 100  # the longer side at which paper is continued beyond a sheet


class Crop(NamedTuple):
    """Part of a picture, such as what is on a sheet of paper or in a frame, as a picture of its own."""

    picture: Picture
    box: Box  # where it is in the other picture, in that one's own pixels
    is_sure: bool  # it is read in the picture's place, whatever else there is; what cuts it tells when
    is_disc: bool = False
    label: int = 0  # that is the sheet or the frame; 0 where there is none, but bars, a canvas, a table or a room


class _Sheet(NamedTuple):
    """A component that is shaped as a sheet of paper, a disc or a frame."""

    inner: ByteMask  # (H, W) of its box: the paper, without its edge
    is_sure: bool  # nothing else has its shape, or, of discs, no bold digit has; else it may be a bold digit
    is_frame: bool = False  # lines around paper
    is_disc: bool = False

    def cut_out_of(self, picture: Picture, components: Components, label: int) -> Crop | None:
        """Cut out what is on it, or in it, given the component that it is."""
        left, top = components.boxes[label, :2].tolist()
        crop = cut_out(picture, self.inner, (left, top), is_sure=self.is_sure)
        return crop and crop._replace(is_disc=self.is_disc, label=label)


def look_inside(picture: Picture, components: Components) -> Crop | None:
    """Cut out what is on the largest component, where that is a sheet of paper or a disc, or in it, as in a frame.

    Args:
        picture: of any size, grey or RGB.
        components: what stands out in this very picture; there has to be some full ink.

    Returns:
        What is inside, or None where the largest component is nothing of the kind.
    """
    inked = np.flatnonzero(components.full_ink_px)
    is_alone = len(inked) == 1
    label = int(inked[0]) if is_alone else int(_inked_areas(components).argmax())
    width, height = components.boxes[label, 2:4].tolist()
    area, shorter = width * height, min(width, height)
    if area < LEAST_SHARE * components.labels.size or shorter < max(LEAST_SIDE * max(width, height), LEAST_ROOM_PX):
        return None
    mask = components.mask(label)
    if is_alone and not _may_be_sheet(mask):
        return None  # told without looking closer, for most pictures are of one digit alone
    if not is_alone and _is_one_of_several(components, label):
        return None
    sheet = _trace_sheet(components, label)
    return sheet.cut_out_of(picture, components, label) if sheet else None


def look_on_each(picture: Picture, components: Components) -> list[Crop]:
    """Cut out what is on each of several sheets of paper, or discs, that lie side by side.

    Args:
        picture: of any size, grey or RGB.
        components: what stands out in this very picture; there has to be some full ink.

    Returns:
        What is on those whose boxes are at least half as large as the largest; nothing where these are not several
        sheets.
    """
    areas = _inked_areas(components)
    is_large = (areas > OTHER_SHARE * areas.max()) & (areas > LEAST_CARD * components.labels.size)
    are_wide = components.boxes[is_large, 2:4].min(1) > LEAST_CARD_SIDE * components.longer_side[is_large]
    labels = np.flatnonzero(is_large).tolist()
    crops: list[Crop] = []
    for label in labels if len(labels) > 1 and are_wide.all() else []:
        sheet = _trace_sheet(components, label) if _may_be_sheet(components.mask(label)) else None
        if sheet is None or sheet.is_frame or not sheet.is_sure:
            return []
        crop = sheet.cut_out_of(picture, components, label)
        crops.extend([crop] if crop else [])
    return crops


def cut_out(picture: Picture, shape: ByteMask, corner: tuple[int, int] = (0, 0), *, is_sure: bool) -> Crop | None:
    """Cut out part of a picture; None if no digit fits in it.

    Args:
        picture: of any size.
        shape: the part, in a window of the picture.
        corner: left and top of the window.
        is_sure: as in `Crop`.
    """
    left, top, width, height = bounding_box(shape)
    if min(width, height) < LEAST_ROOM_PX:
        return None
    inner = shape[top : top + height, left : left + width]
    left, top = left + corner[0], top + corner[1]
    pixels = picture.pixels[top : top + height, left : left + width]
    box = picture.box(left, top, width, height)
    return Crop(Picture(_continue_paper(pixels, inner), box[2:], picture.name), box, is_sure)


def _trace_sheet(components: Components, label: int) -> _Sheet | None:
    """Follow the outline of a component that has four corners or is a ring or a disc; None where it is none of them."""
    found = trace(components, label)
    if found is not None:
        inner = inside(found) if found.is_frame else without_edge(found.filled)
        return _Sheet(inner, found.is_frame or found.fit > SURE_FIT, is_frame=found.is_frame)
    disc = fill_disc(components.mask(label))
    if disc is None:
        return None
    is_ink = components.labels[components.window(label)] > 0
    return _Sheet(without_edge(disc), is_no_bold_digit(disc, is_ink), is_disc=True)


def _inked_areas(components: Components) -> NDArray[Any]:
    """Give the area of each component's box, (N + 1,), in pixels; 0 for those without full ink."""
    areas: NDArray[Any] = components.boxes[:, 2] * components.boxes[:, 3] * (components.full_ink_px > 0)
    return areas


def _is_one_of_several(components: Components, label: int) -> bool:
    """Tell whether there is something nearly as large as a component that is not inside it."""
    left, top, width, height = components.boxes[:, :4].T
    area = width * height
    right, bottom = left + width, top + height
    is_outside = (left < left[label]) | (top < top[label]) | (right > right[label]) | (bottom > bottom[label])
    return bool((is_outside & (components.full_ink_px > 0) & (area > OTHER_SHARE * area[label])).any())


def _may_be_sheet(mask: Mask) -> bool:
    return has_corners(mask) or _rectangularity(mask) >= LEAST_RECTANGULARITY


def _rectangularity(mask: Mask) -> float:
    """Give how much of the rectangle with the same moments a component fills, however tilted: 1 for a rectangle."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = moments["m00"]
    # The standard deviations along and across, multiplied: a 12th of a rectangle's area.
    deviations = max(moments["mu20"] * moments["mu02"] - moments["mu11"] ** 2, 0) ** 0.5 / area
    return float(area / max(12 * deviations, area / 2))


def without_edge(sheet: ByteMask, *, goes_on: bool = False) -> ByteMask:
    """Take off a sheet's edge; the picture's border is one, too, unless the sheet goes on beyond it."""
    reach = 2 * (round(EDGE_SHARE * longer_side(sheet)) + 1) + 1
    kernel = np.ones((reach, reach), np.uint8)
    return cv2.erode(sheet, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=int(goes_on))


def _continue_paper(pixels: Pixels, sheet: ByteMask) -> Pixels:
    """Continue a sheet of paper over what is beside it, so that its edge does not show."""
    if sheet.all():
        return pixels
    usual = np.median(pixels[sheet > 0], axis=0).astype(np.float32)  # beyond what is spread
    paper = usual + spread(pixels - usual, sheet.astype(np.float32), SPREAD_PX, least=1e-3)
    return np.where(sheet[..., None] > 0, pixels, paper.clip(0, 255).round().astype(np.uint8))
