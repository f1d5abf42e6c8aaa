"""The pictures of one slice, as PNG bytes: for the page's layers, the downloads and the API.

In: a slice in Hounsfield units, its mask and its heat maps. Out: PNG bytes, all in the brain window.
"""

from base64 import b64encode
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope import labels, render
from hemoscope.findings import Findings
from hemoscope.scan import BRAIN
from web.settings import PLAIN_PX

Mask = NDArray[np.bool_]  # (rows, columns)

Subtypes = NDArray[np.uint8]  # (rows, columns), see `SliceFindings.subtype_map`

OUTLINE_COLOUR = labels.COLOURS[labels.ANY]  # the outline is round all blood of the slice, whatever its subtype
OVERLAY_OPACITY = 0.45
HEAT_OPACITY = 0.6
HEAT_SIDE_PX = 160  # Grad-CAM comes from a coarse grid: more pixels would only be more bytes
THUMBNAIL_PX = 96
LARGEST_DRAWN = 4  # as many slices of 512 x 512: no screen shows more, and a drawing takes some 50 bytes a pixel


def slice_png(hu: NDArray[np.float32]) -> bytes:
    """The slice, (rows, columns) HU, in the brain window."""
    return render.png(render.grey(hu, BRAIN))


def thumbnail_png(hu: NDArray[np.float32]) -> bytes:
    """The slice at the size of a thumb."""
    return render.png(render.grey(_shrunk(hu, THUMBNAIL_PX), BRAIN))


def overlay_png(hu: NDArray[np.float32], mask: Mask, subtypes: Subtypes | None) -> bytes:
    """The slice with the mask filled, by subtype where that is known, and outlined."""
    filled = render.overlay(render.grey(hu, BRAIN), mask, render.blood_colours(subtypes), OVERLAY_OPACITY)
    return render.png(render.contour(filled, mask, OUTLINE_COLOUR))


def mask_png(mask: Mask) -> bytes:
    """The mask, 0 or 255, on the slice's own rows and columns."""
    return render.mask_png(mask)


def heat_png(hu: NDArray[np.float32], heat: NDArray[np.float32]) -> bytes:
    """The slice with one class's Grad-CAM over it."""
    return render.png(render.heat_map(render.grey(hu, BRAIN), heat, HEAT_OPACITY))


def fill_layer(mask: Mask, subtypes: Subtypes | None) -> bytes:
    """The mask as a transparent layer, by subtype where that is known."""
    return render.png(render.mask_layer(mask, render.blood_colours(subtypes)))


def contour_layer(mask: Mask) -> bytes:
    """The mask's outline as a transparent layer."""
    return render.png(render.contour_layer(mask, OUTLINE_COLOUR))


def heat_layer(heat: NDArray[np.float32]) -> bytes:
    """One class's Grad-CAM as a transparent layer, at most `HEAT_SIDE_PX` a side."""
    return render.png(render.heat_layer(_shrunk(heat, HEAT_SIDE_PX)))


def base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """A `data:` address, so that a result needs nothing stored on the server."""
    return f"data:{media_type};base64,{base64(data)}"


@dataclass(frozen=True)
class Plan:
    """Which slices are drawn, the most suspicious first, and on how many pixels at most each."""

    shown: tuple[int, ...]
    drawn_px: int


def plan(findings: Findings, shape: tuple[int, ...], most_pictures: int) -> Plan:
    """What is drawn of one file.

    Args:
        findings: the highest probability of blood comes first, then the largest mask.
        shape: of the scan, (slices, rows, columns).
        most_pictures: how many slices of 512 x 512 the drawings may fill, at least 1. A larger slice is drawn on up to
            1024 x 1024 pixels where that leaves room, otherwise smaller; one slice is always drawn.
    """

    def suspicion(index: int) -> tuple[float, int]:
        found = findings.slices[index]
        return found.probabilities[labels.ANY] or 0.0, found.area_px or 0

    drawn_px = min(most_pictures, LARGEST_DRAWN) * PLAIN_PX
    of_a_slice = max(min(shape[1] * shape[2], drawn_px), PLAIN_PX)
    most = max(most_pictures * PLAIN_PX // of_a_slice, 1)
    return Plan(tuple(sorted(range(len(findings.slices)), key=suspicion, reverse=True)[:most]), drawn_px)


def fitted(image: NDArray[np.float32], most_px: int) -> NDArray[np.float32]:
    """The image, (rows, columns), on at most `most_px` pixels: itself where it has no more."""
    rows, columns = image.shape
    if rows * columns <= most_px:
        return image
    return _shrunk(image, max(int(max(rows, columns) * (most_px / (rows * columns)) ** 0.5), 1))


def fitted_mask(mask: Mask | None, most_px: int) -> Mask | None:
    """The mask fitted like its slice; a speck that is smaller than a pixel there still fills one."""
    if mask is None or mask.size <= most_px:
        return mask
    return fitted(mask.astype(np.float32), most_px) > 0


def fitted_subtypes(subtypes: Subtypes | None, shape: tuple[int, ...]) -> Subtypes | None:
    """The map of subtypes on a fitted slice's (rows, columns)."""
    if subtypes is None or subtypes.shape == shape:
        return subtypes
    return cv2.resize(subtypes, shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def _shrunk(image: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    rows, columns = image.shape
    scale = min(1.0, longest / max(rows, columns))
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
