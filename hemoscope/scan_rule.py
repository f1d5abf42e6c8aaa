"""From what is said of the slices to what is said of the whole scan.

In: the calibrated probabilities of a scan's slices, in the order of the scan. Out: probabilities of the scan and its
finding, by a `ScanRule` that was fitted on patients that the network never saw.

The largest of thirty slices is high by chance far more often than one slice is: the thresholds for a single slice call
too many scans without blood. A bleed mostly reaches over several neighbouring slices, so what is judged is the largest
mean over some neighbours; with one neighbour this is the plain maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import SliceFindings
from hemoscope.fitted_rule import FittedRule, logits_of, probabilities_of
from hemoscope.labels import CLASSES

FEWEST_SLICES = 3  # of a whole scan; below it the rule for single slices decides
MOST_NEIGHBOURS = 9


@dataclass(frozen=True)
class ScanRule(FittedRule):
    """How the slices of a scan become its probabilities and its finding.

    Attributes:
        neighbours: the mean logit of so many neighbouring slices counts, where it is largest; 1 is the plain maximum.
            Counted in slices as they are read (thin ones as slabs of about 5 mm), whatever lies between them.
        temperature, bias, decision_low, decision_high, chosen: see `FittedRule`; the probabilities are of scans.
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
        super().__post_init__()

    def probabilities(self, slices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the scan (classes,) from those of its slices (slices, classes), at least one slice."""
        return self.calibrated(evidence(slices, self.neighbours))


def evidence(slices: NDArray[np.float64], neighbours: int) -> NDArray[np.float64]:
    """The largest mean logit over so many neighbouring slices, by class; over all slices where there are fewer.

    Args:
        slices: calibrated probabilities (slices, classes), in the order of the scan.
        neighbours: at least 1.
    """
    logits = logits_of(slices)
    windows = np.lib.stride_tricks.sliding_window_view(logits, min(neighbours, len(logits)), axis=0)
    largest: NDArray[np.float64] = windows.mean(axis=-1).max(axis=0)
    return largest


def scan_probabilities(rule: ScanRule, slices: Sequence[SliceFindings]) -> dict[str, float | None]:
    """What the rule says of a scan by class; None for a class that is not assessed.

    Args:
        rule: of the model that read the slices.
        slices: in the order of the scan, at least one.
    """
    assessed, table = probabilities_of(slices)
    said = dict(zip(assessed, rule.probabilities(table).tolist(), strict=True))
    return {name: said.get(name) for name in CLASSES}
