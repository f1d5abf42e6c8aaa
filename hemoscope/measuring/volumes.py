"""Volumes from the areas in the slices, with their uncertainty.

In: masks of sections, pixel spacing and slice extents in millimetres. Out: `Volume`.

The volume is the sum of area times extent (Cavalieri's principle). Two things make it uncertain:

- The border: whether a pixel on it is blood is known to half a pixel in or out. That is half a pixel times the
  outline's length, times the extent, summed; all of the border may err alike, so it is not averaged away.
- The slices: between them nothing was seen. The variance of a sum over evenly spaced slices follows from how areas
  change from slice to slice (Gundersen, Jensen, Kieu, Nielsen, J Microsc 1999;193:199-211):
  (3 sum a_i a_i - 4 sum a_i a_i+1 + sum a_i a_i+2) / 12, here of a_i = area times extent. The divisor is the one for
  areas that may begin and end abruptly; for a smooth body it is too careful.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, pi, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hemoscope.measuring.values import Volume

ABRUPT = 12  # Gundersen et al. 1999: 240 for areas that change smoothly


@dataclass(frozen=True)
class Section:
    """A mask within one slice: its area and the length of its outline."""

    area_mm2: float
    outline_mm: float

    @classmethod
    def of(cls, mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> Self:
        """Measure a mask, bool (rows, columns).

        The outline is that of the pixels' edges times pi / 4: staircases are longer than the lines that they follow,
        by 4 / pi on the mean over all directions.
        """
        framed = np.pad(mask, 1)
        across = np.count_nonzero(framed[:, 1:] != framed[:, :-1]) * spacing_mm[0]
        down = np.count_nonzero(framed[1:] != framed[:-1]) * spacing_mm[1]
        return cls(float(np.count_nonzero(mask)) * spacing_mm[0] * spacing_mm[1], pi / 4 * (across + down))

    def __add__(self, other: "Section") -> "Section":
        """Both, where they do not touch each other."""
        return Section(self.area_mm2 + other.area_mm2, self.outline_mm + other.outline_mm)


NOTHING = Section(0.0, 0.0)


def volume(sections: Sequence[Section], extents_mm: Sequence[float], spacing_mm: tuple[float, float]) -> Volume:
    """The volume of sections in consecutive slices.

    Args:
        sections: one a slice, `NOTHING` where there is none.
        extents_mm: of the same slices.
        spacing_mm: of the pixels.
    """
    parts_ml = np.array([one.area_mm2 * extent for one, extent in zip(sections, extents_mm, strict=True)]) / 1000
    half_pixel_mm = sqrt(spacing_mm[0] * spacing_mm[1]) / 2
    outlines_mm2 = sum(one.outline_mm * extent for one, extent in zip(sections, extents_mm, strict=True))
    border_ml = half_pixel_mm * outlines_mm2 / 1000
    return Volume(float(parts_ml.sum()), hypot(border_ml, 2 * _sampling_ml(parts_ml)))


def _sampling_ml(parts_ml: NDArray[np.float64]) -> float:
    """The standard deviation of the sum by where the slices happen to lie."""
    same, next_one, next_but_one = (float(parts_ml[k:] @ parts_ml[: len(parts_ml) - k]) for k in range(3))
    return sqrt(max(3 * same - 4 * next_one + next_but_one, 0.0) / ABRUPT)
