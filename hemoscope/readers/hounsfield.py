"""Stored samples -> Hounsfield units, and whether the result can be a CT slice at all.

In: one `Frame` and its rescale and padding. Out: float32 HU with padding as air, and the counts that notes and
refusals are made of.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.readers.frames import Frame
from hemoscope.scan import AIR_HU

LOWEST_HU = -1100.0  # air is -1000; what lies below is outside the scanner's circle
HIGHEST_HU = 4000.0  # dense bone and teeth end near 3000; metal is above
_IMPOSSIBLE_HU = -4200.0  # below it there may be one padding value, but no picture
_TISSUE_HU = (-500.0, 3000.0)  # a padding value within it would hide tissue
_FEW_VALUES = 4  # a mask, or an image of nothing; a real slice has hundreds
_LABEL_VALUES = 64  # a label map: whole numbers from 0 below this


@dataclass(frozen=True)
class Rescale:
    """Modality LUT module, PS3.3 C.11.1: HU = slope x stored + intercept."""

    slope: float
    intercept: float


@dataclass
class Doubts:
    """Pixels counted over all frames of a file."""

    pixels: int = 0
    below: int = 0
    above: int = 0
    border_hu: float = AIR_HU
    lowest_hu: float = np.inf


def hounsfield(
    frame: Frame, rescale: Rescale, padding: tuple[int, int] | None, out: NDArray[np.float32], doubts: Doubts
) -> None:
    """Write one frame's Hounsfield units to `out` (rows, columns) and count what is doubtful.

    Args:
        frame: stored words and samples.
        rescale: slope and intercept of this frame.
        padding: lowest and highest stored value that mean "no pixel", or None.
        out: float32 (rows, columns), overwritten.
        doubts: counts, added to.

    Raises:
        BadScan: for masks, label maps, images of a single value, and pixels that no scanner makes.
    """
    _refuse_labels(frame.values)
    np.multiply(frame.values, np.float32(rescale.slope), out=out)
    if rescale.intercept:
        out += np.float32(rescale.intercept)
    if padding is not None:
        np.copyto(out, np.float32(AIR_HU), where=_padded(frame, padding))
    lowest, highest = float(out.min()), float(out.max())
    if lowest < _IMPOSSIBLE_HU:
        _refuse_noise(out)
    if lowest < LOWEST_HU:
        outside = out < LOWEST_HU
        doubts.below += int(np.count_nonzero(outside))
        np.copyto(out, np.float32(AIR_HU), where=outside)
    if highest > HIGHEST_HU:
        doubts.above += int(np.count_nonzero(out > HIGHEST_HU))
    doubts.pixels += out.size
    doubts.lowest_hu = min(doubts.lowest_hu, lowest)
    border = np.concatenate([out[0], out[-1], out[:, 0], out[:, -1]])
    doubts.border_hu = max(doubts.border_hu, float(np.median(border)))


def is_tissue(low: int, high: int, rescale: Rescale) -> bool:
    """Whether a padding range reaches values that tissue has."""
    ends = sorted((low * rescale.slope + rescale.intercept, high * rescale.slope + rescale.intercept))
    return ends[0] < _TISSUE_HU[1] and ends[1] > _TISSUE_HU[0]


def _padded(frame: Frame, padding: tuple[int, int]) -> NDArray[np.bool_]:
    low, high = padding
    # Padding may need more bits than are stored; then it shows in the whole word only.
    words = frame.words.view(np.int16) if frame.values.dtype == np.int16 else frame.words
    found: NDArray[np.bool_] = (words >= low) & (words <= high)
    if not np.may_share_memory(frame.values, frame.words):
        found |= (frame.values >= low) & (frame.values <= high)
    return found


def _refuse_labels(values: NDArray[np.int16] | NDArray[np.uint16]) -> None:
    # One pixel in 49 is enough to see that there are many values; only few make the whole image worth sorting.
    if len(np.unique(values[::7, ::7])) > _LABEL_VALUES:
        return
    found = np.unique(values)
    if len(found) <= _FEW_VALUES:
        raise BadScan(
            f"The pixels hold only {len(found)} different value{'s' * (len(found) > 1)} "
            f"({', '.join(str(value) for value in found)}): this is a mask or an empty image, not a CT slice."
        )
    if found[0] >= 0 and found[-1] < _LABEL_VALUES:
        raise BadScan(
            f"The pixels hold only whole numbers from {found[0]} to {found[-1]}: this is a label map, not a CT slice."
        )


def _refuse_noise(hu: NDArray[np.float32]) -> None:
    impossible = hu[hu < _IMPOSSIBLE_HU]
    if impossible.size > hu.size // 1000 and len(np.unique(impossible)) > 8:
        raise BadScan(
            f"The pixels are corrupt: {impossible.size / hu.size:.0%} of them are below {_IMPOSSIBLE_HU:g} HU, with "
            "many different values."
        )
