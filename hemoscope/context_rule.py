"""From what is said of the slices of a whole scan by themselves to what is said of each beside its neighbours.

In: the calibrated probabilities of a scan's slices, in the order of the scan. Out: their probabilities and findings by
a `ContextRule` that was fitted on patients that the network never saw.

A bleed mostly reaches over several slices, and what the network takes for blood in one slice alone is mostly none. So
the logits of each slice and of the two beside it are averaged, the slice's own with the most weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import SliceFindings
from hemoscope.fitted_rule import FittedRule, logits_of, probabilities_of
from hemoscope.labels import ANY, CLASSES


@dataclass(frozen=True)
class ContextRule(FittedRule):
    """How a slice of a whole scan is judged beside its neighbours.

    Attributes:
        share: the weight of both neighbours together, half of it each; the slice itself has the rest. At the ends of
            a scan the weights that are there are scaled to sum to one.
        temperature, bias, decision_low, decision_high, chosen: see `FittedRule`; the probabilities are of slices.
    """

    share: float
    temperature: float
    bias: float
    decision_low: float
    decision_high: float
    chosen: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be 0 to 1: got {self.share!r}")

    def probabilities(self, slices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (slices, classes) in context from those of the slices by themselves, in the scan's order."""
        return self.calibrated(beside_neighbours(slices, self.share))


def beside_neighbours(slices: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The weighted mean of the logits of each slice and of the two beside it, (slices, classes).

    Args:
        slices: calibrated probabilities (slices, classes), in the order of the scan.
        share: see `ContextRule`.
    """
    logits = logits_of(slices)
    total = logits * (1 - share)
    weights = np.full((len(logits), 1), 1 - share)
    for here, beside in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        total[here] += logits[beside] * share / 2
        weights[here] += share / 2
    mean: NDArray[np.float64] = total / weights
    return mean


def in_context(rule: ContextRule, slices: Sequence[SliceFindings]) -> list[SliceFindings]:
    """The slices of a scan with the probabilities and findings that they have beside their neighbours.

    Args:
        rule: of the model that read the slices.
        slices: by themselves, in the order of the scan, at least one; what they mark stays as it is.
    """
    assessed, table = probabilities_of(slices)
    judged = []
    for one, row in zip(slices, rule.probabilities(table).tolist(), strict=True):
        said = dict(zip(assessed, row, strict=True))
        probabilities = {name: said.get(name) for name in CLASSES}
        judged.append(replace(one, probabilities=probabilities, finding=rule.decide(said[ANY])))
    return judged
