"""How large what was found is.

In: a mask on the scan's own grid and the pixel spacing. Out: areas in pixels and in mm².
"""

import numpy as np
from numpy.typing import NDArray


def area_px(mask: NDArray[np.bool_]) -> int:
    """Pixels in a mask, bool (rows, columns) or (slices, rows, columns)."""
    return int(np.count_nonzero(mask))


def area_mm2(mask: NDArray[np.bool_], spacing_mm: tuple[float, float] | None) -> float | None:
    """The mask's area in mm²; None where the spacing is unknown.

    Args:
        mask: bool (rows, columns), or (slices, rows, columns) for the sum over the slices.
        spacing_mm: between rows and between columns of pixel centres (DICOM PS3.3 10.7.1.3).
    """
    return None if spacing_mm is None else area_px(mask) * spacing_mm[0] * spacing_mm[1]
