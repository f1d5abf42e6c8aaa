"""Thin slices -> slabs of about 5 mm, as the networks know them, and back.

In: how far each slice lies along the normal. Out: which slices are averaged to which slab, and arrays taken from slabs
back to slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THIN_MM = 2.5  # slices nearer than this are averaged
SLAB_MM = 5.0  # the usual thickness in what the networks were trained on
_BREAK = 1.75  # a gap of more than so many usual ones ends a slab: nothing is averaged across missing slices


@dataclass(frozen=True)
class Slabs:
    """Which thin slices form which slab.

    Attributes:
        of_slice: for each slice the number of its slab, rising from 0 without gaps.
    """

    of_slice: tuple[int, ...]

    def __len__(self) -> int:
        return self.of_slice[-1] + 1

    def slices(self, slab: int) -> range:
        """The slices of one slab."""
        first = self.of_slice.index(slab)
        return range(first, first + self.of_slice.count(slab))

    def on_slices(self, values: NDArray[Any]) -> NDArray[Any]:
        """Masks, heat or probabilities of slabs (slabs, ...) on the thin slices (slices, ...): each has its slab's."""
        spread: NDArray[Any] = values[np.array(self.of_slice)]
        return spread

    def without(self, lost: Sequence[int]) -> "Slabs":
        """The slabs that are left when some slices could not be read; slabs without any slice are gone."""
        kept = [slab for index, slab in enumerate(self.of_slice) if index not in set(lost)]
        numbers = {slab: number for number, slab in enumerate(sorted(set(kept)))}
        return Slabs(tuple(numbers[slab] for slab in kept))


def slabs_of(heights_mm: Sequence[float]) -> Slabs | None:
    """Group thin slices.

    Args:
        heights_mm: of each slice along the normal, rising.

    Returns:
        Groups of neighbours, each of as many slices as come nearest to 5 mm; None where the slices are not thin. What
        is left at an end or before a wide gap is a slab of its own where it is at least half of one, and else joins
        the slab before it.
    """
    gaps = np.diff(np.array(heights_mm, float))
    if not len(gaps) or float(np.median(gaps)) >= THIN_MM:
        return None
    usual = float(np.median(gaps))
    each = max(round(SLAB_MM / usual), 2)
    of_slice: list[int] = []
    slab = 0
    for run in np.split(np.arange(len(heights_mm)), np.flatnonzero(gaps > _BREAK * usual) + 1):
        count = max(int(len(run) / each + 0.5), 1)
        for place in range(len(run)):
            of_slice.append(slab + min(place // each, count - 1))
        slab += count
    return Slabs(tuple(of_slice))
