"""The pictures of one slice, as PNG bytes: for the page's layers, the downloads and the API.

In: a slice in Hounsfield units, its mask and its heat maps. Out: PNG bytes, all in the brain window.
"""

from base64 import b64encode

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope import labels, render
from hemoscope.findings import Findings
from hemoscope.scan import BRAIN

Mask = NDArray[np.bool_]  # (rows, columns)

MASK_COLOUR = labels.COLOURS[labels.ANY]  # the mask is all blood of the slice, whatever its subtype
OVERLAY_OPACITY = 0.45
HEAT_OPACITY = 0.6
HEAT_SIDE_PX = 160  # Grad-CAM comes from a coarse grid: more pixels would only be more bytes
THUMBNAIL_PX = 96


def slice_png(hu: NDArray[np.float32]) -> bytes:
    """The slice, (rows, columns) HU, in the brain window."""
    return render.png(render.grey(hu, BRAIN))


def thumbnail_png(hu: NDArray[np.float32]) -> bytes:
    """The slice at the size of a thumb."""
    return render.png(render.grey(_shrunk(hu, THUMBNAIL_PX), BRAIN))


def overlay_png(hu: NDArray[np.float32], mask: Mask) -> bytes:
    """The slice with the mask filled and outlined, on its own rows and columns."""
    filled = render.overlay(render.grey(hu, BRAIN), mask, MASK_COLOUR, OVERLAY_OPACITY)
    return render.png(render.contour(filled, mask, MASK_COLOUR))


def mask_png(mask: Mask) -> bytes:
    """The mask, 0 or 255, on the slice's own rows and columns."""
    return render.mask_png(mask)


def heat_png(hu: NDArray[np.float32], heat: NDArray[np.float32]) -> bytes:
    """The slice with one class's Grad-CAM over it, on its own rows and columns."""
    return render.png(render.heat_map(render.grey(hu, BRAIN), heat, HEAT_OPACITY))


def fill_layer(mask: Mask) -> bytes:
    """The mask as a transparent layer."""
    return render.png(render.mask_layer(mask, MASK_COLOUR))


def contour_layer(mask: Mask) -> bytes:
    """The mask's outline as a transparent layer."""
    return render.png(render.contour_layer(mask, MASK_COLOUR))


def heat_layer(heat: NDArray[np.float32]) -> bytes:
    """One class's Grad-CAM as a transparent layer, at most `HEAT_SIDE_PX` a side."""
    return render.png(render.heat_layer(_shrunk(heat, HEAT_SIDE_PX)))


def base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """A `data:` address, so that a result needs nothing stored on the server."""
    return f"data:{media_type};base64,{base64(data)}"


def pictured(findings: Findings, most: int) -> tuple[int, ...]:
    """Which slices are shown: at most `most`, the highest probability of blood first, then the largest mask."""

    def suspicion(index: int) -> tuple[float, int]:
        found = findings.slices[index]
        return found.probabilities[labels.ANY] or 0.0, found.area_px or 0

    return tuple(sorted(range(len(findings.slices)), key=suspicion, reverse=True)[:most])


def _shrunk(image: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    rows, columns = image.shape
    scale = min(1.0, longest / max(rows, columns))
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
