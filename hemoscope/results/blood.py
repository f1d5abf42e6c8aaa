"""Where the blood is, on the pixels of the files that a scan was read from.

In: `Findings`, and the way from the scan back to the stored slices. Out: `Blood`, which DICOM and NIfTI objects are
made of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import Findings
from hemoscope.labels import ANY, SUBTYPES


def _as_it_is(values: NDArray[Any]) -> NDArray[Any]:
    return values


@dataclass(frozen=True)
class Blood:
    """The masks of all slices.

    Attributes:
        labels: uint8 (slices, rows, columns), 0 without blood; in it 1, or with `by_subtype` 1 + the place in
            `labels.SUBTYPES`.
        by_subtype: whether the model tells the subtypes apart by pixel.
    """

    labels: NDArray[np.uint8]
    by_subtype: bool

    @classmethod
    def of(cls, findings: Findings, on_slices: Callable[[NDArray[Any]], NDArray[Any]] = _as_it_is) -> Self | None:
        """Collect the masks of a reading; None for a model that gives no mask.

        Args:
            findings: the reading.
            on_slices: takes an array (slices, rows, columns) of the scan to the stored slices, where the scan's were
                turned or averaged.
        """
        masks = [one.mask for one in findings.slices if one.mask is not None]
        if not masks or len(masks) < len(findings.slices):
            return None
        maps = [one.subtype_map for one in findings.slices if one.subtype_map is not None]
        by_subtype = len(maps) == len(masks)
        return cls(on_slices(np.stack(maps if by_subtype else [mask.astype(np.uint8) for mask in masks])), by_subtype)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes that have blood somewhere: `any`, or those of the subtypes; empty without any blood."""
        if not self.by_subtype:
            return (ANY,) if self.labels.any() else ()
        # Slice by slice: counting takes eight bytes a pixel.
        found = {place for one in self.labels for place in np.flatnonzero(np.bincount(one.ravel())).tolist()}
        return tuple(name for place, name in enumerate(SUBTYPES, 1) if place in found)

    def at(self, index: int) -> "Blood":
        """The masks of one slice alone."""
        return Blood(self.labels[index : index + 1], self.by_subtype)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """The pixels of a class, bool (slices, rows, columns); all blood for `any`."""
        if name == ANY:
            return self.labels > 0
        if not self.by_subtype:
            raise ValueError(f"the masks do not tell subtypes apart, {name} was asked for")
        chosen: NDArray[np.bool_] = self.labels == 1 + SUBTYPES.index(name)
        return chosen
