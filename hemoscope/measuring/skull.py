"""The skull in one slice of a calibrated scan.

In: Hounsfield units and pixel spacing. Out: its inner surface, and the distance of a mask from it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.preprocessing import intracranial_mask

BONE_HU = 300.0  # above clotted blood (up to 100 HU) and contrast medium in a sinus; compact bone is above 1000 HU


def skull(hu: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """The bone around the brain, bool (rows, columns); None where none encloses anything.

    It is the largest connected piece of bone: calcified plexus, pineal gland and falx are not part of it.
    """
    if intracranial_mask(hu).all():
        return None
    count, labels, pieces, _ = cv2.connectedComponentsWithStats((hu >= BONE_HU).astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    largest: NDArray[np.bool_] = labels == 1 + int(np.argmax(pieces[1:, cv2.CC_STAT_AREA]))
    return largest


def inside_skull(hu: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """What the skull encloses, bool (rows, columns); None where none encloses anything."""
    bone = skull(hu)
    return None if bone is None else intracranial_mask(hu) & ~bone


def table_distance_mm(
    mask: NDArray[np.bool_], hu: NDArray[np.float32], spacing_mm: tuple[float, float]
) -> float | None:
    """The smallest gap in mm between the pixels of a mask and the skull, within the slice; 0 where they touch.

    Args:
        mask: bool (rows, columns), not empty.
        hu: of the slice.
        spacing_mm: between rows and between columns.

    Returns:
        None where the slice shows no skull that encloses anything.
    """
    bone = skull(hu)
    if bone is None:
        return None
    side = min(spacing_mm)  # OpenCV knows square pixels only
    size = (round(mask.shape[1] * spacing_mm[1] / side), round(mask.shape[0] * spacing_mm[0] / side))
    free = cv2.resize((~bone).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    blood = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    away_px = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return max(float(away_px[blood].min()) - 1, 0.0) * side
