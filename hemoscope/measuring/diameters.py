"""Diameters of a lesion within one slice.

In: its mask and the pixel spacing. Out: `Diameters` in millimetres.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.measuring.values import Diameters


def diameters(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> Diameters:
    """The largest diameter and the width at right angles to it.

    A pixel reaches half a pixel from its centre, up, down, left and right: the outline goes through these points, so
    that a row of n pixels is n pixels long. Between the pieces of a mask that has several, the diameter goes on.

    Args:
        mask: bool (rows, columns), not empty.
        spacing_mm: between rows and between columns.
    """
    hull_px = _hull_px(mask)
    hull_mm = hull_px * np.array(spacing_mm)
    apart = np.linalg.norm(hull_mm[:, None] - hull_mm[None], axis=-1)
    start, end = np.unravel_index(int(np.argmax(apart)), apart.shape)
    way = (hull_mm[end] - hull_mm[start]) / apart[start, end]
    across = hull_mm @ np.array([-way[1], way[0]])
    ends = [(float(row), float(column)) for row, column in hull_px[[start, end]]]
    return Diameters(float(apart[start, end]), float(np.ptp(across)), (ends[0], ends[1]))


def _hull_px(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The corners (n, 2) of the convex hull, (row, column)."""
    rows = np.flatnonzero(mask.any(axis=1)).astype(np.float32)
    first = np.argmax(mask[mask.any(axis=1)], axis=1).astype(np.float32)
    last = (mask.shape[1] - 1 - np.argmax(mask[mask.any(axis=1), ::-1], axis=1)).astype(np.float32)
    half = np.float32(0.5)
    ends = [(rows, first - half), (rows, last + half)]
    ends += [(rows + step, column) for step in (-half, half) for column in (first, last)]
    corners = cv2.convexHull(np.concatenate([np.stack(pair, axis=1) for pair in ends]))
    return np.asarray(corners[:, 0], np.float64)
