"""From what is said of the slices to what is said of the whole scan.

In: the calibrated probabilities of a scan's slices, in the order of the scan. Out: probabilities of the scan and its
finding, by a `ScanRule` that was fitted on patients that the network never saw.

The largest of thirty slices is high by chance far more often than one slice is: the thresholds for a single slice call
too many scans without blood. A bleed mostly reaches over several neighbouring slices, so what is judged is the largest
mean over some neighbours; with one neighbour this is the plain maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import Finding, SliceFindings
from hemoscope.labels import CLASSES

FEWEST_SLICES = 3  # of a whole scan; below it the rule for single slices decides
MOST_NEIGHBOURS = 9
EPSILON = 1e-9  # a probability of 0 or 1 has no logit


@dataclass(frozen=True)
class ScanRule:
    """How the slices of a scan become its probabilities and its finding.

    Attributes:
        neighbours: the mean logit of so many neighbouring slices counts, where it is largest; 1 is the plain maximum.
            Counted in slices as they are read (thin ones as slabs of about 5 mm), whatever lies between them.
        temperature: that evidence is divided by it.
        bias: added to the evidence of every class before that.
        decision_low: below it, the scan's probability of `any` means no hemorrhage.
        decision_high: from it on, hemorrhage; between the two the reader abstains: uncertain.
        chosen: how and on whom, in sentences.
    """

    neighbours: int
    temperature: float
    bias: float
    decision_low: float
    decision_high: float
    chosen: str

    def __post_init__(self) -> None:
        if type(self.neighbours) is not int or not 1 <= self.neighbours <= MOST_NEIGHBOURS:
            raise ValueError(f"neighbours must be 1 to {MOST_NEIGHBOURS}: got {self.neighbours!r}")
        if not (np.isfinite(self.temperature) and self.temperature > 0 and np.isfinite(self.bias)):
            raise ValueError(f"temperature must be above 0 and the bias finite: got {self.temperature}, {self.bias}")
        if not 0 <= self.decision_low <= self.decision_high <= 1:
            raise ValueError("thresholds must lie in 0..1, the low one not above the high one")
        if not isinstance(self.chosen, str):
            raise ValueError(f"chosen must be str, got {self.chosen!r}")

    def probabilities(self, slices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the scan (classes,) from those of its slices (slices, classes), at least one slice."""
        scaled = (evidence(slices, self.neighbours) + self.bias) / self.temperature
        result: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(scaled, -60, 60)))
        return result

    def decide(self, probability: float) -> Finding:
        """The finding for a scan's probability of `any`."""
        if probability >= self.decision_high:
            return "hemorrhage"
        return "none" if probability < self.decision_low else "uncertain"


def evidence(slices: NDArray[np.float64], neighbours: int) -> NDArray[np.float64]:
    """The largest mean logit over so many neighbouring slices, by class; over all slices where there are fewer.

    Args:
        slices: calibrated probabilities (slices, classes), in the order of the scan.
        neighbours: at least 1.
    """
    clipped = np.clip(slices, EPSILON, 1 - EPSILON)
    logits = np.log(clipped / (1 - clipped))
    windows = np.lib.stride_tricks.sliding_window_view(logits, min(neighbours, len(logits)), axis=0)
    largest: NDArray[np.float64] = windows.mean(axis=-1).max(axis=0)
    return largest


def scan_probabilities(rule: ScanRule, slices: Sequence[SliceFindings]) -> dict[str, float | None]:
    """What the rule says of a scan by class; None for a class that is not assessed.

    Args:
        rule: of the model that read the slices.
        slices: in the order of the scan, at least one.
    """
    assessed = [name for name in CLASSES if all(one.probabilities[name] is not None for one in slices)]
    table = np.array([[one.probabilities[name] for name in assessed] for one in slices], np.float64)
    said = dict(zip(assessed, rule.probabilities(table).tolist(), strict=True))
    return {name: said.get(name) for name in CLASSES}


def without_masks(slices: Sequence[SliceFindings]) -> list[SliceFindings]:
    """The slices of a scan without a finding: a mask there would contradict it. What each slice says by itself stays.

    Args:
        slices: of a scan whose finding is `none`.
    """
    return [
        one
        if one.mask is None or not one.mask.any()
        else replace(
            one,
            mask=np.zeros(one.mask.shape, bool),
            area_px=0,
            area_mm2=None if one.area_mm2 is None else 0.0,
            subtype_map=None if one.subtype_map is None else np.zeros_like(one.subtype_map),
        )
        for one in slices
    ]
