"""Blood inside boxes: the bright part of each box, as a training target where no mask was drawn.

In: a slice, its target map with boxes (see `sample`), the boxes. Out: the map with each box resolved into blood, no
blood and not known. Training only: nothing is ever judged by these.

On the 83 slices of CT-ICH that have both boxes and a radiologist's mask, pooled Dice between the two is 0.70; old,
dark collections are what it misses (docs/experiments.md).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.preprocessing import intracranial_mask
from hemoscope.scan import Scan
from training.datasets.sample import BLOOD, NO_BLOOD, NOT_KNOWN, Box

BONE_HU = 92.0
TISSUE_HU = 10.0  # darker is air, or fluid that no fresh blood is mixed with
CONTRAST_HU = 10.0  # between the means of both parts, below which a box holds nothing that stands out
FEWEST_PIXELS = 50
LARGEST_SHARE = 0.8  # of a box's soft tissue; a threshold that takes more has found the tissue itself
SMOOTHING = 1 / 260  # of the picture's side: noise goes, a thin crescent stays


def outline_boxes(scan: Scan, target: NDArray[np.uint8], boxes: Sequence[Box], index: int = 0) -> NDArray[np.uint8]:
    """Resolve boxes by Otsu's threshold on the soft tissue inside the skull in each.

    A box without contrast stays as it is. So does every box of a slice whose skull encloses nothing, where a swollen
    scalp would pass for blood, and of a picture whose window ends below bone, where blood and bone look the same.

    Args:
        scan: the slice, alone or between its neighbours.
        target: uint8 (rows, columns), in the codes of `sample`.
        boxes: in pixels of the slice.
        index: which slice of the scan it is.

    Returns:
        A new map. Above the threshold: BLOOD. Below the middle between the threshold and the darker part's mean:
        NO_BLOOD. Between both: NOT_KNOWN.
    """
    if scan.window is not None and scan.window.highest_hu <= BONE_HU:
        return target
    outlined = target.copy()
    hu = scan.hu[index]
    intracranial = intracranial_mask(hu)
    if intracranial.all():
        return target
    smooth = cv2.GaussianBlur(hu, (0, 0), hu.shape[0] * SMOOTHING)
    bone = cv2.dilate((cv2.GaussianBlur(hu, (0, 0), 1) > BONE_HU).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    for box in boxes:
        inside = box.inside
        tissue = (smooth[inside] > TISSUE_HU) & ~bone[inside] & intracranial[inside]
        values = smooth[inside][tissue]
        if values.size < FEWEST_PIXELS:
            continue
        threshold, _ = cv2.threshold(np.clip(values, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
        bright = values > threshold
        if not 0 < bright.mean() < LARGEST_SHARE:
            continue
        dark_mean = float(values[~bright].mean())
        if float(values[bright].mean()) - dark_mean < CONTRAST_HU:
            continue
        codes = np.full(tissue.shape, NO_BLOOD, np.uint8)
        codes[tissue & (smooth[inside] > (threshold + dark_mean) / 2)] = NOT_KNOWN
        codes[tissue & (smooth[inside] > threshold)] = BLOOD
        # Boxes overlap: what one of them shows to be blood stays blood.
        outlined[inside] = np.where(outlined[inside] == BLOOD, BLOOD, codes)
    return outlined
