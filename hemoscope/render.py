"""Pictures of a slice and of what was found in it.

In: Hounsfield units, masks and heat maps on one slice's grid (rows, columns). Out: uint8 pictures, grey (rows,
columns), RGB (rows, columns, 3) or RGBA (rows, columns, 4), and PNG bytes. Blended pictures are for files; transparent
layers are for the browser, which stacks them over the grey slice.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import ANY, COLOURS, SUBTYPES
from hemoscope.preprocessing import apply_window
from hemoscope.scan import Window

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

CONTOUR_SIGMA_PX = 1.0  # smooths the staircase of the pixel grid, well below a lesion's size
THICKNESS_SHARE = 1 / 300  # of the longer side: about 1.7 px on 512 x 512

# The lines of a midline shift; neither is a colour of blood. They are drawn in the same colours by the viewer.
IDEAL_LINE: Colour = (255, 255, 255)
FOUND_LINE: Colour = (102, 255, 102)
_SUBPIXEL_BITS = 4


def grey(hu: NDArray[np.float32], window: Window) -> Picture:
    """One slice in a display window: (rows, columns) HU to uint8, black at and below the window, white at and above."""
    shown: Picture = np.rint(apply_window(hu, window) * np.float32(255)).astype(np.uint8)
    return shown


def blood_colours(subtype_map: NDArray[np.uint8] | None) -> Colour | Picture:
    """The colour that a mask is filled with: one for all blood, or by pixel (rows, columns, 3) that of its subtype.

    Args:
        subtype_map: see `SliceFindings.subtype_map`; where it says nothing, the colour is that of `any`.
    """
    if subtype_map is None:
        return COLOURS[ANY]
    palette = np.array([COLOURS[name] for name in (ANY, *SUBTYPES)], np.uint8)
    coloured: Picture = palette[subtype_map]
    return coloured


def overlay(picture: Picture, mask: NDArray[np.bool_], colour: Colour | Picture, opacity: float) -> Picture:
    """Fill a mask with a colour over a picture.

    Args:
        picture: grey (rows, columns) or RGB (rows, columns, 3).
        mask: bool (rows, columns).
        colour: RGB, 0..255; one, or one a pixel (rows, columns, 3).
        opacity: 0 shows the picture alone, 1 the colour alone.

    Returns:
        uint8 RGB (rows, columns, 3); pixels outside the mask are the picture's own.
    """
    return _blended(picture, np.array(colour, np.float32), _checked_opacity(opacity) * mask.astype(np.float32))


def contour(picture: Picture, mask: NDArray[np.bool_], colour: Colour, thickness: float | None = None) -> Picture:
    """Draw a mask's smooth outline over a picture, grey or RGB; the blood itself stays uncovered.

    Args:
        thickness: of the line in pixels; by default 1/300 of the longer side, at least 1.
    """
    return _blended(picture, np.array(colour, np.float32), _outline(mask, thickness))


def line(picture: Picture, places_px: Sequence[tuple[float, float]], colour: Colour) -> Picture:
    """Draw a line through places over a picture, grey or RGB.

    Args:
        places_px: (row, column), 0 at the centre of the first pixel.
    """
    # OpenCV counts columns before rows, and takes fixed-point numbers.
    points = np.rint(np.array(places_px, np.float64)[:, ::-1] * 2**_SUBPIXEL_BITS).astype(np.int32)
    thickness = max(1, round(max(picture.shape[:2]) * THICKNESS_SHARE / 2))
    drawn: Picture = _rgb(picture).copy()
    cv2.polylines(drawn, [points.reshape(-1, 1, 2)], False, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return drawn


def heat_map(picture: Picture, heat: NDArray[np.float32], opacity: float) -> Picture:
    """Lay a heat map (rows, columns), 0..1, over a picture; the colder a pixel, the more of the picture shows."""
    warm = np.clip(heat, 0, 1).astype(np.float32)
    return _blended(picture, _heat_colours(warm).astype(np.float32), _checked_opacity(opacity) * warm)


def mask_layer(mask: NDArray[np.bool_], colour: Colour | Picture) -> Picture:
    """A transparent RGBA layer, opaque in the mask; the browser sets the opacity."""
    return _layer(np.array(colour, np.uint8), mask.astype(np.float32))


def contour_layer(mask: NDArray[np.bool_], colour: Colour, thickness: float | None = None) -> Picture:
    """A transparent RGBA layer with the mask's smooth outline."""
    return _layer(np.array(colour, np.uint8), _outline(mask, thickness))


def heat_layer(heat: NDArray[np.float32]) -> Picture:
    """A transparent RGBA layer of a heat map (rows, columns), 0..1: cold is clear, hot is opaque."""
    warm = np.clip(heat, 0, 1).astype(np.float32)
    return _layer(_heat_colours(warm), warm)


def legend(columns: int = 256, rows: int = 16) -> Picture:
    """The heat map's colour bar, RGB (rows, columns, 3): 0 at the left, 1 at the right."""
    ramp = np.linspace(0, 1, columns, dtype=np.float32)
    return _heat_colours(np.tile(ramp, (rows, 1)))


def png(picture: Picture) -> bytes:
    """PNG bytes of a grey, RGB or RGBA picture."""
    orders = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, orders[picture.shape[2]])
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise ValueError(f"no PNG can be made of {picture.dtype} {picture.shape}")
    return data.tobytes()


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """PNG bytes of a mask: 8-bit grey, 255 where it is set and 0 elsewhere, on its own rows and columns."""
    return png(mask.astype(np.uint8) * np.uint8(255))


def _heat_colours(warm: NDArray[np.float32]) -> Picture:
    # Inferno rises evenly in lightness, so it reads in order also in grey and under colour blindness
    # (Smith and van der Walt, matplotlib's colour maps, 2015).
    levels = np.rint(warm * np.float32(255)).astype(np.uint8)
    colours: Picture = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.uint8)
    return colours


def _outline(mask: NDArray[np.bool_], thickness: float | None) -> NDArray[np.float32]:
    """Coverage 0..1 of a line along the mask's edge: near zero of a smoothed signed distance, so it has no stairs."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    width = max(1.0, max(mask.shape) * THICKNESS_SHARE) if thickness is None else thickness
    # A frame of background closes the line of a mask that touches the picture's edge.
    inside = cv2.copyMakeBorder(mask.astype(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    signed = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    signed -= np.copysign(np.float32(0.5), signed)  # the edge lies half a pixel from the centres on both its sides
    smooth = cv2.GaussianBlur(signed, (0, 0), CONTOUR_SIGMA_PX)[2:-2, 2:-2]
    smooth = np.where(mask, np.maximum(smooth, 0), smooth)  # a speck of one pixel is drawn too
    covered: NDArray[np.float32] = np.clip(width / 2 + 0.5 - np.abs(smooth), 0, 1).astype(np.float32)
    return covered


def _blended(picture: Picture, colour: NDArray[np.float32], share: NDArray[np.float32]) -> Picture:
    base = _rgb(picture).astype(np.float32)
    blended: Picture = np.rint(base + (colour - base) * share[..., None]).astype(np.uint8)
    return blended


def _layer(colour: Picture, share: NDArray[np.float32]) -> Picture:
    layer: Picture = np.empty((*share.shape, 4), np.uint8)
    layer[..., :3] = colour
    layer[..., 3] = np.rint(share * np.float32(255))
    return layer


def _rgb(picture: NDArray[Any]) -> Picture:
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def _checked_opacity(opacity: float) -> np.float32:
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be 0..1, got {opacity}")
    return np.float32(opacity)
