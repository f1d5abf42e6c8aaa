"""How alike the two sides of the brain are about a midline, for many midlines at once.

In: slices on their shared grid. Out: `Sides`, which answers with correlations.

A search asks for thousands of midlines that cross a row at the same few places. What the row gives to the correlation
about each place is therefore summed up once: `STEPS` places a pixel, with linear interpolation between them. A midline
then costs one look-up a row instead of 40 pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.measuring.straightening import BRAIN_HU, MIDDLE, Straight

ROW_STEP = 2  # every other row is compared
REACH_MM = 20  # on each side of the midline the brain is compared: falx, ventricles and thalami, not the insula
LEAST_KNOWN = 0.25  # of the pairs of places: with less the rest is blood or skull
STEPS = 4
FARTHEST = 60  # pixels from the grid's middle; of places beyond nothing is known
CENTRE_HU = sum(BRAIN_HU) / 2  # taken off before squaring, so that float32 is enough
SUMS = 4  # of the pairs: weights, values, squares, products


class Sides:
    """The sums about every place of every compared row.

    Attributes:
        slices: as given.
        rows: float32 (slices, rows), the compared rows of the grid; the last one again where a slice has fewer.
        compared: int (slices,), how many of these count.
    """

    def __init__(self, slices: Sequence[Straight]) -> None:
        each = [np.arange(one.ends[0] + 1, one.ends[1], ROW_STEP) for one in slices]
        most = max(len(rows) for rows in each)
        self.slices = list(slices)
        self.compared = np.array([len(rows) for rows in each])
        self.rows = np.array([np.pad(rows, (0, most - len(rows)), mode="edge") for rows in each], np.float32)
        self._sums = np.zeros((len(each) * most, 2 * FARTHEST * STEPS + 1, SUMS), np.float32)
        for number, (one, rows) in enumerate(zip(slices, each, strict=True)):
            self._sums[number * most : number * most + len(rows)] = _sums(one, rows)

    def symmetries(self, chosen: NDArray[np.int64], x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The correlation of mirrored places for each of many midlines, -1..1; -1 where too little is known.

        Args:
            chosen: int (slices,), numbers of slices.
            x: float32 (midlines, slices, rows), the columns of the grid where each midline crosses the rows.
        """
        midlines, _, most = x.shape
        places = (x - np.float32(MIDDLE - FARTHEST)) * np.float32(STEPS)
        lines = (chosen[:, None] * most + np.arange(most)).astype(np.float32)
        lines = np.broadcast_to(lines, x.shape).reshape(-1, most)
        seen = cv2.remap(self._sums, places.reshape(-1, most), np.ascontiguousarray(lines), cv2.INTER_LINEAR)
        weight, value, square, product = seen.sum(axis=1).astype(np.float64).reshape(midlines, -1, SUMS).T
        total = np.maximum(weight, 1e-6)
        mean_squared = (value / 2) ** 2 / total
        alike = (product - mean_squared) / np.maximum(square / 2 - mean_squared, 1e-6)
        enough = weight >= LEAST_KNOWN * REACH_MM * self.compared[chosen, None]
        found: NDArray[np.float64] = np.where(enough, alike, -1.0).T
        return found


def _sums(one: Straight, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Over the pairs that mirror each other about a place: float32 (rows, places, `SUMS`)."""
    reach = np.arange(-(FARTHEST + REACH_MM) * STEPS, (FARTHEST + REACH_MM) * STEPS + 1) / STEPS
    columns = np.broadcast_to((MIDDLE + reach).astype(np.float32), (len(rows), len(reach)))
    lines = np.broadcast_to(rows.astype(np.float32)[:, None], columns.shape)
    image = one.hu_and_brain
    seen = cv2.remap(image, np.ascontiguousarray(columns), np.ascontiguousarray(lines), cv2.INTER_LINEAR)
    known = seen[..., 1]
    hu = seen[..., 0] - np.float32(CENTRE_HU)
    first, second = known * hu, known * hu * hu
    places = 2 * FARTHEST * STEPS + 1
    total = np.zeros((SUMS, len(rows), places), np.float32)
    for aside in range(1, REACH_MM + 1):
        left, right = (slice((REACH_MM + way) * STEPS, (REACH_MM + way) * STEPS + places) for way in (-aside, aside))
        total[0] += known[:, left] * known[:, right]
        total[1] += first[:, left] * known[:, right] + known[:, left] * first[:, right]
        total[2] += second[:, left] * known[:, right] + known[:, left] * second[:, right]
        total[3] += first[:, left] * first[:, right]
    return np.ascontiguousarray(total.transpose(1, 2, 0))
