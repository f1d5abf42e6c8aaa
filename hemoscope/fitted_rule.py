"""What the rules share: evidence to a calibrated probability and a finding.

In: evidence in logits, and for whole scans the slices' findings that it comes of. Out: probabilities and findings.
`ScanRule` and `ContextRule` say what the evidence is; `postprocessing.Rule`, with a bias a class, decides alike.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import Finding, SliceFindings
from hemoscope.labels import CLASSES

EPSILON = 1e-9  # a probability of 0 or 1 has no logit


class FittedRule:
    """A calibration and a band, fitted on patients that the network never saw.

    Attributes:
        temperature: the evidence is divided by it.
        bias: added to the evidence of every class before that.
        decision_low: below it, the probability of `any` means no hemorrhage.
        decision_high: from it on, hemorrhage; between the two the reader abstains: uncertain.
        chosen: how and on whom, in sentences.
    """

    temperature: float
    bias: float
    decision_low: float
    decision_high: float
    chosen: str

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0 and np.isfinite(self.bias)):
            raise ValueError(f"temperature must be above 0 and the bias finite: got {self.temperature}, {self.bias}")
        if not 0 <= self.decision_low <= self.decision_high <= 1:
            raise ValueError("thresholds must lie in 0..1, the low one not above the high one")
        if not isinstance(self.chosen, str):
            raise ValueError(f"chosen must be str, got {self.chosen!r}")

    def calibrated(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities from evidence, of the same shape."""
        return sigmoid((evidence + self.bias) / self.temperature)

    def decide(self, probability: float) -> Finding:
        """The finding for a probability of `any`."""
        return decided(probability, self.decision_low, self.decision_high)


def decided(probability: float, low: float, high: float) -> Finding:
    """The finding for a probability of `any`: none below the low threshold, hemorrhage from the high one on."""
    if probability >= high:
        return "hemorrhage"
    return "none" if probability < low else "uncertain"


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probabilities of logits, of the same shape."""
    result: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return result


def probabilities_of(slices: Sequence[SliceFindings]) -> tuple[list[str], NDArray[np.float64]]:
    """The classes that are assessed in all slices, at least one, and their probabilities (slices, classes)."""
    assessed = [name for name in CLASSES if all(one.probabilities[name] is not None for one in slices)]
    return assessed, np.array([[one.probabilities[name] for name in assessed] for one in slices], np.float64)


def logits_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logits of probabilities, finite even of 0 and 1."""
    clipped = np.clip(probabilities, EPSILON, 1 - EPSILON)
    logits: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logits
