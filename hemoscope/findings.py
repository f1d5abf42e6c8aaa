"""What a reading of a scan says. Made by `model.Reader.read`; shown by the web, the command line and `results`.

In: arrays and numbers from post-processing. Out: immutable values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import SUBTYPES

Finding = Literal["hemorrhage", "none", "uncertain"]
DecidedBy = Literal["scan", "slice"]


@dataclass(frozen=True)
class SliceFindings:
    """The reading of one slice.

    Attributes:
        probabilities: calibrated probability by class, in the order of `labels.CLASSES`; None for a class that the
            model does not assess (a segmentation network knows `any` only).
        finding: the decision from the probability of `any`; `uncertain` is the abstain band.
        mask: bool (rows, columns) on the scan's own grid: where the blood is. Empty where the finding is `none`, see
            `shown`; None for a model that gives no mask (a classifier).
        mask_probability: float32 (rows, columns), 0..1: the pixel probabilities before the threshold; None without a
            mask, and in the reading of a whole scan, where they would take four times the memory of the masks.
        heat: Grad-CAM by class, each float32 (rows, columns), 0..1 relative to its own largest value, of an ensemble
            the mean of its members' maps; empty for models without a class head.
        area_px: pixels in the mask; None without a mask.
        area_mm2: the same in mm²; None also where the pixel spacing is unknown.
        subtype_map: uint8 (rows, columns): for each pixel of the mask 1 + the place in `labels.SUBTYPES` of the subtype
            that its blood most probably has, 0 elsewhere; None for a model that does not tell them apart by pixel.
    """

    probabilities: Mapping[str, float | None]
    finding: Finding
    mask: NDArray[np.bool_] | None
    mask_probability: NDArray[np.float32] | None
    heat: Mapping[str, NDArray[np.float32]]
    area_px: int | None
    area_mm2: float | None
    subtype_map: NDArray[np.uint8] | None = None

    @property
    def subtype_areas_px(self) -> dict[str, int] | None:
        """Pixels of the mask by subtype; None without a `subtype_map`."""
        if self.subtype_map is None:
            return None
        counts = np.bincount(self.subtype_map.ravel(), minlength=1 + len(SUBTYPES))
        return dict(zip(SUBTYPES, counts[1:].tolist(), strict=True))

    @property
    def shown(self) -> "SliceFindings":
        """As it is shown: without a finding there is no mask, which would contradict it."""
        return self.without_mask() if self.finding == "none" else self

    def without_mask(self) -> "SliceFindings":
        """The same with an empty mask; what is said of the slice otherwise stays."""
        if self.mask is None or not self.mask.any():
            return self
        return replace(
            self,
            mask=np.zeros(self.mask.shape, bool),
            area_px=0,
            area_mm2=None if self.area_mm2 is None else 0.0,
            subtype_map=None if self.subtype_map is None else np.zeros_like(self.subtype_map),
        )


@dataclass(frozen=True)
class Timings:
    """Seconds spent in each part of one reading."""

    preprocess: float
    network: float
    postprocess: float

    def __add__(self, other: "Timings") -> "Timings":
        return Timings(
            self.preprocess + other.preprocess, self.network + other.network, self.postprocess + other.postprocess
        )

    @property
    def total(self) -> float:
        return self.preprocess + self.network + self.postprocess


@dataclass(frozen=True)
class Findings:
    """The reading of a whole scan (one slice or several).

    Attributes:
        model: name of the weights folder.
        version: version of the weights.
        slices: one entry a slice, in the scan's order.
        probabilities: of the scan by class; None for a class that is not assessed. By `decided_by` from the rule for
            whole scans, or the largest over the slices.
        finding: the decision from the scan's probability of `any`.
        area_px, area_mm2: sums over the slices; None for a model that gives no mask.
        timings: seconds.
        notes: what the reader does not know or the user should, in sentences.
        decided_by: which of the model's rules gave probabilities and finding: that for whole scans (`scan`), or for a
            few slices and models without one that for single slices (`slice`).
        band: that rule's thresholds, None where they are not known: below the first the finding is `none`, from the
            second on `hemorrhage`, between them lies the abstain band.
    """

    model: str
    version: str
    slices: tuple[SliceFindings, ...]
    probabilities: Mapping[str, float | None]
    finding: Finding
    area_px: int | None
    area_mm2: float | None
    timings: Timings
    notes: tuple[str, ...]
    decided_by: DecidedBy = "slice"
    band: tuple[float, float] | None = None

    @property
    def subtype_areas_px(self) -> dict[str, int] | None:
        """Pixels of the masks by subtype over all slices; None for a model that does not tell them apart by pixel."""
        areas = [one.subtype_areas_px for one in self.slices]
        known = [area for area in areas if area is not None]
        return {name: sum(area[name] for area in known) for name in SUBTYPES} if known else None
